package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/kubefile/kubefile/runner/host"
)

// Output takes what a host prints into the log, line by line with the host's name.
func (r *Report) Output(host string) *Output {
	return &Output{report: r, to: r.log, prefix: host + " | "}
}

// ShownOutput is one that shows the lines to the person, too.
func (r *Report) ShownOutput(host string) *Output {
	return &Output{report: r, to: io.MultiWriter(r.log, r.out), prefix: host + " | ", Shown: true}
}

// Output takes what a command prints on a host.
type Output struct {
	report  *Report
	to      io.Writer
	prefix  string
	Shown   bool              // to the person, too
	Seen    func(line string) // if not nil, gets every line, too
	mu      sync.Mutex        // standard output and standard error write at the same time
	pending []byte
	latest  string
	printed int // bytes
}

// Last is the last line that is not empty, cut to what fits in a notice.
func (l *Output) Last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest
}

const (
	// maxLine is where a line without end is cut.
	maxLine = 16 << 10
	// maxPrinted is how much of one command's output is kept.
	maxPrinted = 64 << 20
	// maxNotice is how much of a line is in a notice.
	maxNotice = 120
)

// Write implements [io.Writer].
func (l *Output) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = append(l.pending, p...)
	for {
		end := bytes.IndexByte(l.pending, '\n') + 1
		if end == 0 && len(l.pending) < maxLine {
			return len(p), nil
		}
		if end == 0 {
			end = maxLine
		}
		l.flush(l.pending[:end])
		l.pending = l.pending[end:]
	}
}

func (l *Output) flush(line []byte) {
	line = []byte(host.WithoutControls(string(bytes.TrimRight(line, "\r\n"))))
	if text := strings.TrimSpace(string(line[:min(len(line), maxNotice)])); text != "" {
		l.latest = strings.ToValidUTF8(text, "")
	}
	before := l.printed
	if l.printed += len(line) + 1; before > maxPrinted {
		return
	}
	if l.Seen != nil {
		l.Seen(string(line))
	}
	l.report.mu.Lock()
	defer l.report.mu.Unlock()
	fmt.Fprintf(l.to, "%s%s\n", l.prefix, line)
	if l.printed > maxPrinted {
		fmt.Fprintf(l.to, "%sthe rest of the output is left out: it is too long\n", l.prefix)
	}
}

// Close writes what is left of a last line.
func (l *Output) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) > 0 {
		l.flush(l.pending)
		l.pending = nil
	}
	return nil
}
