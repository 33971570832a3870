package main

import (
	"context"
	"slices"
	"testing"

	"github.com/urfave/cli/v3"
)

// TestRepeatableFlagsKeepCommas: a command such as "helm install … --set a=1,b=2" is one value, with and without the name of a command
// before it.
func TestRepeatableFlagsKeepCommas(t *testing.T) {
	tested := 0
	commands := append([]*cli.Command{application()}, application().Commands...)
	for i, command := range commands {
		for _, flag := range command.Flags {
			if _, ok := flag.(*cli.StringSliceFlag); !ok {
				continue
			}
			for _, name := range flag.Names() {
				tested++
				app, want := application(), []string{"a=1,b=2", ",", "c"}
				var got []string
				action := func(_ context.Context, c *cli.Command) error {
					got = c.StringSlice(name)
					return nil
				}
				args := []string{app.Name}
				if app.Action = action; i > 0 {
					app.Commands[i-1].Action = action
					args = append(args, command.Name)
				}
				dashes := "--"
				if len(name) == 1 {
					dashes = "-"
				}
				for _, value := range want {
					args = append(args, dashes+name, value)
				}
				if err := app.Run(t.Context(), args); err != nil || !slices.Equal(got, want) {
					t.Errorf("%s %s%s: got %q, want %q (%v)", command.Name, dashes, name, got, want, err)
				}
			}
		}
	}
	if tested == 0 {
		t.Error("no repeatable flag was found")
	}
}
