package membership

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/kube"
)

// remains is what the cluster still has of a host that comes back with nothing of it: its disk was replaced, or it was installed again.
type remains struct {
	member *execute.Member
	nodes  []kube.Node  // at its address: one, which may have the name that the host had
	etcd   *kube.Member // nil for none
}

// what is left of the host, for a person.
func (r remains) what() string {
	var left []string
	if r.etcd != nil {
		left = append(left, "member "+r.etcd.String()+" of etcd")
	}
	for _, n := range r.nodes {
		left = append(left, "node "+n.Metadata.Name)
	}
	return strings.Join(left, " and ")
}

// observed is what the API and etcd have, as far as a host that joins may meet it.
type observed struct {
	nodes map[string]kube.Node
	etcd  []kube.Member // nil when no master joins, or etcd does not run on the masters
}

// remainsOf finds what is left of an empty host. It refuses one whose name another node has.
func remainsOf(m *execute.Member, is observed) (*remains, error) {
	found := remains{member: m}
	for _, name := range slices.Sorted(maps.Keys(is.nodes)) {
		n := is.nodes[name]
		switch {
		case slices.Contains(n.Addresses(), m.Host.Address), name == m.Name && m.Owns(&n):
			found.nodes = append(found.nodes, n)
		case name == m.Name:
			return nil, nameTaken(m, &n)
		}
	}
	if m.IsMaster() {
		found.etcd = kube.MemberAt(is.etcd, m.Host.Address)
	}
	if found.etcd == nil && len(found.nodes) == 0 {
		return nil, nil
	}
	return &found, nil
}

// nameTaken is the error for a host whose name a node at another address has.
func nameTaken(m *execute.Member, n *kube.Node) error {
	return fmt.Errorf("%s is named %s, and the cluster has a node %s at %s; rename this host (hostnamectl hostname NAME, or a HOSTNAME plugin), "+
		"or run kubectl delete node %s if that node is gone for good", m, m.Name, m.Name, n.Address(), m.Name)
}

// checkEtcd refuses remains whose member of etcd answers or is not known to be ours, and those without which etcd would stop.
func (e *Examiner) checkEtcd(all []remains, members []kube.Member) error {
	var failed []error
	left := members
	for _, r := range all {
		if r.etcd == nil {
			continue
		}
		var err error
		switch m := r.member; {
		case r.etcd.Healthy:
			err = fmt.Errorf("%s: nothing of the cluster is on this host, but member %s of etcd at its address answers; "+
				"find the machine that has the address as well, and switch one of them off", m, r.etcd)
		case !e.InState[m]:
			err = fmt.Errorf("%s: etcd has a member %s, and the cluster's state does not have this host; if that member is gone for good, remove it first: %s",
				m, r.etcd, e.deleteLost(m.Host.Address))
		default:
			if left, err = kube.Without(left, *r.etcd); err != nil {
				err = fmt.Errorf("%s comes back empty, but its old member cannot be removed: %w; "+
					"bring the members back that do not answer, or restore etcd from a backup", m, err)
			}
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// deadMembers refuses to have masters join while a member of etcd does not answer that stays: kubeadm would fail minutes later.
func (e *Examiner) deadMembers(all []remains, members []kube.Member) error {
	var failed []error
	for _, dead := range members {
		addresses := dead.Addresses()
		ofHost := func(m *execute.Member) bool { return slices.Contains(addresses, m.Host.Address) }
		at := slices.IndexFunc(e.Masters(), ofHost)
		switch {
		case dead.Healthy, slices.ContainsFunc(all, func(r remains) bool { return ofHost(r.member) }):
		case at < 0 && len(addresses) == 0:
			failed = append(failed, fmt.Errorf("member %s of etcd does not answer, so no master can join; remove it with etcdctl member remove %x", dead, dead.ID))
		case slices.ContainsFunc(addresses, e.leavesOut):
			failed = append(failed, fmt.Errorf("member %s of etcd does not answer, so no master can join, and nothing of the cluster runs on its host; "+
				"bring that host back first with apply, or remove it with delete -m %s", dead, addresses[0]))
		case at < 0:
			failed = append(failed, fmt.Errorf("member %s of etcd does not answer, so no master can join; start its host again, or, if that is gone for good, run first: %s",
				dead, e.deleteLost(addresses[0])))
		case e.Masters()[at].Joined:
			failed = append(failed, fmt.Errorf("member %s of etcd does not answer, so no master can join; to find out why, run crictl ps -a and journalctl -u kubelet -n 50 on %s",
				dead, e.Masters()[at]))
		}
	}
	return errors.Join(failed...)
}

// deleteLost is the command that takes a master out of the cluster that is gone for good.
func (e *Examiner) deleteLost(master netip.Addr) string {
	command := fmt.Sprintf("sealer-run delete --lost -m %s --via %s", master, e.First())
	if e.Name != execute.DefaultName {
		command += " --cluster-name " + e.Name
	}
	if e.DataRoot != execute.DefaultDataRoot {
		command += " --data-root " + e.DataRoot
	}
	return command
}

// leavesOut reports whether an address is that of a host of the cluster that is not in it now, and that a run that adds others leaves as it is.
func (e *Examiner) leavesOut(address netip.Addr) bool {
	if e.Joining == nil {
		return false
	}
	m := e.Member(address.String())
	return slices.Contains(e.Joining.Empty, address) || m != nil && !m.Joined && !e.Joins(m)
}
