package execute

import (
	"net/netip"
	"slices"
)

// Joining specifies the hosts that join a cluster.
type Joining struct {
	Masters, Nodes []netip.Addr
	// ByFile says that a Clusterfile specifies the site, and not the cluster's state and flags.
	ByFile bool
	// Empty are hosts of the cluster that come back empty. The run leaves them as they are.
	Empty []netip.Addr
	// More says that application images follow: the hosts are complete with the last one only.
	More bool
	// Complete says that the hosts are in the cluster, and lack only this image.
	Complete bool
}

// Addresses are those of all hosts that join.
func (j Joining) Addresses() []netip.Addr { return slices.Concat(j.Masters, j.Nodes) }

// Targets are the hosts that a run prepares: all that it is about, or those that join.
func (s *Session) Targets() []*Member { return s.Targeted(s.Members) }

// Targeted are those of some hosts that a run prepares.
func (s *Session) Targeted(members []*Member) []*Member {
	if s.Joining == nil {
		return members
	}
	return slices.DeleteFunc(slices.Clone(members), func(m *Member) bool { return !s.Joins(m) })
}

// Joins reports whether a host joins in this run.
func (s *Session) Joins(m *Member) bool {
	return slices.Contains(s.Joining.Addresses(), m.Host.Address)
}
