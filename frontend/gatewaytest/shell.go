package gatewaytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// Shell is a [Program] that runs a shell command line: its last argument, after -c. It has what is built into a shell, redirections and globs,
// and no other command.
func Shell(ctx context.Context, p *Process) error {
	script, err := syntax.NewParser().Parse(strings.NewReader(p.Args[len(p.Args)-1]), "")
	if err != nil {
		return err
	}
	var output strings.Builder
	dir, err := p.Path(p.Dir)
	if err != nil {
		return err
	}
	resolve := func(name string) (string, error) { // the interpreter has made some names absolute
		if below, ok := strings.CutPrefix(name, dir+"/"); ok {
			name = below
		}
		return p.Path(name)
	}
	runner, err := interp.New(
		interp.Dir(dir),
		interp.Env(expand.ListEnviron(p.Env...)),
		interp.StdIO(nil, &output, &output),
		interp.OpenHandler(func(_ context.Context, name string, flag int, mode fs.FileMode) (io.ReadWriteCloser, error) {
			file, err := resolve(name)
			if err != nil {
				return nil, err
			}
			return os.OpenFile(file, flag, mode)
		}),
		interp.StatHandler(func(_ context.Context, name string, follow bool) (fs.FileInfo, error) {
			file, err := resolve(name)
			if err != nil {
				return nil, err
			}
			return os.Lstat(file)
		}),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc {
			return func(_ context.Context, args []string) error {
				fmt.Fprintf(&output, "%s: command not found\n", args[0])
				return interp.ExitStatus(127)
			}
		}),
	)
	if err != nil {
		return err
	}
	var status interp.ExitStatus
	if err := runner.Run(ctx, script); errors.As(err, &status) {
		return fmt.Errorf("exit code: %d", uint8(status))
	} else if err != nil {
		return err
	}
	return nil
}
