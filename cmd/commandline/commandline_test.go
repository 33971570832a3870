package commandline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/urfave/cli/v3"
)

func TestExitStatus(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		said   string
	}{
		{nil, 0, ""},
		{errors.New("no host"), Failed, "x: no host\n"},
		{Usagef("no %s", "-m"), Usage, "x: no -m (see x --help)\n"},
		{fmt.Errorf("plan: %w", ErrPending), Pending, ""},
	} {
		var said bytes.Buffer
		program := &cli.Command{Name: "x", ErrWriter: &said, Action: func(context.Context, *cli.Command) error { return tt.err }}
		if status := Execute(t.Context(), program, []string{"x"}, ""); status != tt.status || said.String() != tt.said {
			t.Errorf("%v ends with %d and %q, want %d and %q", tt.err, status, &said, tt.status, tt.said)
		}
	}
}
