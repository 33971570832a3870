package commandline

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/urfave/cli/v3"
)

// OutputFlag is the flag --output of commands that print text for people or JSON for programs.
func OutputFlag() cli.Flag {
	return &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "text or json", Validator: func(value string) error {
		if value != "text" && value != "json" {
			return fmt.Errorf("%q is neither text nor json", value)
		}
		return nil
	}}
}

// WriteJSON writes a value as indented JSON.
func WriteJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// output is the standard output of a program, and keeps what was wrong with it: neither the library nor every command looks.
type output struct {
	io.Writer
	mu     sync.Mutex
	failed error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed == nil {
		o.failed = err
	}
	return n, err
}

// outputError is why what a program found is not where it should be.
type outputError struct{ cause error }

func (e *outputError) Error() string {
	cause := e.cause
	var path *fs.PathError
	if errors.As(cause, &path) {
		cause = path.Err // the name is /dev/stdout, whatever it is
	}
	return fmt.Sprintf("the output could not be written: %v", cause)
}

func (e *outputError) Unwrap() error { return e.cause }

// result is the error of a program that ended with one, or none, and printed to the output.
func (o *output) result(err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed != nil && (err == nil || errors.Is(err, ErrPending) || errors.Is(err, o.failed)) {
		return &outputError{o.failed}
	}
	return err
}
