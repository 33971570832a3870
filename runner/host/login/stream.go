package login

import (
	"io"
	"strings"
	"sync"
)

// tail is a writer that remembers the end of what it saw and passes all of it on.
type tail struct {
	next io.Writer
	kept []byte
}

const (
	tailBytes = 4096
	tailLines = 8
)

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p[max(0, len(p)-tailBytes):]...)
	t.kept = t.kept[max(0, len(t.kept)-tailBytes):]
	if t.next == nil {
		return len(p), nil
	}
	return t.next.Write(p)
}

// String is the last lines, fit for a message: no control characters from a
// host reach a terminal.
func (t *tail) String() string {
	lines := strings.Split(strings.TrimSpace(string(t.kept)), "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0)) {
			return -1
		}
		return r
	}, strings.Join(lines, "\n"))
}

// input is what a command reads. When it breaks off, broken is told before the
// command can take the part for the whole.
type input struct {
	io.Reader
	broken func(error)
}

func (i input) Read(p []byte) (int, error) {
	n, err := i.Reader.Read(p)
	if err != nil && err != io.EOF {
		i.broken(err)
	}
	return n, err
}

// gate is a writer that can be closed while others still write to it.
type gate struct {
	mu     sync.Mutex
	w      io.Writer // nil: nowhere
	closed bool
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return 0, io.ErrClosedPipe
	}
	if g.w == nil {
		return len(p), nil
	}
	return g.w.Write(p)
}

// ReadFrom implements [io.ReaderFrom] for io.Copy, which a session of SSH uses.
func (g *gate) ReadFrom(r io.Reader) (int64, error) { return copyAll(g, r) }

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}
