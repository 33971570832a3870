package execute

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kubefile/kubefile/runner/host"
)

var (
	// ErrLocked says that another run works on the host.
	ErrLocked = errors.New("another sealer-run is working on this host; wait until it ends")
	// ErrLockLost says that the lock was lost while the work went on, as when the delivery machine slept.
	ErrLockLost = errors.New("the lock on the host was lost; run the same command again")
)

// Lock keeps two runs from working on a host at once, whichever clusters and masters they were given. Every host that was reached holds a
// flock(1) as long as our session lives and is heard of, so that neither a run that was killed nor a delivery machine that went away
// leaves anything to clear away.
type Lock struct {
	*Session
	// Also has hosts that are locked too; nil for none.
	Also *Session

	mu   sync.Mutex
	held []*heldLock
}

// heldLock is the lock on one host.
type heldLock struct {
	member  *Member
	release io.Closer
	gone    chan struct{} // closed once the lock is
	abandon context.CancelCauseFunc
}

func (*Lock) Title() string { return "Lock the hosts" }

const (
	// lockScript writes $1, who holds it, to the locked file $2, says so, and keeps the lock as long as it hears something every $3 seconds.
	lockScript = `printf '%s\n' "$1" > "$2"; echo locked; while [ -n "$(timeout "$3" head -c 1)" ]; do :; done`
	// heartbeat is how often the lock's holder is heard of; it is given up after several that are missing.
	heartbeat      = 10 * time.Second
	heartbeatLimit = 60
	// lockLimit is how long a host may take to lock, and to give the lock back.
	lockLimit = time.Minute
	// maxOwner bounds what is repeated of the note in a locked file, in bytes.
	maxOwner = 200
)

// LockFile is below /run: no reboot leaves it behind. There is one for a host, and not one for each cluster: a host is in one cluster only.
func (s *Session) LockFile() string {
	return path.Join(cmp.Or(s.lockDir, "/run"), "kubefile.lock")
}

func (p *Lock) Run(ctx context.Context) error {
	if p.DryRun {
		return nil
	}
	members := p.Members
	if p.Also != nil {
		members = slices.Concat(members, p.Also.Members)
	}
	return p.Each(ctx, members, p.take)
}

// take locks one host.
func (p *Lock) take(ctx context.Context, m *Member) error {
	input, release := io.Pipe()
	said, say := io.Pipe()
	ctx, abandon := context.WithCancelCause(ctx)
	held := &heldLock{m, release, make(chan struct{}), abandon}
	late := time.AfterFunc(lockLimit, func() { abandon(&host.LimitError{Host: m.String(), Name: "flock", After: lockLimit}) })
	defer late.Stop()
	var ended error
	go func() {
		ended = m.Conn.Run(ctx, host.Command{
			Argv: []string{"flock", "--nonblock", "--close", "--conflict-exit-code", strconv.Itoa(busy), p.LockFile(),
				"sh", "-c", lockScript, "sh", owner(), p.LockFile(), strconv.Itoa(heartbeatLimit)},
			Stdin: input, Stdout: say, Root: true, Limit: host.NoLimit,
		})
		input.Close() // it is no longer read, and the next heartbeat must not wait for that
		say.Close()
		close(held.gone)
	}()
	if _, err := io.ReadFull(said, make([]byte, len("locked"))); err == nil {
		p.mu.Lock()
		p.held = append(p.held, held)
		p.mu.Unlock()
		go discard(said)
		go p.keep(held, release)
		return nil
	}
	release.Close()
	<-held.gone
	var exit *host.ExitError
	if errors.As(ended, &exit) && exit.Code == busy {
		return fmt.Errorf("%s: %w%s", m, ErrLocked, p.holder(context.WithoutCancel(ctx), m))
	}
	return fmt.Errorf("%s: locking it: %w", m, ended)
}

// discard reads what is not expected, in small pieces: there is a lock for each of hundreds of hosts.
func discard(r io.Reader) {
	io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, 64))
}

// keep sends heartbeats to the host until the lock is gone: no one else may work on it at the same time. With a master's lock all work ends, with a
// node's what cannot be undone on that node: one that loses its power does not stop the others.
func (p *Lock) keep(held *heldLock, w io.Writer) {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-held.gone:
			held.member.LoseLock()
			if held.member.IsMaster() {
				p.Abandon(fmt.Errorf("%s: %w", held.member, ErrLockLost))
			}
			return
		case <-ticker.C:
			w.Write([]byte(".")) // fails when the lock is gone
		}
	}
}

// owner is who we are, for those whom the lock keeps out.
func owner() string {
	name, machine := "someone", "an unknown machine"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		machine = h
	}
	return fmt.Sprintf("%s on %s, process %d, since %s", name, machine, os.Getpid(), time.Now().UTC().Format(time.RFC3339))
}

// holder returns who has the lock, as far as the note in the file shows.
func (p *Lock) holder(ctx context.Context, m *Member) string {
	note, err := m.Ask(ctx, "head", "-c", strconv.Itoa(maxOwner), p.LockFile())
	if err != nil || len(note) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%q)", strings.TrimSpace(string(note)))
}

// Close gives the locks back.
func (p *Lock) Close() error {
	var failed []error
	for _, held := range p.held {
		failed = append(failed, held.release.Close())
	}
	for _, held := range p.held {
		select {
		case <-held.gone:
		case <-time.After(lockLimit): // the host hangs; it gives the lock up when it has not heard of us
			held.abandon(nil)
		}
	}
	return errors.Join(failed...)
}
