package execute

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
)

const (
	// KubeletConfig is the kubeconfig of a node's kubelet.
	KubeletConfig = "/etc/kubernetes/kubelet.conf"
	// InitMarker and JoinMarker say that kubeadm made the host a node, and how.
	InitMarker = "kubeadm-init.done"
	JoinMarker = "kubeadm-join.done"
	// KubeadmLimit is how long a kubeadm may take, with the time that it waits for one that an interrupted run left. It has limits of its own
	// for all that it waits for, of four or five minutes each.
	KubeadmLimit = 20 * time.Minute
)

// LookScript says what of us is on a host: $1 is the agent, $2 the cluster's directory, $3 the image's, $4 the journal, and $5 is a
// pattern for files that were being written, and $6 the record. The markers follow. The record is the last, between its line and the end.
const LookScript = `say() { printf '%s\n' "$1"; }
[ -x "$1" ] && say agent
[ -d "$2" ] && say dir
[ -e "$2/$4" ] && say journal
[ -n "$(find "$2" -mindepth 1 -maxdepth 1 ! -name lost+found ! -name created.lock ! -name "$5" 2>/dev/null | head -n 1)" ] && say full
[ -d "$3" ] && say image
record=$2/$6
shift 6
for marker; do [ -s "$marker" ] && say "$marker"; done
if [ -e "$record" ]; then
  say record
  cat "$record" || exit 1
fi
say ''
say end`

// ErrCutOff says that what a host says of the cluster has no end.
var ErrCutOff = errors.New("what it has of the cluster is not known, because its answer breaks off; run the same command again")

// LookQuestion asks a host what of us is on it: the agent, and what the cluster's directory and the image's have.
func LookQuestion(program, dir, imageDir string) host.Question {
	return host.Question{Script: LookScript, Args: []string{program, dir, imageDir, hostrecord.JournalFile, hostrecord.TemporaryName, hostrecord.RecordFile,
		path.Join(dir, InitMarker), path.Join(dir, JoinMarker)}}
}

// Look finds out whether the host is of the cluster already, by its answer to [LookQuestion]. Without one, it asks.
func (m *Member) Look(ctx context.Context, answer []byte) (err error) {
	if answer == nil {
		question := LookQuestion(wire.Path, m.Dir, m.Image.Dir)
		if answer, err = m.Ask(ctx, append([]string{"sh", "-c", question.Script, "sh"}, question.Args...)...); err != nil {
			return err
		}
	}
	said, whole := strings.CutSuffix("\n"+string(answer), "\nend\n")
	if !whole {
		return fmt.Errorf("%s: %w", m, ErrCutOff)
	}
	said, record, _ := strings.Cut(said, "\nrecord\n")
	there := strings.Split(said, "\n")
	has := func(what string) bool { return slices.Contains(there, what) }
	m.IsNew = !has("dir") || !has("journal")
	m.Absent = !has("image") || !has("agent")
	m.Strange = m.IsNew && has("full")
	if m.IsNew {
		return nil
	}
	for _, marker := range []string{JoinMarker, InitMarker} {
		if has(m.Path(marker)) {
			m.Marker = marker
		}
	}
	if m.Owner, err = m.ParseRecord([]byte(record)); err != nil {
		return err
	}
	m.Joined = m.Marker != "" && m.Kubernetes()
	return nil
}

// Kubernetes reports whether the host has what a node of a cluster has, and a master what makes it one.
func (m *Member) Kubernetes() bool {
	return m.Facts.HasCluster(KubeletConfig) && (!m.IsMaster() || m.Facts.HasCluster(AdminConfig))
}

// Begun reports whether we began kubeadm on the host.
func (m *Member) Begun() bool {
	return m.Owner.HasBegun(hostrecord.BegunKubeadmInit) || m.Owner.HasBegun(hostrecord.BegunKubeadmJoin)
}

// Authority is the hash of the certificate authority that the host's kubelet trusts; empty when there is none.
func (m *Member) Authority() string {
	hash, err := kubeadm.CAHash(m.Facts.Kubelet.Authority)
	if err != nil {
		return ""
	}
	return hash
}

// Refresh asks the host again what it is like: what was seen when the run began may be many minutes old. A dry run is at once.
func (s *Session) Refresh(ctx context.Context, m *Member) (err error) {
	if s.DryRun {
		return nil
	}
	if m.unlocked.Load() {
		return fmt.Errorf("%s: %w", m, ErrLockLost)
	}
	if m.Begun() { // a kubeadm that an interrupted run left may still be at work: what it will have made is looked at
		if err := s.Exec(ctx, m, host.Command{Argv: []string{"true"}, Limit: KubeadmLimit}); err != nil {
			return err
		}
	}
	facts, err := host.Gather(ctx, m.Conn, s.DataRoot)
	if err != nil {
		return err
	}
	m.Facts = facts
	m.Owner, err = m.Record(ctx)
	return err
}

// Claim records on a host which cluster it is of, and what was begun on it, where that is not recorded: before a change that cannot be
// taken back, or on a host that an earlier version prepared. It refuses a host of another cluster.
func (s *Session) Claim(ctx context.Context, m *Member, id, what string) error {
	if s.DryRun || m.Owner.Of(s.Name, id) && m.Owner.HasBegun(what) {
		return nil
	}
	if err := m.Begin(ctx, s.Name, id, what); err != nil {
		return err
	}
	var err error
	m.Owner, err = m.Record(ctx)
	return err
}

// ClaimHost records that a host is prepared for the cluster.
func (s *Session) ClaimHost(ctx context.Context, m *Member, id string) error {
	if err := s.Claim(ctx, m, id, hostrecord.BegunInstall); err != nil || !m.Joined {
		return err
	}
	begun := hostrecord.BegunKubeadmJoin
	if m.Marker == InitMarker {
		begun = hostrecord.BegunKubeadmInit
	}
	return s.Claim(ctx, m, id, begun)
}
