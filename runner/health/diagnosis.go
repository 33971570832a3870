// Package health tells whether a cluster works, and if not, what is wrong and why: nodes, system pods, the network of pods and the DNS, as the API
// and the hosts see them. It changes nothing.
package health

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/kubeadm"
)

// diagnosis is what is known of a cluster at one moment.
type diagnosis struct {
	*execute.Session
	kubeadm kubeadm.Documents
	whole   bool // all nodes and all pods of kube-system are asked about
	nodes   map[string]kube.Node
	system  system
	probe   wire.Probe
	probed  map[*execute.Member]wire.Probed
}

// problems returns what does not work: nodes that are not ready, the pods that make services, the network of pods and the DNS, and hosts that
// do not reach the API's service or on which the DNS does not answer. In whole, it is about all nodes and pods of kube-system, not only
// about what runs on the hosts of the session.
func problems(ctx context.Context, s *execute.Session, docs kubeadm.Documents, whole bool) ([]Problem, error) {
	d := diagnosis{Session: s, kubeadm: docs, whole: whole}
	var err error
	if d.nodes, err = s.Kube().Nodes(ctx); err != nil {
		return nil, err
	}
	if d.system, err = readSystem(ctx, s); err != nil {
		return nil, err
	}
	if d.probe, err = d.toProbe(ctx); err != nil {
		return nil, err
	}
	// A host that does not answer is a problem of its own, beside those of the others.
	failed := d.ask(ctx)
	all := slices.Concat(d.unreadyNodes(), d.unreadyPods(ctx), d.foreignNetworks(), d.unreached())
	if failed != nil {
		all = append(all, Problem{Text: failed.Error()})
	}
	return all, nil
}

// toProbe is what each host has to reach. A cluster without the DNS of kubeadm and without another behind its service has none to ask.
func (d *diagnosis) toProbe(ctx context.Context) (wire.Probe, error) {
	service := d.kubeadm.ServiceAddress()
	if service == "" {
		return wire.Probe{}, fmt.Errorf("service network %q has no address for the API", d.kubeadm.ServiceSubnet())
	}
	p := wire.Probe{Service: net.JoinHostPort(service, "443"), DNS: d.kubeadm.ClusterDNS(), Name: "kubernetes.default.svc." + d.kubeadm.DNSDomain()}
	if !d.kubeadm.SkipsDNS() {
		return p, nil
	}
	found, err := d.Kubectl(ctx, "get", "service", "--namespace", "kube-system", "kube-dns", "--ignore-not-found", "-o", "name")
	if len(found) == 0 {
		p.DNS = ""
	}
	return p, err
}

// ask has all hosts probe the cluster.
func (d *diagnosis) ask(ctx context.Context) error {
	d.probed = map[*execute.Member]wire.Probed{}
	var mu sync.Mutex
	return d.Each(ctx, d.Members, func(ctx context.Context, m *execute.Member) error {
		answer, err := m.Probe(ctx, d.probe)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		d.probed[m] = answer
		return nil
	})
}

// unreadyNodes are the nodes that are not Ready, and the hosts that have none.
func (d *diagnosis) unreadyNodes() (problems []Problem) {
	bare := false
	for _, m := range d.Members {
		n, ok := d.nodes[m.Name]
		switch {
		case !ok:
			problems = append(problems, Problem{Text: "node " + m.Name + " is not in the cluster: look at journalctl -u kubelet on " + m.String()})
		case !n.Ready():
			problems = append(problems, Problem{Text: "node " + m.Name + " is not ready: look at kubectl describe node " + m.Name})
			f, asked := d.probed[m]
			bare = bare || asked && len(f.Networks) == 0
		}
	}
	if bare && len(d.system.networks) == 0 {
		problems = append(problems, Problem{Text: "no network plugin: the cluster has no DaemonSet that installs one, and " + cniDir +
			" is empty on the nodes. Build one into the image, or start it with --cmd"})
	}
	for _, name := range slices.Sorted(maps.Keys(d.nodes)) {
		ours := slices.ContainsFunc(d.Members, func(m *execute.Member) bool { return m.Name == name })
		if d.whole && !ours && !d.nodes[name].Ready() {
			problems = append(problems, Problem{Text: "node " + name + " is not ready"})
		}
	}
	return problems
}

// unreached are the hosts that do not reach the service of the API, or on which the DNS does not answer.
func (d *diagnosis) unreached() (problems []Problem) {
	answers := slices.ContainsFunc(d.Members, func(m *execute.Member) bool { f, ok := d.probed[m]; return ok && f.Lookup == "" })
	for _, m := range d.Members {
		f, ok := d.probed[m]
		if !ok {
			continue
		}
		if f.Service != "" {
			problems = append(problems, d.noService(m, f))
		}
		if f.Lookup != "" && f.Service == "" {
			text := fmt.Sprintf("DNS: %s does not resolve %s on %s: %s", d.probe.DNS, d.probe.Name, m, f.Lookup)
			if at := d.dnsHosts(); answers && len(at) > 0 {
				text += fmt.Sprintf(". It runs on %s and other hosts reach it: check that no firewall between them and %s closes a port of the network plugin (flannel: UDP 8472)",
					strings.Join(at, ", "), m)
			}
			problems = append(problems, Problem{Text: text})
		} else if f.Lookup != "" {
			problems = append(problems, Problem{Text: fmt.Sprintf("DNS: %s does not resolve %s on %s: %s", d.probe.DNS, d.probe.Name, m, f.Lookup)})
		}
	}
	return problems
}

// noService is a host that does not reach the service of the API.
func (d *diagnosis) noService(m *execute.Member, f wire.Probed) Problem {
	p := Problem{Text: fmt.Sprintf("%s does not reach the API at its service address %s: %s", m, d.probe.Service, f.Service)}
	proxied := slices.ContainsFunc(d.system.pods, func(pod pod) bool { return pod.set == proxySet && pod.node == m.Name && pod.ready })
	switch {
	case f.NoRoute && f.NoDefaultRoute:
		p.Text += noRoute
		p.certain = proxied
	case proxied:
		p.Text += ". Check that no firewall closes port " + execute.APIPort + " of the masters for it"
	}
	return p
}

// noRoute is the cause of much on an isolated network.
const noRoute = ". It has no default route: add one (ip route add default via GATEWAY; without a gateway: ip route add default dev INTERFACE)"

// foreignNetworks are pods of the DNS whose address is not of the network of pods, because a file of another program gave it. Such a pod
// works on its own host only, and keeps its address for ever.
func (d *diagnosis) foreignNetworks() (problems []Problem) {
	own := kubeadm.Prefixes(d.kubeadm.PodSubnet())
	for _, pod := range d.system.pods {
		m := d.named(pod.node)
		address, err := netip.ParseAddr(pod.address)
		if err != nil || m == nil || !pod.isDNS() || len(own) == 0 || contains(own, address) {
			continue
		}
		for _, network := range d.probed[m].Networks {
			if contains(kubeadm.Prefixes(strings.Join(network.Prefixes, ",")), address) {
				problems = append(problems, Problem{certain: true, Text: fmt.Sprintf(
					"pod %s on %s has the address %s, which is not of the pod network %s but of %s, a file of another program. Move that file away, run kubectl -n kube-system delete pod %s, then the same command again",
					pod.name, m, address, d.kubeadm.PodSubnet(), network.File, pod.name)})
			}
		}
	}
	return problems
}

func contains(all []netip.Prefix, address netip.Addr) bool {
	return slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(address) })
}

// named is the host with a node's name, or nil.
func (d *diagnosis) named(node string) *execute.Member {
	for _, m := range d.Members {
		if m.Name == node {
			return m
		}
	}
	return nil
}

// dnsHosts are where the DNS runs.
func (d *diagnosis) dnsHosts() (hosts []string) {
	for _, pod := range d.system.pods {
		if pod.isDNS() && pod.ready {
			hosts = append(hosts, pod.node)
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}
