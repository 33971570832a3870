package phase

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/kubefile/kubefile/runner/host"
)

// A line of an error names the host that it is about once, however deep the error comes from.
func TestDoNamesTheHostOnce(t *testing.T) {
	p := newPark(t, 1, 0)
	exit := &host.ExitError{Host: "10.0.0.1", Name: "tar", Code: 2}
	for want, err := range map[string]error{
		"10.0.0.1: unpack it: tar failed with exit code 2":                                          exit,
		"10.0.0.1: unpack it: sending: tar failed with exit code 2":                                 fmt.Errorf("sending: %w", exit),
		"10.0.0.1: unpack it: no space":                                                             errors.New("no space"),
		"10.0.0.1: unpack it: 10.0.0.10: no route":                                                  errors.New("10.0.0.10: no route"),
		"10.0.0.1: unpack it: tar failed with exit code 2\n10.0.0.1: tar failed with exit code 2":   errors.Join(exit, exit),
		"10.0.0.1: unpack it: no space\ntar: 10.0.0.1: refused\n10.0.0.2: tar: refused by 10.0.0.1": errors.New("no space\ntar: 10.0.0.1: refused\n10.0.0.2: tar: refused by 10.0.0.1"),
	} {
		got := p.Do(t.Context(), p.first(), "unpack it", func(context.Context) error { return err })
		if got == nil || got.Error() != want {
			t.Errorf("got %v, want %s", got, want)
		}
		if !errors.Is(got, err) {
			t.Errorf("%v is not the error that it is made of", got)
		}
	}
}
