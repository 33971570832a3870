package checklist

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/check"
	"github.com/kubefile/kubefile/runner/host"
)

// goodHost is a host on which no check finds anything. Its number is its address and its name.
func goodHost(n int, role host.Role) check.Host {
	address := netip.AddrFrom4([4]byte{10, 0, 0, byte(n)})
	name := fmt.Sprintf("h%d", n)
	f := &host.Facts{
		Hostname: name, MachineID: name, BootID: name, Architecture: "amd64", Kernel: "6.1.0-13-amd64", Init: "systemd", Cgroup: 2, CPUs: 4, MemoryBytes: 8 << 30,
		Path: "/usr/local/bin:/usr/bin:/bin", Addresses: []netip.Addr{address}, Networks: []host.NetworkAddress{{Prefix: netip.PrefixFrom(address, 24), Interface: "eth0"}},
		Routes: []host.Route{{Destination: netip.MustParsePrefix("0.0.0.0/0"), Interface: "eth0"}, {Destination: netip.MustParsePrefix("10.0.0.0/24"), Interface: "eth0"}},
		Units:  map[string]string{"chronyd": "active"}, TimeSync: "yes", Controllers: []string{"cpuset", "cpu", "io", "memory", "pids"},
		Commands:   []string{"cp", "flock", "ip", "iptables", "losetup", "modprobe", "mount", "sha256sum", "tar"},
		ResolvConf: "/etc/resolv.conf", Resolv: []string{"nameserver 10.0.0.53"}, HostsFile: []netip.Addr{netip.MustParseAddr("127.0.1.1")},
		Sysctls: map[string]string{"fs.nr_open": "1048576", "fs.inotify.max_user_instances": "128", "net.ipv4.conf.all.rp_filter": "1"},
		Modules: map[string]string{"overlay": "loadable", "br_netfilter": "loadable", "nf_conntrack": "loaded", "vxlan": "builtin"},
	}
	for _, purpose := range []string{host.DataRoot, host.ContainerdDir, "/var/lib/kubelet", host.EtcdDir, "/usr/local/bin", "/opt/cni/bin", "/etc", "/tmp"} {
		f.FileSystems = append(f.FileSystems, host.FileSystem{Purpose: purpose, FreeBytes: 50 << 30, FreeInodes: 1 << 20, HasInodes: true, Type: "ext4",
			Options: []string{"rw"}, Device: "/dev/vda1", Mount: "/"})
	}
	return check.Host{Report: host.Report{Host: host.Host{Address: address, Role: role}, Facts: f}}
}

// goodSite has a master, 10.0.0.1, and a node, 10.0.0.2.
func goodSite() *check.Site {
	return &check.Site{
		Hosts: []check.Host{goodHost(1, host.RoleMaster), goodHost(2, host.RoleNode)}, Architecture: "amd64", Kubernetes: "v1.34.4", RootfsBytes: 100 << 20, ImageBytes: 200 << 20,
		DataRoot: "/var/lib/sealer/data", ClusterDir: "/var/lib/sealer/data/default", RegistryPort: 5000,
		PodNetworks: prefixes("10.244.0.0/16"), ServiceNetworks: prefixes("10.96.0.0/12"),
	}
}

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestGoodSite(t *testing.T) {
	s := goodSite()
	for i := range s.Hosts {
		for _, to := range check.Targets(s, i) {
			s.Hosts[i].Paths = append(s.Hosts[i].Paths, host.Path{To: to, State: host.Refused})
		}
	}
	if findings := Run(s); len(findings) > 0 {
		t.Errorf("findings are %+v", findings)
	}
}

// fault breaks a good site; the check named has to find it, and at 10.0.0.1 unless another host is given.
type fault struct {
	check  string
	broken func(s *check.Site, master, node *host.Facts)
	want   string
}

// TestEveryCheck breaks a good site in one way, and wants the one check to say so. A check that has no case fails the test.
func TestEveryCheck(t *testing.T) {
	tested := map[string]bool{}
	for _, c := range slices.Concat(imageFaults(), identityFaults(), unknownFaults(), clockFaults(), resourceFaults(), kernelFaults(), foreignFaults(), softwareFaults(), networkFaults(), pathFaults()) {
		tested[c.check] = true
		t.Run(c.check+"/"+c.want, func(t *testing.T) {
			s := goodSite()
			c.broken(s, s.Hosts[0].Facts, s.Hosts[1].Facts)
			found := ""
			for _, f := range Run(s) {
				if f.Check == c.check {
					found += f.Text() + "\n"
				}
				if f.Severity == check.Error && f.Check != c.check || f.What == "" || f.Fix == "" {
					t.Errorf("it also finds %+v", f)
				}
			}
			if !strings.Contains(found, c.want) || found == "" {
				t.Errorf("found %q, want %q", found, c.want)
			}
		})
	}
	for _, c := range All() {
		if !tested[c.ID] {
			t.Errorf("no case for %s", c.ID)
		}
	}
}

// TestOwnHosts: what a cluster of ours occupies is no problem on its hosts.
func TestOwnHosts(t *testing.T) {
	s := goodSite()
	for i := range s.Hosts {
		h := &s.Hosts[i]
		h.Ours, h.Begun, h.Facts.ClusterDir = true, true, s.ClusterDir
		h.Facts.Cluster, h.Facts.Data, h.Facts.Processes = []string{"/etc/kubernetes/kubelet.conf"}, []string{host.EtcdDir, host.ContainerdDir}, []string{"etcd", "kubelet"}
		h.Facts.CNI, h.Facts.Sockets = []string{"/etc/cni/net.d/10-flannel.conflist"}, []string{"/run/containerd/containerd.sock"}
		h.Facts.Units["containerd"], h.Facts.Units["kubelet"] = "active", "active"
		for _, port := range append(check.KubernetesPorts(), 5000) {
			h.Facts.Listening = append(h.Facts.Listening, host.Listener{Port: port})
		}
		h.Facts.Routes = append(h.Facts.Routes, host.Route{Destination: netip.MustParsePrefix("10.244.0.0/24"), Interface: "cni0"})
		for j := range h.Facts.FileSystems {
			h.Facts.FileSystems[j].FreeBytes = 1 << 20
		}
		h.Paths = []host.Path{{To: netip.AddrPortFrom(s.Hosts[0].Host.Address, 6443), State: host.Open}}
	}
	if findings := Run(s); len(findings) > 0 {
		t.Errorf("findings are %+v", findings)
	}
	// Nothing of kubeadm is the cluster's before kubeadm began.
	s.Hosts[1].Begun = false
	if findings := Run(s); len(findings) != 1 || findings[0].Check != "foreign-etcd" {
		t.Errorf("where kubeadm did not begin, findings are %+v", findings)
	}
}

// TestMastersOnly: a new cluster needs a host that takes pods of applications. Of hosts that do not answer it is not known whether they are new.
func TestMastersOnly(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(h *check.Host)
		want   int
	}{
		"masters":         {func(*check.Host) {}, 1},
		"a node":          {func(h *check.Host) { h.Host.Role = host.RoleNode }, 0},
		"no taint":        {func(h *check.Host) { h.TakesPods = true }, 0},
		"an old cluster":  {func(h *check.Host) { h.Ours = true }, 0},
		"one not reached": {func(h *check.Host) { h.Facts, h.Err = nil, errors.New("no answer") }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := goodSite()
			s.Hosts[1].Host.Role = host.RoleMaster
			tt.change(&s.Hosts[1])
			got := 0
			for _, f := range Run(s) {
				if f.Check == "masters-only" {
					got++
				}
			}
			if got != tt.want {
				t.Errorf("got %d findings, want %d", got, tt.want)
			}
		})
	}
}

// TestRouteOfOurUnit: the route to the services that a run sets is no overlap, also on a host that is not in the cluster yet.
func TestRouteOfOurUnit(t *testing.T) {
	s := goodSite()
	serviceRoute("10.0.0.1", "10.96.0.0/12", "eth0", host.ServiceMetric)(s, s.Hosts[0].Facts, nil)
	if findings := Run(s); len(findings) > 0 {
		t.Errorf("findings are %+v", findings)
	}
}

// TestHostOfAnotherCluster: what another cluster of ours occupies is one finding.
func TestHostOfAnotherCluster(t *testing.T) {
	s := goodSite()
	f := s.Hosts[1].Facts
	f.ClusterDir, f.Cluster, f.Data, f.Processes = "/var/lib/sealer/data/prod", []string{"/etc/kubernetes/kubelet.conf"}, []string{host.EtcdDir, host.ContainerdDir}, []string{"etcd", "kubelet"}
	f.Units["containerd"], f.Units["kubelet"] = "active", "active"
	for _, port := range append(check.KubernetesPorts(), 5000) {
		f.Listening = append(f.Listening, host.Listener{Port: port})
	}
	if findings := Run(s); len(findings) != 1 || findings[0].Check != "other-cluster" {
		t.Errorf("findings are %+v", findings)
	}
}

// TestVersions: an image's Kubernetes decides what is demanded.
func TestVersions(t *testing.T) {
	for version, want := range map[string]string{"v1.31.14": "conntrack ip iptables", "v1.32.0": "ip iptables", "v1.33.1": "", "v1.34.4": "losetup cp", "": "", "odd": ""} {
		s := goodSite()
		s.Kubernetes = version
		s.Hosts[0].Facts.Commands = []string{"mount", "flock", "sha256sum", "tar", "modprobe"}
		var missing []string
		for _, f := range Run(s) {
			if f.Check == "commands" && f.Host == "10.0.0.1" {
				missing = append(missing, strings.Fields(f.What)[2])
			}
		}
		if version == "odd" {
			want = "losetup cp" // as of the newest
		}
		if got := strings.Join(missing, " "); got != want {
			t.Errorf("%s wants %q, want %q", version, got, want)
		}
	}
}

// TestOrder: findings are by host, in the order of numbers, with errors before warnings.
func TestOrder(t *testing.T) {
	s := goodSite()
	s.Hosts = append(s.Hosts, goodHost(10, host.RoleMaster))
	for _, i := range []int{0, 1, 2} {
		s.Hosts[i].Facts.CNI, s.Hosts[i].Facts.SwapBytes = []string{"x"}, 1<<20
	}
	var got []string
	for _, f := range Run(s) {
		got = append(got, f.Host+" "+string(f.Severity))
	}
	want := []string{" warning", "10.0.0.1 error", "10.0.0.1 warning", "10.0.0.2 error", "10.0.0.2 warning", "10.0.0.10 error", "10.0.0.10 warning"}
	if !slices.Equal(got, want) {
		t.Errorf("order is %q, want %q", got, want)
	}
}

// TestTargets: each host tests a bounded number of ports, and each node is tested by a master.
func TestTargets(t *testing.T) {
	s := &check.Site{RegistryPort: 5000}
	for i := range 3 {
		s.Hosts = append(s.Hosts, goodHost(i+1, host.RoleMaster))
	}
	for i := range 200 {
		s.Hosts = append(s.Hosts, goodHost(i+4, host.RoleNode))
	}
	asked := map[netip.AddrPort]int{}
	for i, h := range s.Hosts {
		targets := check.Targets(s, i)
		if limit := 3*5 + 67; len(targets) > limit || !h.IsMaster() && len(targets) != 6 {
			t.Errorf("%s tests %d ports", h.Host, len(targets))
		}
		for _, to := range targets {
			if to.Addr() == h.Host.Address {
				t.Errorf("%s tests itself", h.Host)
			}
			asked[to]++
		}
	}
	for to, want := range map[string]int{"10.0.0.1:6443": 202, "10.0.0.1:2379": 2, "10.0.0.3:5000": 202, "10.0.0.4:10250": 1, "10.0.0.203:10250": 1, "10.0.0.4:6443": 0} {
		if got := asked[netip.MustParseAddrPort(to)]; got != want {
			t.Errorf("%s is tested by %d hosts, want %d", to, got, want)
		}
	}
	s.Hosts = s.Hosts[:5]
	if got := check.Targets(s, 1); !slices.Contains(got, netip.MustParseAddrPort("10.0.0.4:10250")) || !slices.Contains(got, netip.MustParseAddrPort("10.0.0.5:10250")) {
		t.Errorf("of a few nodes a master tests %v", got)
	}
}

// TestClosedPathsAreGrouped: a firewall on a master is one finding, and not one of each node.
func TestClosedPathsAreGrouped(t *testing.T) {
	s := goodSite()
	for i := range 20 {
		h := goodHost(i+3, host.RoleNode)
		h.Paths = []host.Path{{To: netip.MustParseAddrPort("10.0.0.1:6443"), State: host.Timeout}, {To: netip.MustParseAddrPort("10.0.0.1:5000"), State: host.Timeout}}
		s.Hosts = append(s.Hosts, h)
	}
	findings := Run(s)
	want := "TCP 6443, 5000 of it cannot be reached from 10.0.0.3, 10.0.0.4, 10.0.0.5, 10.0.0.6, 10.0.0.7 and 15 more (no answer)"
	if len(findings) != 1 || findings[0].What != want {
		t.Errorf("findings are %+v, want %q", findings, want)
	}
}

// TestPages: each check has a page and a line in the index, and each page a check.
func TestPages(t *testing.T) {
	const dir = "../../../docs/checks/"
	index, err := os.ReadFile(dir + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"README.md"}
	id := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	for _, c := range All() {
		want = append(want, c.Page())
		text, err := os.ReadFile(dir + c.Page())
		if err != nil {
			t.Error(err)
			continue
		}
		if !id.MatchString(c.ID) || (c.Host == nil) == (c.Site == nil) {
			t.Errorf("%s: its ID is not in kebab-case, or it has not one function", c.ID)
		}
		for _, part := range []string{"# " + c.ID + "\n", "**" + string(c.Severity) + "**", c.Title + ".", "## Why", "## How to fix"} {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s has no %q", c.Page(), part)
			}
		}
		if line := fmt.Sprintf("| [%s](%s) | %s | %s |", c.ID, c.Page(), c.Severity, c.Title); !strings.Contains(string(index), line) {
			t.Errorf("the index has no line %q", line)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var pages []string
	for _, e := range entries {
		pages = append(pages, e.Name())
	}
	slices.Sort(want)
	if !slices.Equal(pages, want) {
		t.Errorf("pages are %q, want %q", pages, want)
	}
	if len(want) < 41 {
		t.Errorf("%d checks", len(want)-1)
	}
}
