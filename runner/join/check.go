package join

import (
	"context"
	"fmt"
	"strings"

	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/fingerprint"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/kubeadm/difference"
	"github.com/kubefile/kubefile/runner/registry"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/store"
)

// LeftEmpty is what is said of a host of the cluster that comes back empty while others join.
const LeftEmpty = "warning: comes back empty, and is left as it is; apply brings it back"

// Check makes sure, once the hosts are locked, that the cluster is the one that the run was made for.
type Check struct {
	*execute.Session
	*store.Store
	// Site, Env (which goes over it) and Registry are what the site specifies.
	Site     *clusterfile.Clusterfile
	Env      environment.Set
	Registry registry.Settings
	// Artifact is the image of the run.
	Artifact *source.Artifact
}

// Title says what the phase does, for a person.
func (*Check) Title() string { return "Check what joins the cluster" }

// Run refuses another cluster, and leaves out hosts that nobody asked for.
func (p *Check) Run(context.Context) error {
	if !p.Running() {
		return fmt.Errorf("%s has no control plane of cluster %s; bring the cluster up again with apply, then add hosts", p.First(), p.Name)
	}
	if p.State.Digest != p.Artifact.Digest {
		return fmt.Errorf("another run changed the image of the cluster to %s (%s); run the same command again with that image", p.State.Image, p.State.Digest)
	}
	p.leaveOutStrangers()
	warning, err := p.Unlike(p.State)
	if warning != "" {
		p.Report.Printf("warning: %s\n", warning)
	}
	return err
}

// leaveOutStrangers takes hosts out of the run that neither join nor are in the cluster now: nobody asked for them to be made nodes again.
func (p *Check) leaveOutStrangers() {
	kept := p.Members[:0:0]
	for _, m := range p.Members {
		known := p.State.Host(m.Host.Address)
		if !p.Joins(m) && (!m.Joined || known == nil) {
			why := "warning: not a node of the cluster now, and left as it is; apply the cluster's image with this host to make it one again, or remove it with delete"
			if known != nil && known.In() && m.IsEmpty() {
				why = LeftEmpty
			}
			p.Report.Line(m.String(), why)
			m.Conn.Close()
			continue
		}
		m.Index = len(kept)
		kept = append(kept, m)
	}
	p.Members = kept
}

// Unlike tells how hosts that join would be unlike the others.
func (p *Check) Unlike(s *state.State) (warning string, err error) {
	const give = "give the Clusterfile that the cluster was made with (-f)"
	const giveEnv = ", or the same --env where it was made without a Clusterfile"
	hidden := difference.Hidden(p.Site.Kubeadm, kubeadm.JoinKind)
	now := fingerprint.Of(s.ID, p.Site, p.Env, p.Registry)
	switch {
	case len(hidden) > 0:
		return "", fmt.Errorf("the state does not keep the values of %s, which may be secret; %s", strings.Join(hidden, ", "), give)
	case s.Wanted == nil || s.Wanted.Site == nil:
		if !p.Joining.ByFile {
			err = fmt.Errorf("an earlier version wrote the state of cluster %s, which does not note how the site configured it; %s, or write one with gen", p.Name, give)
		}
		return "", err
	case !p.Joining.ByFile:
		if other := fingerprint.Differences(s.Wanted, now); len(other) > 0 {
			err = fmt.Errorf("the new hosts would differ from the others: the cluster was made with other %s, and the state does not keep these; %s",
				strings.Join(other, ", "), give+giveEnv)
		}
		return "", err
	}
	if other := fingerprint.Differences(s.Wanted, now, fingerprint.Registry, fingerprint.Aliases); len(other) > 0 {
		return "", fmt.Errorf("the Clusterfile and the cluster have different %s, and these concern all hosts; apply the Clusterfile first", strings.Join(other, ", "))
	}
	if other := fingerprint.Differences(s.Wanted, now); len(other) > 0 {
		warning = fmt.Sprintf("the Clusterfile and the cluster have different %s; only the hosts that join get those of the Clusterfile", strings.Join(other, ", "))
	}
	return warning, nil
}
