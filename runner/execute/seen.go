package execute

import (
	"context"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/host"
)

// seen is what was read of a host at once. It ends when a command runs there that may change the host.
type seen struct {
	files atomic.Pointer[wire.Observed]
}

// seenConn is the connection to a host of which something was read.
type seenConn struct {
	host.Conn
	seen *seen
}

// Run implements [host.Conn].
func (c seenConn) Run(ctx context.Context, cmd host.Command) error {
	if !cmd.ReadOnly {
		c.seen.files.Store(nil)
	}
	return c.Conn.Run(ctx, cmd)
}

// content is that of a file; empty when there is none.
func (s *seen) content(name string) (content []byte, known bool) {
	if s == nil {
		return nil, false
	}
	return s.files.Load().Content(name)
}

// digest is that of a file; empty when there is none.
func (s *seen) digest(name string) (sum digest.Digest, known bool) {
	if s == nil {
		return "", false
	}
	return s.files.Load().Digest(name)
}

// ReadFiles reads files of every host at once, so that a host on which there is nothing to do is not asked for each of them. On a host that gives
// no answer, as by an agent of an earlier version, each file is asked for.
func (s *Session) ReadFiles(ctx context.Context, which func(*Member) wire.Files) error {
	return s.Each(ctx, s.Members, func(ctx context.Context, m *Member) error {
		if m.IsNew {
			return nil
		}
		files, err := m.Observe(ctx, which(m))
		if err != nil {
			return context.Cause(ctx)
		}
		m.seen = &seen{}
		m.seen.files.Store(files)
		m.Client.Conn = seenConn{m.Client.Conn, m.seen}
		m.Image.Conn = seenConn{m.Image.Conn, m.seen}
		return nil
	})
}

// Unchanged reports whether the files of the host were read, and nothing that may change it was run since.
func (m *Member) Unchanged() bool { return m.seen != nil && m.seen.files.Load() != nil }
