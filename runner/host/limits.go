package host

import (
	"context"
	"fmt"
	"time"
)

const (
	// AskLimit is how long a command may run that sets no limit of its own.
	AskLimit = 2 * time.Minute
	// NoLimit is the Limit of a command that runs as long as we do.
	NoLimit time.Duration = -1
	// UploadStall is how long a command may take none of the input that waits for it.
	UploadStall = time.Minute
)

// LimitError reports a command that was ended because the host did not get on with it.
type LimitError struct {
	Host    string        // address
	Name    string        // of the command
	After   time.Duration // the limit that was reached
	Stalled bool          // it took no input, or got none; otherwise it did not end
	Source  bool          // the input was late, not the host
}

// Error names what was waited for. [Conn.Run] puts host and command in front of it.
func (e *LimitError) Error() string { return e.what() + ": " + e.mend() }

// what says what happened.
func (e *LimitError) what() string {
	switch {
	case e.Source:
		return fmt.Sprintf("waited %s for data to send", e.After)
	case e.Stalled:
		return fmt.Sprintf("the host took no data for %s", e.After)
	}
	return fmt.Sprintf("did not end within %s", e.After)
}

// mend says what to do.
func (e *LimitError) mend() string {
	switch {
	case e.Source:
		return "check that the cluster image can still be read"
	case e.Stalled:
		return "check its disk and its load, then run the same command again"
	}
	return "check the disk and the load of the host, then run the same command again"
}

// Waiting is a command that has shown no progress for a while.
type Waiting struct {
	Host Host
	What string        // as [Doing] named it, or the command
	For  time.Duration // since the last progress
	Said string        // the last line that it printed, if the caller knows
}

type doingKey struct{}

// Doing names what the commands of a context are for. A [Waiting] has the name.
func Doing(ctx context.Context, what string) context.Context {
	return context.WithValue(ctx, doingKey{}, what)
}

// DoingWhat returns the name that [Doing] gave to a context, or nothing.
func DoingWhat(ctx context.Context) string {
	what, _ := ctx.Value(doingKey{}).(string)
	return what
}
