package repository

import (
	"os"
	"strings"
	"testing"
)

// What the example's init.sh sets depends on the cluster's networks and on what the host had before.
func TestSysctlsOfTheExample(t *testing.T) {
	const always = "net.ipv4.ip_forward = 1\nnet.bridge.bridge-nf-call-iptables = 1\nnet.bridge.bridge-nf-call-ip6tables = 1\n"
	const ipv6 = "net.ipv6.conf.default.forwarding = 1\nnet.ipv6.conf.all.forwarding = 1\n"
	for _, tt := range []struct{ name, environment, record, want string }{
		{"IPv4", "HOST_IP=10.0.0.1 POD_SUBNET=10.244.0.0/16 SERVICE_SUBNET=10.96.0.0/16", "", always},
		{"nothing is known", "", "", always},
		{"IPv6 only", "HOST_IP=fd77::1 POD_SUBNET=fd00:10::/56 SERVICE_SUBNET=fd00:20::/112", "", always + ipv6},
		{"dual stack", "HOST_IP=10.0.0.1 POD_SUBNET=10.244.0.0/16,fd00:10::/56 SERVICE_SUBNET=10.96.0.0/16", "", always + ipv6},
		{"the host's address", "HOST_IP=fd77::1", "", always + ipv6},
		{"a default route by router advertisement", "HOST_IP=fd77::1", "sysctl net/ipv6/conf/eth0.7/accept_ra 1\nsysctl net/ipv6/conf/eth1/accept_ra 0\n",
			always + ipv6 + "net/ipv6/conf/eth0.7/accept_ra = 2\n"},
		{"router advertisements without IPv6 in the cluster", "HOST_IP=10.0.0.1", "sysctl net/ipv6/conf/eth0/accept_ra 1\n", always},
		{"limits", "", "sysctl fs.inotify.max_user_instances 128\nsysctl fs.inotify.max_user_watches 1048576\n", always + "fs.inotify.max_user_instances = 8192\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			for _, name := range []string{"etc/sysctl.conf", "etc/sysctl-ipv6.conf"} {
				content, err := os.ReadFile("../../examples/kubernetes/" + name)
				if err != nil {
					t.Fatal(err)
				}
				s.put("cluster/rootfs/"+name, string(content))
			}
			s.put("cluster/init-record", tt.record)
			if got := s.sh("unset HOST_IP POD_SUBNET SERVICE_SUBNET\n" + strings.ReplaceAll(tt.environment, " ", "\n") + "\nwanted_sysctls"); got != tt.want {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
		})
	}
}

// Interfaces are removed by the names that network plugins give them; other interfaces have other names.
func TestInterfacesOfTheExample(t *testing.T) {
	s := newSite(t)
	for name, want := range map[string]string{
		"cali0123456789a": "yes", "vxlan.calico": "yes", "cilium_host": "yes", "antrea-gw0": "yes", "weave": "yes",
		"eth0": "", "docker0": "", "cni-podman0": "", "virbr0": "", "bond0": "", "wg0": "", "lxcbr0": "", "br0": "", "tun0": "",
	} {
		if got := s.sh("if made_by_plugin " + name + "; then printf yes; fi"); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// The example's containerd runs on old and new distributions: it needs no C library, and does not give containers a limit of open files that some
// programs allocate memory for.
func TestContainerdOfTheExample(t *testing.T) {
	for name, want := range map[string]struct{ has, hasNot string }{
		"Kubefile":               {"archive=containerd-static-", "archive=containerd-$"},
		"etc/containerd.service": {"ExecStart=/usr/local/bin/containerd\n", "LimitNOFILE"},
	} {
		content, err := os.ReadFile("../../examples/kubernetes/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(content); !strings.Contains(text, want.has) || strings.Contains(text, want.hasNot) {
			t.Errorf("%s: want %q and no %q", name, want.has, want.hasNot)
		}
	}
}
