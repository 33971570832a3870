package phase

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/command"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/fingerprint"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/state"
)

// LeftEmpty is what is said of a host of the cluster that comes back empty while others join.
const LeftEmpty = "warning: comes back empty, and is left as it is; apply brings it back"

// Missing returns those of the hosts that are to join that are not completely in the cluster yet, and refuses those that are in it with another
// role, leave it, or come back empty.
func (in Recalled) Missing(j execute.Joining) (missing execute.Joining, err error) {
	missing.ByFile, missing.Empty = j.ByFile, in.Empty
	var refused []error
	choose := func(role host.Role, addresses []netip.Addr) (chosen []netip.Addr) {
		for _, address := range addresses {
			known := in.State.Host(address)
			switch {
			case slices.Contains(in.Empty, address) && known.Role == string(role):
				refused = append(refused, fmt.Errorf("%s is in the cluster as %s and comes back empty: apply brings it back; leave it out here", address, known.Name))
			case known == nil || !known.In() || known.Phase == state.Joined && known.Role == string(role):
				chosen = append(chosen, address)
			case known.Leaves():
				refused = append(refused, interruptedLeave(*known))
			case known.Role != string(role):
				refused = append(refused, fmt.Errorf("%s is already a %s in this cluster and cannot be added as a %s", address, known.Role, role))
			}
		}
		return chosen
	}
	missing.Masters = choose(host.RoleMaster, j.Masters)
	missing.Nodes = choose(host.RoleNode, j.Nodes)
	return missing, errors.Join(refused...)
}

// interruptedLeave is the error for a host whose removal has to be completed first.
func interruptedLeave(known state.Host) error {
	leaving := leaver{address: known.Address, role: host.Role(known.Role)}
	lost := ""
	if known.Phase == state.Lost {
		lost = " --lost"
	}
	return fmt.Errorf("%s: its removal from the cluster was interrupted; run delete%s %s again. After that, the host can join again", known.Address, lost, leaving.flag())
}

// leavesOut reports whether an address is that of a host of the cluster that is not in it now, and that a run that adds others leaves as it is.
func (c *Cluster) leavesOut(address netip.Addr) bool {
	if c.Joining == nil {
		return false
	}
	m := c.Member(address.String())
	return slices.Contains(c.Joining.Empty, address) || m != nil && !m.Joined && !c.Joins(m)
}

// Addition is everything that adds hosts to a running cluster: a bring-up that prepares only these, and changes on the others what they have to
// know. The image's commands are of the cluster, and have run.
func Addition(c *Cluster) []Phase { return withoutCommands(Bringup(c)) }

// AppAddition is everything that brings an application image of the cluster to hosts that have joined.
func AppAddition(c *Cluster) []Phase { return withoutCommands(Installation(c)) }

func withoutCommands(all []Phase) (phases []Phase) {
	for _, one := range all {
		if _, runs := one.(*command.RunCommands); runs {
			continue
		}
		phases = append(phases, one)
		if read, reads := one.(*remember); reads {
			phases = append(phases, &checkJoining{read.Cluster})
		}
	}
	return phases
}

// checkJoining makes sure, once the hosts are locked, that the cluster is the one that the run was made for.
type checkJoining struct{ *Cluster }

func (*checkJoining) Title() string { return "Check what joins the cluster" }

func (p *checkJoining) Run(context.Context) error {
	if !p.Running() {
		return fmt.Errorf("%s has no control plane of cluster %s; bring the cluster up again with apply, then add hosts", p.First(), p.Name)
	}
	if p.State.Digest != p.Artifact.Digest {
		return fmt.Errorf("another run changed the image of the cluster to %s (%s); run the same command again with that image", p.State.Image, p.State.Digest)
	}
	p.leaveOutStrangers()
	warning, err := p.unlike(p.State)
	if warning != "" {
		p.Report.Printf("warning: %s\n", warning)
	}
	return err
}

// leaveOutStrangers takes hosts out of the run that neither join nor are in the cluster now: nobody asked for them to be made nodes again.
func (p *checkJoining) leaveOutStrangers() {
	kept := p.Members[:0:0]
	for _, m := range p.Members {
		known := p.State.Host(m.Host.Address)
		if !p.Joins(m) && (!m.Joined || known == nil) {
			why := "warning: not a node of the cluster now, and left as it is; apply the cluster's image with this host to make it one again, or remove it with delete"
			if known != nil && known.In() && isEmpty(m) {
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

// CheckJoining refuses hosts that would not become what the others are, since the site differs from the one that the cluster was made with.
func (c *Cluster) CheckJoining(s *state.State) error {
	_, err := c.unlike(s)
	return err
}

// unlike tells how hosts that join would be unlike the others.
func (c *Cluster) unlike(s *state.State) (warning string, err error) {
	const give = "give the Clusterfile that the cluster was made with (-f)"
	const giveEnv = ", or the same --env where it was made without a Clusterfile"
	hidden := c.Site.Kubeadm.Hidden(kubeadm.JoinKind)
	now := c.siteFingerprints(s.ID)
	switch {
	case len(hidden) > 0:
		return "", fmt.Errorf("the state does not keep the values of %s, which may be secret; %s", strings.Join(hidden, ", "), give)
	case s.Wanted == nil || s.Wanted.Site == nil:
		if !c.Joining.ByFile {
			err = fmt.Errorf("an earlier version wrote the state of cluster %s, which does not note how the site configured it; %s, or write one with gen", c.Name, give)
		}
		return "", err
	case !c.Joining.ByFile:
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
