package health

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
)

const (
	SystemNamespace = "kube-system"
	proxySet        = "kube-proxy"
	// dnsApp is the value of the label k8s-app for the cluster's DNS, whichever it is: the service kube-dns selects it.
	dnsApp = "kube-dns"
	cniDir = "/etc/cni/net.d"
)

// system is what makes the network of a cluster.
type system struct {
	networks []string // DaemonSets that install a network plugin
	pods     []pod    // of kube-system, and of the namespaces of the network plugins
}

// pod is one of them.
type pod struct {
	namespace, name, node, phase, address string
	set                                   string // the DaemonSet that it is of
	app                                   string // its label k8s-app
	ready                                 bool
	waiting                               string // what its containers wait for
}

func (p pod) isDNS() bool { return p.namespace == SystemNamespace && p.app == dnsApp }

// Only what is needed is printed: a large cluster has thousands of pods.
const (
	setsQuery = `jsonpath={range .items[*]}{.metadata.namespace}{"\t"}{.metadata.name}{"\t"}{.spec.template.spec.volumes[*].hostPath.path}{"\n"}{end}`
	podsQuery = `jsonpath={range .items[*]}{.metadata.namespace}{"\t"}{.metadata.name}{"\t"}{.spec.nodeName}{"\t"}{.status.phase}{"\t"}` +
		`{.status.podIP}{"\t"}{.metadata.ownerReferences[?(@.kind=="DaemonSet")].name}{"\t"}{.metadata.labels.k8s-app}{"\t"}` +
		`{.status.conditions[?(@.type=="Ready")].status}{"\t"}` +
		`{.status.initContainerStatuses[*].state.waiting.reason} {.status.containerStatuses[*].state.waiting.reason}{"\n"}{end}`
)

// readSystem asks the cluster for what makes its network.
func readSystem(ctx context.Context, session *execute.Session) (system, error) {
	var s system
	rows, err := session.Kube().Rows(ctx, 3, "get", "daemonsets", "--all-namespaces", "-o", setsQuery)
	if err != nil {
		return s, err
	}
	namespaces := []string{SystemNamespace}
	for _, row := range rows {
		// A plugin of the network of pods comes to a host by its directories.
		if slices.ContainsFunc(strings.Fields(row[2]), func(path string) bool { return strings.Contains(path+"/", "/cni/") }) {
			s.networks = append(s.networks, row[0]+"/"+row[1])
			namespaces = append(namespaces, row[0])
		}
	}
	for _, namespace := range slices.Compact(slices.Sorted(slices.Values(namespaces))) {
		rows, err := session.Kube().Rows(ctx, 9, "get", "pods", "--namespace", namespace, "-o", podsQuery)
		if err != nil {
			return s, err
		}
		for _, r := range rows {
			s.pods = append(s.pods, pod{
				namespace: r[0], name: r[1], node: r[2], phase: r[3], address: r[4], set: r[5], app: r[6],
				ready: r[7] == "True", waiting: strings.Join(strings.Fields(r[8]), ", "),
			})
		}
	}
	return s, nil
}

// maxDetails is how many pods are asked about in detail at a time.
const maxDetails = 4

// unreadyPods are those that the cluster needs and that are not ready: kube-proxy and the network plugin on each host, and one of the DNS.
func (d *diagnosis) unreadyPods(ctx context.Context) (problems []Problem) {
	dns := slices.ContainsFunc(d.system.pods, func(p pod) bool { return p.isDNS() && p.ready })
	details := 0
	for _, p := range d.system.pods {
		if p.ready || p.phase == "Succeeded" {
			continue
		}
		m := d.named(p.node)
		needed := m != nil && p.set != "" && (p.set == proxySet || slices.Contains(d.system.networks, p.namespace+"/"+p.set))
		if !needed && !(p.isDNS() && !dns) && !(d.whole && p.namespace == SystemNamespace) {
			continue
		}
		found := Problem{Text: "pod " + p.name + " (" + p.phase + ")"}
		if p.node != "" {
			found.Text += " on " + p.node
		}
		if p.waiting != "" {
			found.Text += ": " + p.waiting
		}
		if details++; details <= maxDetails {
			said := d.detail(ctx, p)
			if said != "" {
				found.Text += ": " + said
			}
			if f, ok := d.probed[m]; ok {
				cause, certain := p.cause(f, m, said)
				found.Text, found.certain = found.Text+cause, certain
			}
		}
		problems = append(problems, found)
	}
	return problems
}

// maxDetail bounds what is repeated of a log or an event.
const maxDetail = 300

// detail is the last line of a container that ended, or the last warning about a pod.
func (d *diagnosis) detail(ctx context.Context, p pod) string {
	argv := []string{"get", "events", "--namespace", p.namespace, "--field-selector", "type=Warning,involvedObject.name=" + p.name,
		"--sort-by", ".lastTimestamp", "-o", "jsonpath={.items[-1:].message}"}
	if p.crashes() {
		argv = []string{"logs", "--namespace", p.namespace, p.name, "--previous", "--tail", "1"}
	}
	out, err := d.Kubectl(ctx, argv...)
	if err != nil {
		return "" // the state of the pod has to do
	}
	lines := strings.Fields(host.WithoutControls(strings.ReplaceAll(string(out), "\n", " ")))
	text := strings.Join(lines, " ")
	return strings.ToValidUTF8(text[:min(len(text), maxDetail)], "")
}

func (p pod) crashes() bool {
	return strings.Contains(p.waiting, "CrashLoopBackOff")
}

// cause is why a pod is likely not ready, by what its host is like and what the pod said, and whether that ends by itself.
func (p pod) cause(f wire.Probed, m *execute.Member, said string) (text string, certain bool) {
	loopback := slices.ContainsFunc(f.Nameservers, isLoopback)
	stuck := p.crashes() || strings.Contains(said, "resolv.conf")
	switch {
	case strings.Contains(p.waiting, "ImagePull"):
		return ". Its image could not be pulled: sealer-run status --missed lists the images that are missing", false
	case p.isDNS() && len(f.Nameservers) == 0 && f.ResolvConf != "":
		return fmt.Sprintf(". %s of %s has no nameserver, and the cluster's DNS does not start without one: add one, even if it does not answer%s",
			f.ResolvConf, m, restartDNS), stuck
	case p.isDNS() && loopback:
		return fmt.Sprintf(". The nameserver in %s of %s is a loopback address, so the cluster's DNS would query itself: use another one%s",
			f.ResolvConf, m, restartDNS), stuck
	case strings.Contains(said, "resolv.conf"):
		return fmt.Sprintf(". The kubelet starts no pod on %s without %s", m, f.ResolvConf), true
	case f.NoDefaultRoute:
		return ". " + m.String() + " has no default route" + strings.TrimPrefix(noRoute, ". It has no default route"), p.set != proxySet && p.crashes()
	case strings.Contains(strings.ToLower(said), "cni") || strings.Contains(said, "network for sandbox"):
		var files []string
		for _, network := range f.Networks {
			files = append(files, network.File)
		}
		return fmt.Sprintf(". Networks that are configured on %s: %s", m, strings.Join(files, ", ")), false
	}
	return "", false
}

// restartDNS makes pods read the file again, which they have from when they were made.
const restartDNS = ", run kubectl -n kube-system delete pod -l k8s-app=kube-dns, then the same command again"

func isLoopback(address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && (a.IsLoopback() || a.IsUnspecified())
}
