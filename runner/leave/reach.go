package leave

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/kubefile/kubefile/runner/balancer"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/reach"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/store"
)

// Reach connects to the hosts that leave a cluster and to those that stay. It finds the masters that stay by those that were named, or
// else by the files of the hosts that leave.
type Reach struct {
	*Departure
	// Inventory has the hosts that were named.
	Inventory *reach.Inventory
	// Unreached are the hosts that stay and were not reached. This phase writes them.
	Unreached *[]host.Report

	opened []*execute.Member // that leave
}

// Title says what the phase does, for a person.
func (*Reach) Title() string { return "Reach the hosts" }

// Run fails when a host that leaves does not answer and is not said to be lost, or when no master that stays answers.
func (p *Reach) Run(ctx context.Context) error {
	p.begin()
	*p.Part = *p.Session
	p.Part.Members = nil
	if err := p.reachLeavers(ctx); err != nil {
		return err
	}
	var stay []host.Host
	for _, login := range p.Inventory.Logins() {
		if !p.Leaving.Has(login.Address) {
			stay = append(stay, login)
		}
	}
	*p.Unreached = p.Inventory.Connect(ctx, p.Session, stay)
	if err := p.findMasters(ctx); err != nil {
		return err
	}
	if err := p.lookUp(ctx); err != nil {
		return err
	}
	p.connectMore(ctx, p.unnamed())
	p.keepKnown()
	for _, m := range p.Members { // flags may name a host that stays without its role
		if known := p.Store.State.Host(m.Host.Address); known != nil {
			m.Host.Role = host.Role(known.Role)
		}
	}
	p.divide()
	p.Store.SettleNames(p.Session, p.Plugins)
	p.Store.SettleNames(p.Part, p.Plugins)
	p.sayUnreached()
	return context.Cause(ctx)
}

// connectMore connects to more of the hosts that stay.
func (p *Reach) connectMore(ctx context.Context, hosts []host.Host) {
	*p.Unreached = append(*p.Unreached, p.Inventory.Connect(ctx, p.Session, hosts)...)
}

// tried reports whether it was tried to reach a host that stays, in vain.
func (p *Reach) tried(address netip.Addr) bool {
	return slices.ContainsFunc(*p.Unreached, func(r host.Report) bool { return r.Host.Address == address })
}

// reachLeavers connects to the hosts that leave. Of those that are lost, none should answer.
func (p *Reach) reachLeavers(ctx context.Context) error {
	var logins []host.Host
	for _, l := range p.leavers {
		login := host.Host{Address: l.address, Role: l.role, Auth: p.Inventory.Unlisted}
		for _, given := range p.Inventory.Logins() {
			if given.Address == l.address {
				login.Auth, login.Local = given.Auth, given.Local
			}
		}
		logins = append(logins, login)
	}
	unreached := p.Inventory.Connect(ctx, p.Part, logins)
	p.opened = p.Part.Members
	for _, l := range p.leavers {
		m := p.Part.Member(l.address.String())
		if p.Leaving.Lost {
			l.alive = m
		} else {
			l.member = m
		}
	}
	var failed []error
	for _, r := range unreached {
		if !p.Leaving.Lost {
			failed = append(failed, fmt.Errorf("%s does not answer: %w; if this host is gone for good, %s", r.Host, r.Err, p.asLost(r.Host)))
		}
	}
	return errors.Join(failed...)
}

// asLost is how a host is removed that is gone for good.
func (p *Reach) asLost(h host.Host) string {
	for _, l := range p.leavers {
		if p.Leaving.Pruned && l.address == h.Address {
			return fmt.Sprintf("remove it first with delete --lost -f Clusterfile %s", l.flag())
		}
	}
	return "add --lost"
}

// findMasters reaches masters that stay, if none was named that is one.
func (p *Reach) findMasters(ctx context.Context) error {
	if slices.ContainsFunc(p.Masters(), func(m *execute.Member) bool { return m.Joined }) {
		return nil
	}
	for _, m := range p.Part.Members {
		addresses, err := MastersOf(ctx, m)
		if err != nil {
			return err
		}
		var hosts []host.Host
		for _, address := range addresses {
			if !p.Leaving.Has(address) && !p.tried(address) && p.Member(address.String()) == nil {
				hosts = append(hosts, host.Host{Address: address, Role: host.RoleMaster, Auth: m.Host.Auth})
			}
		}
		p.connectMore(ctx, hosts)
	}
	if slices.ContainsFunc(p.Masters(), func(m *execute.Member) bool { return m.Joined }) {
		return nil
	}
	failed := []error{fmt.Errorf("no master that stays in cluster %s was reached; name one with --via, or all hosts with a Clusterfile (-f). "+
		"To remove the whole cluster, use delete --all", p.Name)}
	for _, r := range *p.Unreached {
		failed = append(failed, fmt.Errorf("%s: %w", r.Host, r.Err))
	}
	return errors.Join(failed...)
}

// maxMasters bounds how many masters are believed of a host's file.
const maxMasters = 100

// MastersOf are the masters by a host's own files: the load balancer's of a node, the state of a master.
func MastersOf(ctx context.Context, m *execute.Member) (addresses []netip.Addr, err error) {
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
func (p *Reach) lookUp(ctx context.Context) error {
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
		if err := p.Store.Recall(ctx, p.Session, p.Plugins); err != nil {
			return err
		}
		if known := p.Store.State.Host(m.Host.Address); known == nil || !known.Leaves() {
			return nil
		}
		p.Lead = nil
		failed = append(failed, fmt.Errorf("%s: its own removal was interrupted", m))
	}
	return fmt.Errorf("no master that stays has an API that answers; bring one back, or name another with --via:\n%w", errors.Join(failed...))
}

// unnamed are the hosts of the state that stay, were not named and were not tried.
func (p *Reach) unnamed() []host.Host {
	return slices.DeleteFunc(p.Inventory.Unnamed(p.Session, p.Store), func(h host.Host) bool {
		return p.Leaving.Has(h.Address) || p.Member(h.String()) != nil || p.tried(h.Address)
	})
}

// keepKnown leaves out hosts that the cluster does not know, as those that a Clusterfile is about to add.
func (p *Reach) keepKnown() {
	known := p.Members[:0:0]
	for _, m := range p.Members {
		if p.Store.State.Host(m.Host.Address) == nil && m != p.Lead {
			m.Conn.Close()
			continue
		}
		m.Index = len(known)
		known = append(known, m)
	}
	p.Members = known
	*p.Unreached = slices.DeleteFunc(*p.Unreached, func(r host.Report) bool { return p.Store.State.Host(r.Host.Address) == nil })
}

// Close ends the connections to the hosts that leave.
func (p *Reach) Close() error {
	var failed []error
	for _, m := range p.opened {
		failed = append(failed, m.Conn.Close())
	}
	return errors.Join(failed...)
}

// divide makes the part of the cluster that leaves know the master that stays. Hosts that are said to be lost are not in it.
func (p *Reach) divide() {
	p.Part.Lead = p.Lead
	if p.Leaving.Lost {
		p.Part.Members = nil
	}
}

// sayUnreached warns of hosts that stay and are not told.
func (p *Reach) sayUnreached() {
	for _, r := range *p.Unreached {
		p.Report.Line(r.Host.String(), fmt.Sprintf("warning: not reached, and still knows the hosts that leave; the next apply changes that (%v)", r.Err))
	}
}
