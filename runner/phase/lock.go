package phase

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/kubefile/kubefile/runner/host"
)

// ErrLocked says that another run works on the cluster.
var ErrLocked = errors.New("another sealer-run is working on this cluster: wait until it is done")

// lock keeps two runs from working on a cluster at once. The first master holds a flock(1) as long as our session lives, so a run that
// was killed leaves nothing to clear away.
type lock struct {
	*Cluster
	release io.Closer
	held    chan error
}

func (*lock) Title() string { return "Lock the cluster" }

// lockScript says that it has the lock and keeps it until its input ends.
const lockScript = "echo locked; exec cat >/dev/null"

// busy is the exit code for a lock that somebody else has.
const busy = 75

func (c *Cluster) lockFile() string { return "/run/kubefile-" + c.Name + ".lock" }

func (p *lock) Run(ctx context.Context) error {
	if p.DryRun || len(p.masters()) == 0 {
		return nil
	}
	input, release := io.Pipe()
	said, say := io.Pipe()
	p.release, p.held = release, make(chan error, 1)
	go func() {
		err := p.first().Conn.Run(ctx, host.Command{
			Argv:  []string{"flock", "-n", "-E", fmt.Sprint(busy), p.lockFile(), "sh", "-c", lockScript},
			Stdin: input, Stdout: say, Root: true,
		})
		say.CloseWithError(errors.Join(err, io.EOF))
		p.held <- err
	}()
	line := make([]byte, len("locked"))
	if _, err := io.ReadFull(said, line); err == nil && strings.HasPrefix(string(line), "locked") {
		go io.Copy(io.Discard, said)
		return nil
	}
	err := <-p.held
	p.release = nil
	var exit *host.ExitError
	if errors.As(err, &exit) && exit.Code == busy {
		return fmt.Errorf("%s: %w", p.first(), ErrLocked)
	}
	return err
}

// Close gives the lock back.
func (p *lock) Close() error {
	if p.release == nil {
		return nil
	}
	err := p.release.Close()
	<-p.held
	return err
}
