package phase

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/agent"
	"github.com/kubefile/kubefile/runner/host"
)

const kubeletConfig = "/etc/kubernetes/kubelet.conf"

// lookScript says what of us is on a host: $1 is the agent, $2 the cluster's directory, $3 the image's, $4 the journal, and $5 is a
// pattern for files that were being written. The markers follow.
const lookScript = `say() { printf '%s\n' "$1"; }
[ -x "$1" ] && say agent
[ -d "$2" ] && say dir
[ -e "$2/$4" ] && say journal
[ -n "$(find "$2" -mindepth 1 -maxdepth 1 ! -name lost+found ! -name created.lock ! -name "$5" 2>/dev/null | head -n 1)" ] && say full
[ -d "$3" ] && say image
shift 5
for marker; do [ -s "$marker" ] && say "$marker"; done
exit 0`

func lookArgs(program, dir, imageDir string, markers ...string) []string {
	return append([]string{"-c", lookScript, "sh", program, dir, imageDir, agent.JournalFile, agent.TemporaryName}, markers...)
}

// look finds out whether the host is of the cluster already.
func (m *member) look(ctx context.Context) error {
	out, err := m.ask(ctx, append([]string{"sh"}, lookArgs(agent.Path, m.Dir, m.image.Dir, m.path(initMarker), m.path(joinMarker))...)...)
	if err != nil {
		return err
	}
	there := strings.Split(string(out), "\n")
	has := func(what string) bool { return slices.Contains(there, what) }
	m.isNew = !has("dir") || !has("journal")
	m.absent = !has("image") || !has("agent")
	m.strange = m.isNew && has("full")
	if m.isNew {
		return nil
	}
	for _, marker := range []string{joinMarker, initMarker} {
		if has(m.path(marker)) {
			m.marker = marker
		}
	}
	if m.record, err = m.Record(ctx); err != nil {
		return err
	}
	m.joined = m.marker != "" && m.kubernetes()
	return nil
}

// kubernetes reports whether the host has what a node of a cluster has, and a master what makes it one.
func (m *member) kubernetes() bool {
	return m.facts.HasCluster(kubeletConfig) && (!m.isMaster() || m.facts.HasCluster(adminConfig))
}

// begun reports whether we began kubeadm on the host.
func (m *member) begun() bool {
	return m.record.HasBegun(agent.BegunKubeadmInit) || m.record.HasBegun(agent.BegunKubeadmJoin)
}

// refresh asks the host again what it is like: what was seen when the run began may be many minutes old. A dry run is at once.
func (c *Cluster) refresh(ctx context.Context, m *member) (err error) {
	if c.DryRun {
		return nil
	}
	if m.unlocked.Load() {
		return fmt.Errorf("%s: %w", m, ErrLockLost)
	}
	if m.begun() { // a kubeadm that an interrupted run left may still be at work: what it will have made is looked at
		if err := c.run(ctx, m, host.Command{Argv: []string{"true"}, Limit: kubeadmLimit}); err != nil {
			return err
		}
	}
	facts, err := host.Gather(ctx, m.Conn, c.DataRoot)
	if err != nil {
		return err
	}
	m.facts = facts
	m.record, err = m.Record(ctx)
	return err
}

// claim records on a host which cluster it is of, and what was begun on it, where that is not recorded: before a change that cannot be
// taken back, or on a host that an earlier version prepared. It refuses a host of another cluster.
func (c *Cluster) claim(ctx context.Context, m *member, what string) error {
	if c.DryRun || m.record.Of(c.Name, c.state.ID) && m.record.HasBegun(what) {
		return nil
	}
	if err := m.Begin(ctx, c.Name, c.state.ID, what); err != nil {
		return err
	}
	var err error
	m.record, err = m.Record(ctx)
	return err
}

// claimHost records that a host is prepared for the cluster.
func (c *Cluster) claimHost(ctx context.Context, m *member) error {
	if err := c.claim(ctx, m, agent.BegunInstall); err != nil || !m.joined {
		return err
	}
	begun := agent.BegunKubeadmJoin
	if m.marker == initMarker {
		begun = agent.BegunKubeadmInit
	}
	return c.claim(ctx, m, begun)
}
