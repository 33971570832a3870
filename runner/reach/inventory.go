// Package reach connects to the hosts of a cluster, and makes those that answer members of a session.
package reach

import (
	"context"
	"errors"
	"slices"

	"github.com/kubefile/kubefile/runner/agent/client"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/store"
)

// Host is one host with what the site says of it.
type Host struct {
	Login host.Host
	Site  clusterfile.Host
}

// Inventory is the hosts that a site names, and how to log in to these and to others of the cluster.
type Inventory struct {
	Hosts    []Host    // masters first
	Unlisted host.Auth // of hosts of the cluster that are not among them
	// LogIn connects to one host.
	LogIn func(context.Context, host.Host) (host.Conn, error)
	// Dial connects to hosts; nil: by LogIn.
	Dial func(context.Context, []host.Host) []host.Report
}

// Logins are all hosts as they are reached.
func (i *Inventory) Logins() []host.Host {
	var logins []host.Host
	for _, h := range i.Hosts {
		logins = append(logins, h.Login)
	}
	return logins
}

// Add takes a host that was reached among the members of a session.
func (i *Inventory) Add(s *execute.Session, r host.Report) *execute.Member {
	m := &execute.Member{Facts: r.Facts, Host: r.Host, Index: len(s.Members)}
	m.Client = client.Client{Conn: r.Conn, Dir: s.Dir()}
	m.Image = client.Client{Conn: r.Conn, Dir: s.ImageDir()}
	for _, h := range i.Hosts {
		if h.Login.Address == r.Host.Address {
			m.Site = h.Site
		}
	}
	s.Members = append(s.Members, m)
	return m
}

// Question asks a host what of us is on it, in the session in which it is asked what it is like.
func Question(s *execute.Session) host.Question {
	return execute.LookQuestion(wire.Path, s.Dir(), s.ImageDir())
}

// Connect reaches hosts, makes them members of a session, and returns those that it could not reach.
func (i *Inventory) Connect(ctx context.Context, s *execute.Session, hosts []host.Host) (unreached []host.Report) {
	dial := i.Dial
	if dial == nil {
		dial = func(ctx context.Context, hosts []host.Host) []host.Report {
			return host.Connect(ctx, i.LogIn, hosts, s.DataRoot, Question(s))
		}
	}
	var found []*execute.Member
	answers := map[*execute.Member][]byte{}
	for _, r := range dial(ctx, hosts) {
		if r.Err != nil {
			unreached = append(unreached, r)
			continue
		}
		m := i.Add(s, r)
		found, answers[m] = append(found, m), r.Also
	}
	failed := make([]error, len(s.Members))
	s.Each(ctx, found, func(ctx context.Context, m *execute.Member) error {
		failed[m.Index] = m.Look(ctx, answers[m])
		// A marker that is lost does not make a host less a part of the cluster.
		m.Joined = m.Joined || !m.IsNew && m.Kubernetes()
		return nil
	})
	for _, m := range found {
		if err := failed[m.Index]; err != nil { // it went away meanwhile
			unreached = append(unreached, host.Report{Host: m.Host, Err: errors.Join(err, m.Conn.Close())})
		}
	}
	s.Members = slices.DeleteFunc(s.Members, func(m *execute.Member) bool { return failed[m.Index] != nil })
	for index, m := range s.Members {
		m.Index = index
	}
	return unreached
}

// Unnamed are the hosts of the state that the site does not name, and that neither leave the cluster nor come back empty while others join.
func (i *Inventory) Unnamed(s *execute.Session, t *store.Store) []host.Host {
	var hosts []host.Host
	for _, h := range t.State.Hosts {
		given := func(g Host) bool { return g.Login.Address == h.Address }
		empty := s.Joining != nil && slices.Contains(s.Joining.Empty, h.Address)
		if !slices.ContainsFunc(i.Hosts, given) && !slices.Contains(t.Next, h.Address) && !empty {
			hosts = append(hosts, host.Host{Address: h.Address, Role: host.Role(h.Role), Auth: i.Unlisted})
		}
	}
	return hosts
}
