// Package commandline is the contract that both programs keep with the person who calls them: an unknown word is an unknown command, no
// flag and no argument is silently ignored, an error in the call ends with status 2, and Ctrl-C ends the program.
package commandline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"github.com/urfave/cli/v3"
)

// Exit statuses besides 0.
const (
	Failed      = 1
	Usage       = 2
	Pending     = 2   // of a plan with changes
	Interrupted = 130 // 128 and the number of SIGINT, as shells have it
	brokenPipe  = 141 // of SIGPIPE, likewise
)

// UsageError is an error in how the program was called.
type UsageError struct{ text string }

func (e *UsageError) Error() string { return e.text }

// Usagef makes a [UsageError].
func Usagef(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// FileError returns the error of reading a file that a flag names. That there is none is an error in the call.
func FileError(flag string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) && errors.Is(path, fs.ErrNotExist) {
		return Usagef("flag %s: %s does not exist", dashed(flag), path.Path)
	}
	return err
}

// ErrPending ends a program that did its work, and found changes to make, with the status [Pending].
var ErrPending = errors.New("there are changes to make")

// Execute runs a program, and returns its exit status. resume returns what to do after an interruption of a command, or nothing; nil: nothing
// can be resumed.
func Execute(ctx context.Context, program *cli.Command, args []string, resume func(*cli.Command) string) int {
	k := keep(program, args)
	out := &output{Writer: cmp.Or[io.Writer](program.Writer, os.Stdout)}
	program.Writer = out
	err := out.result(cmp.Or(program.Run(ctx, args), k.noHelp))
	if err == nil {
		return 0
	}
	if errors.Is(err, ErrPending) {
		return Pending // what was printed says it
	}
	var unwritten *outputError
	if errors.As(err, &unwritten) && errors.Is(err, syscall.EPIPE) {
		return brokenPipe // whoever reads it has enough
	}
	status, text := Failed, err.Error()
	var usage *UsageError
	if errors.As(err, &usage) {
		status, text = Usage, fmt.Sprintf("%s (see %s --help)", text, program.Name)
	} else if by, interrupted := interruptedBy(ctx, err); interrupted {
		status, text = by, "interrupted"
		if resume != nil && k.called != nil {
			text = strings.TrimSuffix("interrupted; "+resume(k.called), "; ")
		}
	}
	fmt.Fprintf(program.ErrWriter, "%s: %s\n", program.Name, Printable(text))
	return status
}

// Printable escapes the control characters of a text, which would move a terminal's cursor or change its colours. Line breaks and tabs stay.
func Printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || r == '\t' || !unicode.IsControl(r) && !unicode.Is(unicode.Bidi_Control, r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}
