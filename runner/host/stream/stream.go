// Package stream has what is between a command on a host and those who read its output and write its input.
package stream

import (
	"io"
	"strings"
	"sync"
)

// Tail is a writer that remembers the end of what it saw and passes all of it on.
type Tail struct {
	Next io.Writer // nil: no one
	kept []byte
}

// TailLines is how many lines [Tail.String] has at most.
const TailLines = 8

// tailBytes is how much is remembered, in bytes.
const tailBytes = 4096

// Write remembers the last 4 KiB.
func (t *Tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p[max(0, len(p)-tailBytes):]...)
	t.kept = t.kept[max(0, len(t.kept)-tailBytes):]
	if t.Next == nil {
		return len(p), nil
	}
	return t.Next.Write(p)
}

// String returns the last [TailLines] lines, fit for a message: no control characters from a host reach a terminal.
func (t *Tail) String() string {
	lines := strings.Split(strings.TrimSpace(string(t.kept)), "\n")
	lines = lines[max(0, len(lines)-TailLines):]
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0)) {
			return -1
		}
		return r
	}, strings.Join(lines, "\n"))
}

// Input is what a command reads. When it breaks off, Broken is told before the command can take the part for the whole.
type Input struct {
	io.Reader
	Broken func(error)
}

// Read implements [io.Reader].
func (i Input) Read(p []byte) (int, error) {
	n, err := i.Reader.Read(p)
	if err != nil && err != io.EOF {
		i.Broken(err)
	}
	return n, err
}

// Gate is a writer that can be closed while others still write to it.
type Gate struct {
	Writer io.Writer // nil: nowhere

	mu     sync.Mutex
	closed bool
}

// Write returns [io.ErrClosedPipe] once the gate is closed.
func (g *Gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return 0, io.ErrClosedPipe
	}
	if g.Writer == nil {
		return len(p), nil
	}
	return g.Writer.Write(p)
}

// ReadFrom implements [io.ReaderFrom] for io.Copy, which a session of SSH uses.
func (g *Gate) ReadFrom(r io.Reader) (int64, error) { return Copy(g, r) }

// Close makes all writes fail that come after it. It waits for one that is under way.
func (g *Gate) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}
