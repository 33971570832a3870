package phase

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/kubefile/kubefile/runner/balancer"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/store"
)

// reachLeaving connects to the hosts that leave a cluster and to those that stay. It finds the masters that stay by those that were named, or
// else by the files of the hosts that leave.
type reachLeaving struct {
	*departure
	opened []*execute.Member // that leave
}

func (*reachLeaving) Title() string { return "Reach the hosts" }

func (p *reachLeaving) Run(ctx context.Context) error {
	p.begin()
	if err := p.reachLeavers(ctx); err != nil {
		return err
	}
	var stay []host.Host
	for _, login := range p.Logins() {
		if !p.leaving.has(login.Address) {
			stay = append(stay, login)
		}
	}
	p.unreached = p.Connect(ctx, &p.Session, stay)
	if err := p.findMasters(ctx); err != nil {
		return err
	}
	if err := p.lookUp(ctx); err != nil {
		return err
	}
	p.unreached = append(p.unreached, p.Connect(ctx, &p.Session, p.unnamed())...)
	p.keepKnown()
	for _, m := range p.Members { // flags may name a host that stays without its role
		if known := p.State.Host(m.Host.Address); known != nil {
			m.Host.Role = host.Role(known.Role)
		}
	}
	p.settleNames()
	p.divide()
	p.sayUnreached()
	return context.Cause(ctx)
}

// reachLeavers connects to the hosts that leave. Of those that are lost, none should answer.
func (p *reachLeaving) reachLeavers(ctx context.Context) error {
	var logins []host.Host
	for _, l := range p.leavers {
		login := host.Host{Address: l.address, Role: l.role, Auth: p.Unlisted}
		for _, h := range p.Hosts {
			if h.Login.Address == l.address {
				login.Auth, login.Local = h.Login.Auth, h.Login.Local
			}
		}
		logins = append(logins, login)
	}
	*p.part = *p.Cluster
	p.part.Members = nil
	unreached := p.part.Connect(ctx, &p.part.Session, logins)
	p.opened = p.part.Members
	for _, l := range p.leavers {
		m := p.part.Member(l.address.String())
		if p.leaving.Lost {
			l.alive = m
		} else {
			l.member = m
		}
	}
	var failed []error
	for _, r := range unreached {
		if !p.leaving.Lost {
			failed = append(failed, fmt.Errorf("%s does not answer: %w; if this host is gone for good, %s", r.Host, r.Err, p.asLost(r.Host)))
		}
	}
	return errors.Join(failed...)
}

// asLost is how a host is removed that is gone for good.
func (p *reachLeaving) asLost(h host.Host) string {
	for _, l := range p.leavers {
		if p.leaving.Pruned && l.address == h.Address {
			return fmt.Sprintf("remove it first with delete --lost -f Clusterfile %s", l.flag())
		}
	}
	return "add --lost"
}

// findMasters reaches masters that stay, if none was named that is one.
func (p *reachLeaving) findMasters(ctx context.Context) error {
	if slices.ContainsFunc(p.Masters(), func(m *execute.Member) bool { return m.Joined }) {
		return nil
	}
	for _, m := range p.part.Members {
		addresses, err := mastersOf(ctx, m)
		if err != nil {
			return err
		}
		var hosts []host.Host
		for _, address := range addresses {
			tried := func(r host.Report) bool { return r.Host.Address == address }
			if !p.leaving.has(address) && !slices.ContainsFunc(p.unreached, tried) && p.Member(address.String()) == nil {
				hosts = append(hosts, host.Host{Address: address, Role: host.RoleMaster, Auth: m.Host.Auth})
			}
		}
		p.unreached = append(p.unreached, p.Connect(ctx, &p.Session, hosts)...)
	}
	if slices.ContainsFunc(p.Masters(), func(m *execute.Member) bool { return m.Joined }) {
		return nil
	}
	failed := []error{fmt.Errorf("no master that stays in cluster %s was reached; name one with --via, or all hosts with a Clusterfile (-f). "+
		"To remove the whole cluster, use delete --all", p.Name)}
	for _, r := range p.unreached {
		failed = append(failed, fmt.Errorf("%s: %w", r.Host, r.Err))
	}
	return errors.Join(failed...)
}

// maxMasters bounds how many masters are believed of a host's file.
const maxMasters = 100

// mastersOf are the masters by a host's own files: the load balancer's of a node, the state of a master.
func mastersOf(ctx context.Context, m *execute.Member) (addresses []netip.Addr, err error) {
	config, err := m.Read(ctx, m.Path(balancer.ConfigFile))
	if err != nil {
		return nil, err
	}
	if parsed, err := balancer.ParseConfig(config); err == nil {
		for _, backend := range parsed.Backends {
			if parsed, err := netip.ParseAddrPort(backend); err == nil {
				addresses = append(addresses, parsed.Addr())
			}
		}
	}
	data, err := m.Read(ctx, m.Path(store.File))
	if err != nil {
		return nil, err
	}
	if s, err := state.Parse(data); err == nil {
		for _, h := range s.Hosts {
			if h.Role == string(host.RoleMaster) && !slices.Contains(addresses, h.Address) {
				addresses = append(addresses, h.Address)
			}
		}
	}
	return addresses[:min(len(addresses), maxMasters)], nil
}

// lookUp reads the state by a master that stays and whose API answers.
func (p *reachLeaving) lookUp(ctx context.Context) error {
	var failed []error
	for _, m := range p.Masters() {
		if !m.Joined {
			failed = append(failed, fmt.Errorf("%s: it is not a master of cluster %s", m, p.Name))
			continue
		}
		if _, err := p.KubeOn(m)(ctx, nil, "get", "--raw", "/readyz", "--request-timeout=10s"); err != nil {
			failed = append(failed, m.Failure("its API does not answer", err))
			continue
		}
		p.Lead = m
		if err := p.recall(ctx); err != nil {
			return err
		}
		if known := p.State.Host(m.Host.Address); known == nil || !known.Leaves() {
			return nil
		}
		p.Lead = nil
		failed = append(failed, fmt.Errorf("%s: its own removal was interrupted", m))
	}
	return fmt.Errorf("no master that stays has an API that answers; bring one back, or name another with --via:\n%w", errors.Join(failed...))
}

// unnamed are the hosts of the state that stay and were not tried.
func (p *reachLeaving) unnamed() []host.Host {
	return slices.DeleteFunc(p.Unnamed(&p.Session, &p.Store), func(h host.Host) bool {
		tried := func(r host.Report) bool { return r.Host.Address == h.Address }
		return p.leaving.has(h.Address) || p.Member(h.String()) != nil || slices.ContainsFunc(p.unreached, tried)
	})
}

// keepKnown leaves out hosts that the cluster does not know, as those that a Clusterfile is about to add.
func (p *reachLeaving) keepKnown() {
	known := p.Members[:0:0]
	for _, m := range p.Members {
		if p.State.Host(m.Host.Address) == nil && m != p.Lead {
			m.Conn.Close()
			continue
		}
		m.Index = len(known)
		known = append(known, m)
	}
	p.Members = known
	p.unreached = slices.DeleteFunc(p.unreached, func(r host.Report) bool { return p.State.Host(r.Host.Address) == nil })
}

// Close ends the connections to the hosts that leave.
func (p *reachLeaving) Close() error {
	var failed []error
	for _, m := range p.opened {
		failed = append(failed, m.Conn.Close())
	}
	return errors.Join(failed...)
}

// divide makes the part of the cluster that leaves know what the rest knows. Hosts that are said to be lost are not in it.
func (p *reachLeaving) divide() {
	members := p.part.Members
	*p.part = *p.Cluster
	p.part.Members, p.part.unreached = members, nil
	if p.leaving.Lost {
		p.part.Members = nil
	}
	p.part.settleNames()
}

// sayUnreached warns of hosts that stay and are not told.
func (p *reachLeaving) sayUnreached() {
	for _, r := range p.unreached {
		p.Report.Line(r.Host.String(), fmt.Sprintf("warning: not reached, and still knows the hosts that leave; the next apply changes that (%v)", r.Err))
	}
}
