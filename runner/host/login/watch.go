package login

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/host/stream"
)

const (
	// sourceLimit is how long a command waits for its next input.
	sourceLimit = 5 * time.Minute
	// quiet is how long a command runs before the first notice, and between two notices.
	quiet = 30 * time.Second
	// abandonDelay is how long we wait for a connection to end a command. It is longer than
	// terminateDelay, which the command itself has.
	abandonDelay = 2 * terminateDelay
	watchTick    = time.Second
)

// watched is a connection whose commands have limits, and whose Run returns soon after a limit even
// when the host is silent.
type watched struct {
	host.Conn
	waiting func(host.Waiting) // may be nil
	quiet   time.Duration
}

func (w *watched) Run(ctx context.Context, cmd host.Command) error {
	what := host.DoingWhat(ctx)
	if what == "" {
		what = cmd.Called()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := newWatch(w.Host(), &cmd)
	defer watch.close()
	ended := make(chan error, 1)
	go func() { ended <- w.Conn.Run(ctx, cmd) }()
	tick := time.NewTicker(min(watchTick, w.quiet, positive(watch.limit), positive(watch.stall)))
	defer tick.Stop()
	told := time.Duration(0)
	for {
		select {
		case err := <-ended:
			return watch.result(err)
		case <-ctx.Done():
			return w.abandon(ctx, cmd, watch, ended)
		case <-tick.C:
		}
		if limit := watch.exceeded(); limit != nil {
			cancel(limit)
			continue
		}
		idle := watch.idle()
		if idle < told { // there was progress meanwhile
			told = 0
		}
		if idle >= told+w.quiet && w.waiting != nil && cmd.Limit != host.NoLimit {
			told = idle
			w.waiting(host.Waiting{Host: w.Host(), What: what, For: idle, Said: said(cmd)})
		}
	}
}

// said is the last line that a command printed, if the caller knows.
func said(cmd host.Command) string {
	if cmd.Said == nil {
		return ""
	}
	return cmd.Said()
}

// abandon waits a moment for a command that was told to end.
func (w *watched) abandon(ctx context.Context, cmd host.Command, watch *watch, ended <-chan error) error {
	late := time.NewTimer(abandonDelay)
	defer late.Stop()
	select {
	case err := <-ended:
		return watch.result(err)
	case <-late.C:
		return fmt.Errorf("%s: %s: %w", w.Host(), cmd.Called(), context.Cause(ctx))
	}
}

// positive is d, or what no limit exceeds.
func positive(d time.Duration) time.Duration {
	if d <= 0 {
		return watchTick
	}
	return d
}

// watch is the progress of one command.
type watch struct {
	host  host.Host
	name  string
	limit time.Duration // negative: none
	stall time.Duration // 0: none
	shown bool          // output is progress
	out   []*stream.Gate

	mu       sync.Mutex
	progress time.Time // when a byte went in, or a visible one came out
	from     time.Time // when limit begins
	reading  bool      // the command could take input, and there is none yet
	fed      bool      // all input was read
	reached  *host.LimitError
	closed   bool
}

// newWatch puts a watch between a command and its input and output.
func newWatch(h host.Host, cmd *host.Command) *watch {
	now := time.Now()
	w := &watch{host: h, name: cmd.Called(), limit: cmd.Limit, stall: cmd.Stall, shown: cmd.Shown, progress: now, from: now}
	if w.limit == 0 {
		w.limit = host.AskLimit
	}
	if cmd.Stdin == nil {
		w.stall = 0
	} else {
		cmd.Stdin = &watchedInput{w, cmd.Stdin}
	}
	stdout, stderr := cmd.Stdout, cmd.Stderr
	cmd.Stdout = w.output(stdout)
	cmd.Stderr = w.output(stderr)
	return w
}

func (w *watch) output(to io.Writer) io.Writer {
	out := &stream.Gate{Writer: to}
	w.out = append(w.out, out)
	return watchedOutput{w, out}
}

// close keeps a command that goes on after its Run from reading and writing for the caller.
func (w *watch) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	for _, out := range w.out {
		out.Close()
	}
}

// result is the error of a command, which a limit takes precedence over.
func (w *watch) result(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reached == nil || err == nil {
		return err
	}
	return fmt.Errorf("%s: %s: %w", w.host, w.name, w.reached)
}

func (w *watch) idle() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.progress)
}

// exceeded returns the limit that the command has reached, or nil.
func (w *watch) exceeded() *host.LimitError {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := host.LimitError{Host: w.host.String(), Name: w.name}
	uploads := w.stall > 0 && !w.fed
	switch {
	case uploads && w.reading:
		e.After, e.Stalled, e.Source = sourceLimit, true, true
	case uploads:
		e.After, e.Stalled = w.stall, true
	case w.limit > 0:
		e.After = w.limit
	default:
		return nil
	}
	since := w.from
	if uploads {
		since = w.progress
	}
	if time.Since(since) < e.After {
		return nil
	}
	w.reached = &e
	return w.reached
}

// watchedInput is what a command reads.
type watchedInput struct {
	watch *watch
	from  io.Reader
}

func (i *watchedInput) Read(p []byte) (int, error) {
	if !i.watch.reads(true, nil) {
		return 0, io.ErrClosedPipe
	}
	n, err := i.from.Read(p)
	i.watch.reads(false, err)
	return n, err
}

// reads notes that the command begins or ends to wait for input.
func (w *watch) reads(begins bool, err error) (open bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reading = begins
	if w.stall > 0 {
		w.progress = time.Now()
	}
	if err != nil && w.stall > 0 {
		w.fed, w.from = true, w.progress
	}
	return !w.closed
}

// watchedOutput is what a command writes to.
type watchedOutput struct {
	watch *watch
	to    io.Writer
}

func (o watchedOutput) Write(p []byte) (int, error) {
	if o.watch.shown {
		o.watch.mu.Lock()
		o.watch.progress = time.Now()
		o.watch.mu.Unlock()
	}
	return o.to.Write(p)
}
