package store

import (
	"context"
	"net/netip"
	"net/url"
	"slices"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/state"
)

// Others are the hosts of the cluster that are not members of a session. They stay in the cluster.
func (t *Store) Others(s *execute.Session) []state.Host {
	given := make(map[netip.Addr]bool, len(s.Members)) // files of each host are made of the others: no host is compared with each
	for _, m := range s.Members {
		given[m.Host.Address] = true
	}
	var others []state.Host
	for _, h := range t.State.Hosts {
		if !given[h.Address] {
			others = append(others, h)
		}
	}
	return others
}

// Staying are the other hosts of the cluster that this run does not take out of it when it has done its work: what it writes does not name those
// that leave, so that nothing has to be written twice.
func (t *Store) Staying(s *execute.Session) []state.Host {
	return slices.DeleteFunc(t.Others(s), func(h state.Host) bool { return slices.Contains(t.Next, h.Address) })
}

// MasterAddresses are those of all masters of the cluster, whether they were named this time or not, and sorted, so that a file that is
// made of them does not depend on how they were named.
func (t *Store) MasterAddresses(s *execute.Session) []netip.Addr {
	var addresses []netip.Addr
	for _, m := range s.Masters() {
		addresses = append(addresses, m.Host.Address)
	}
	for _, other := range t.Staying(s) {
		if other.Role == string(host.RoleMaster) && other.In() {
			addresses = append(addresses, other.Address)
		}
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	return addresses
}

// Addresses are those of all hosts that were reached, and of the others that the cluster knows.
func (t *Store) Addresses(s *execute.Session) []netip.Addr {
	var all []netip.Addr
	for _, m := range s.Members {
		all = append(all, m.Host.Address)
	}
	for _, other := range t.Others(s) {
		all = append(all, other.Address)
	}
	return all
}

// CheckRecord refuses a host whose record names another cluster.
func (t *Store) CheckRecord(s *execute.Session, m *execute.Member) error {
	if m.Owner == nil || m.Owner.Of(s.Name, t.State.ID) {
		return nil
	}
	return &hostrecord.OtherClusterError{Host: m.String(), Dir: m.Dir, Have: *m.Owner}
}

// InOtherCluster reports whether a host's kubelet is in another cluster by now: its API is not on a host of this one, and the CA is not that
// of this cluster's kubelets either.
func (t *Store) InOtherCluster(s *execute.Session, m *execute.Member) bool {
	if !m.Facts.HasCluster(execute.KubeletConfig) || t.serves(s, m.Facts.Kubelet.Server) {
		return false
	}
	return !slices.ContainsFunc(s.Members, func(other *execute.Member) bool {
		return m.Authority() == other.Authority() && t.serves(s, other.Facts.Kubelet.Server)
	})
}

// serves reports whether a URL leads to the API of this cluster.
func (t *Store) serves(s *execute.Session, server string) bool {
	parsed, err := url.Parse(server)
	if err != nil || parsed.Hostname() == "" {
		return true // not known to be another's
	}
	address, err := netip.ParseAddr(parsed.Hostname())
	if err != nil {
		return parsed.Hostname() == execute.EndpointName || parsed.Hostname() == "localhost"
	}
	return address.IsLoopback() || slices.Contains(t.Addresses(s), address)
}

// Recall reads the state, and names the nodes by it.
func (t *Store) Recall(ctx context.Context, s *execute.Session, plugins []plugin.Plugin) error {
	if err := t.Load(ctx, s); err != nil {
		return err
	}
	t.SettleNames(s, plugins)
	return nil
}

// SettleNames finds the names of the nodes: that which is known, that which one of the plugins gives, or the host's own.
func (t *Store) SettleNames(s *execute.Session, plugins []plugin.Plugin) {
	for _, m := range s.Members {
		m.Name = s.OwnName(m, plugins)
		// The name of a host that never joined may still change.
		if known := t.State.Host(m.Host.Address); known != nil && (known.In() || m.Joined) {
			m.Name = known.Name
		}
	}
}

// Enter puts a host into the state, with the labels and taints that it has there already.
func (t *Store) Enter(m *execute.Member, phase state.Phase) {
	h := state.Host{Address: m.Host.Address, Name: m.Name, Role: string(m.Host.Role), Phase: phase}
	if old := t.State.Host(h.Address); old != nil {
		h.Labels, h.Taints = old.Labels, old.Taints
	}
	t.State.Put(h)
}

// Enroll puts all hosts of a run into the state before anything but the agent of the masters is on them: whatever happens, a removal
// finds them.
func (t *Store) Enroll(ctx context.Context, s *execute.Session) error {
	changed := t.Incomplete()
	for _, m := range s.Members {
		known := t.State.Host(m.Host.Address)
		switch {
		case known == nil, !m.Joined && (known.In() || known.Name != m.Name || known.Role != string(m.Host.Role)):
			t.Enter(m, state.Joining)
		case m.Joined && !known.In():
			t.Enter(m, state.Joined)
		default:
			continue
		}
		changed = true
		if s.DryRun { // what a run has written differs from what is to be saved at its end
			t.Forget()
		}
	}
	if !changed {
		return nil
	}
	return s.Do(ctx, s.First(), "record the hosts in the cluster's state", func(ctx context.Context) error { return t.Save(ctx, s) })
}

// RecordJoined notes in the state which hosts have joined.
func (t *Store) RecordJoined(ctx context.Context, s *execute.Session) error {
	changed := false
	for _, m := range s.Members {
		if known := t.State.Host(m.Host.Address); m.Joined && (known == nil || !known.In()) {
			t.Enter(m, state.Joined)
			changed = true
		}
	}
	if !changed || s.DryRun {
		return nil
	}
	return t.Save(ctx, s)
}
