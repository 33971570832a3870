package kubeadm

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	network := func(pod, service string) string {
		return clusterHead + fmt.Sprintf("networking: {podSubnet: %q, serviceSubnet: %q}\n", pod, service)
	}
	const pods, services = "ClusterConfiguration.networking.podSubnet: ", "ClusterConfiguration.networking.serviceSubnet: "
	cases := []struct {
		name, data string
		want       []string // of the errors, one after the other; none: it is right
	}{
		{"nothing", "", nil},
		{"two families", network("10.244.0.0/16,fd00:1::/48", "10.96.0.0/12,fd00:2::/108"), nil},
		{"no networks", network("10.244.0.0", "a"), []string{services + `"a" is not a network`, pods + `"10.244.0.0" is not a network`}},
		{"a space", network("10.244.0.0/16, fd00:1::/48", ""), []string{pods + `" fd00:1::/48" is not a network`}},
		{"one family twice", network("10.244.0.0/16,10.245.0.0/16", ""), []string{pods + `"10.244.0.0/16,10.245.0.0/16": there may be`}},
		{"three", network("10.244.0.0/16,fd00:1::/48,fd00:2::/48", ""), []string{pods + "\"10.244"}},
		{"overlap", network("10.96.128.0/17", "10.96.0.0/16"), []string{pods + "10.96.128.0/17 overlaps with serviceSubnet 10.96.0.0/16"}},
		{"overlap with the default", network("10.0.0.0/8", ""), []string{pods + "10.0.0.0/8 has the host 10.77.0.11", pods + "10.0.0.0/8 has the host 10.77.0.12",
			pods + "10.0.0.0/8 overlaps with serviceSubnet 10.96.0.0/12"}},
		{"overlap of the second", network("10.244.0.0/16,fd00:1::/48", "10.96.0.0/12,fd00:1::/108"), []string{pods + "fd00:1::/48 overlaps with serviceSubnet fd00:1::/108"}},
		{"a host in it", network("10.244.0.0/16", "10.77.0.0/16"), []string{services + "10.77.0.0/16 has the host 10.77.0.11", services + "10.77.0.0/16 has the host 10.77.0.12"}},
		{"too many services", network("", "10.96.0.0/11"), []string{services + "10.96.0.0/11 is larger than kube-apiserver takes: at most /12"}},
		{"too many services of IPv6", network("", "10.96.0.0/16,fd00::/64"), []string{services + "fd00::/64 is larger than kube-apiserver takes: at most /108"}},
		{"too few services", network("", "10.96.0.0/29"), []string{services + "10.96.0.0/29 is too small"}},
		{"room for one node", network("10.244.0.0/24", ""), []string{pods + "10.244.0.0/24 is too small for 2 nodes with a /24 each"}},
		{"room for no node", network("10.244.0.0/25", ""), []string{pods + "10.244.0.0/25 is too small"}},
		{"smaller networks of nodes", network("10.244.0.0/24", "") + "controllerManager: {extraArgs: {node-cidr-mask-size-ipv4: 26}}\n", nil},
		{"no number", network("10.244.0.0/24", "") + "controllerManager: {extraArgs: {node-cidr-mask-size-ipv4: x}}\n", []string{pods + `node-cidr-mask-size-ipv4 of the controllerManager is "x"`}},
		{"networks of nodes by others", network("10.244.0.0/25", "") + "controllerManager: {extraArgs: {allocate-node-cidrs: false}}\n", nil},
		{"room for too many nodes", network("fd00:1::/40", ""), []string{pods + "fd00:1::/40 is larger than kubeadm takes: at most /48"}},
		{"services of the other family first", network("10.244.0.0/16,fd00:1::/48", "fd00:2::/108,10.96.0.0/12"), []string{services + "no host has an address of the family of fd00:2::/108"}},
		{"names", clusterHead + "apiServer: {certSANs: [a.example.com, '*.example.com', 10.0.0.1, 'fd00::1', 'A b', '', 'x;reboot']}\n",
			[]string{`apiServer.certSANs: "A b" is neither`, `certSANs: "" is`, `certSANs: "x;reboot" is`}},
		{"domain", clusterHead + "networking: {dnsDomain: a_b}\n", []string{`ClusterConfiguration.networking.dnsDomain: "a_b"`}},
		{"kubelet", kubeletHead + "cgroupDriver: systemd\n", nil},
		{"unknown driver", kubeletHead + "cgroupDriver: cgroup\n", []string{"KubeletConfiguration.cgroupDriver: unknown cgroup: there are systemd, cgroupfs"}},
		{"driver of another type", kubeletHead + "cgroupDriver: [systemd]\n", []string{"KubeletConfiguration.cgroupDriver"}},
		{"unknown mode", "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: ebpf\n", []string{"KubeProxyConfiguration.mode: unknown ebpf"}},
		{"dry run", strings.Replace(clusterHead, "Cluster", "Init", 1) + "dryRun: true\n", []string{"InitConfiguration.dryRun"}},
		{"taints", strings.Replace(clusterHead, "Cluster", "Join", 1) + "nodeRegistration: {taints: [{key: a, effect: NoSchedule}, {key: a}, {effect: NoExecute}]}\n",
			[]string{"JoinConfiguration.nodeRegistration.taints[1]", "JoinConfiguration.nodeRegistration.taints[2]"}},
	}
	hosts := []netip.Addr{netip.MustParseAddr("10.77.0.11"), netip.MustParseAddr("10.77.0.12")}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			if err := parse(t, c.data).Check(hosts); err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if len(got) != len(c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			for i, want := range c.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("got %q, want %q in it", got[i], want)
				}
			}
		})
	}
}

// Of documents that others come below, only what they say is looked at.
func TestCheckPart(t *testing.T) {
	hosts := []netip.Addr{netip.MustParseAddr("10.77.0.11"), netip.MustParseAddr("10.77.0.12")}
	for networking, want := range map[string]string{
		"{podSubnet: 10.96.128.0/17}":                            "", // the services of the image may be elsewhere
		"{podSubnet: 10.244.0.0/25}":                             "", // the image may say how nodes share it
		"{podSubnet: 10.77.0.12/31}":                             "ClusterConfiguration.networking.podSubnet: 10.77.0.12/31 is too small\nClusterConfiguration.networking.podSubnet: 10.77.0.12/31 has the host 10.77.0.12",
		"{podSubnet: 10.1.0.0/16, serviceSubnet: 10.1.128.0/20}": "podSubnet: 10.1.0.0/16 overlaps with serviceSubnet 10.1.128.0/20",
		"{serviceSubnet: 'fd00::/108'}":                          "serviceSubnet: no host has an address of the family",
		"{podSubnet: x}":                                         `podSubnet: "x" is not a network`,
	} {
		err := parse(t, clusterHead+"networking: "+networking+"\n").CheckPart(hosts)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", networking, err, want)
		}
	}
}

func TestNetwork(t *testing.T) {
	cases := []struct{ networking, pods, services, domain, dns string }{
		{"", "", "10.96.0.0/12", "cluster.local", "10.96.0.10"},
		{"networking: {podSubnet: 100.64.0.0/10, serviceSubnet: 172.20.1.7/16, dnsDomain: site.example}", "100.64.0.0/10", "172.20.1.7/16", "site.example", "172.20.0.10"},
		{"networking: {serviceSubnet: 'fd00:2::/108,10.96.0.0/12'}", "", "fd00:2::/108,10.96.0.0/12", "cluster.local", "fd00:2::a"},
		{"networking: {serviceSubnet: nonsense}", "", "nonsense", "cluster.local", ""},
		{"networking: {serviceSubnet: 255.255.255.255/32}", "", "255.255.255.255/32", "cluster.local", ""},
	}
	for _, c := range cases {
		d := parse(t, clusterHead+c.networking)
		for what, is := range map[string][2]string{
			"PodSubnet": {d.PodSubnet(), c.pods}, "ServiceSubnet": {d.ServiceSubnet(), c.services},
			"DNSDomain": {d.DNSDomain(), c.domain}, "DNSAddress": {d.DNSAddress(), c.dns},
		} {
			if is[0] != is[1] {
				t.Errorf("%q: %s is %q, want %q", c.networking, what, is[0], is[1])
			}
		}
	}
}
