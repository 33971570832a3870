package checklist

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/kubefile/kubefile/runner/check"
	"github.com/kubefile/kubefile/runner/host"
)

func imageFaults() []fault {
	return []fault{
		{"image-intact", func(s *check.Site, _, _ *host.Facts) { s.Images = []error{errors.New("app.tar: damaged")} }, "app.tar: damaged; sealer-run verify IMAGE"},
		{"image-fits-site", func(s *check.Site, _, _ *host.Facts) { s.Configuration = []error{errors.New("podSubnet: too small")} }, "podSubnet: too small; correct that"},
	}
}

func identityFaults() []fault {
	name := func(name string) func(*check.Site, *host.Facts, *host.Facts) {
		return func(_ *check.Site, m, _ *host.Facts) { m.Hostname = name }
	}
	return []fault{
		{"host-reachable", func(s *check.Site, _, _ *host.Facts) { s.Hosts[1].Err, s.Hosts[1].Facts = errors.New("no route"), nil }, "10.0.0.2: no route"},
		{"host-reachable", func(s *check.Site, _, _ *host.Facts) {
			s.Hosts[1].Err, s.Hosts[1].Facts = errors.New("asking: 10.0.0.2: id: lost"), nil
		}, "10.0.0.2: asking: id: lost; check"},
		{"host-reachable", func(s *check.Site, _, _ *host.Facts) {
			s.Hosts[1].Err, s.Hosts[1].Facts = errors.New("x\r\n22 hosts: 0 errors\n\n10.0.0.1\u2028  error"), nil
		}, "10.0.0.2: x; 22 hosts: 0 errors; 10.0.0.1;   error; check the address"},
		{"host-reachable", func(s *check.Site, _, _ *host.Facts) {
			s.Hosts[1].Err, s.Hosts[1].Facts = fmt.Errorf("x: %w", &host.Problem{What: "not reachable", Mend: "check it"}), nil
		}, "10.0.0.2: not reachable; check it"},
		{"address-is-own", func(_ *check.Site, m, _ *host.Facts) { m.Addresses = []netip.Addr{netip.MustParseAddr("172.16.0.2")} }, "(it has 172.16.0.2)"},
		{"address-not-loopback", func(s *check.Site, m, _ *host.Facts) {
			s.Hosts[0].Host.Address = netip.MustParseAddr("127.0.0.1")
			m.Addresses = append(m.Addresses, s.Hosts[0].Host.Address)
		}, "127.0.0.1: its address is a loopback"},
		{"host-named-once", func(s *check.Site, m, n *host.Facts) {
			m.Addresses = append(m.Addresses, s.Hosts[1].Host.Address)
			*n = *m
		}, "10.0.0.2: is the same machine as 10.0.0.1"},
		{"hostname-valid", name("localhost"), `"localhost"`},
		{"hostname-valid", name("localhost.localdomain"), `"localhost.localdomain"`},
		{"hostname-valid", name("web_01"), `"web_01" is not a DNS name`},
		{"hostname-valid", name(strings.Repeat("x", 64)), "64 characters"},
		{"hostname-valid", name(""), "no host name"},
		{"hostname-unique", name("H2"), `10.0.0.2: its host name "h2" is also that of 10.0.0.1`},
		{"machine-id", func(_ *check.Site, m, _ *host.Facts) { m.MachineID = "h2" }, "10.0.0.2: it has the machine ID of 10.0.0.1"},
		{"machine-id", func(_ *check.Site, m, _ *host.Facts) { m.MachineID = "" }, "is empty"},
		{"architecture", func(_ *check.Site, m, _ *host.Facts) { m.Architecture = "arm64" }, "its architecture is arm64, the image is for amd64"},
		{"systemd", func(_ *check.Site, m, _ *host.Facts) { m.Init = "init" }, `process 1 is "init"`},
		{"even-masters", func(s *check.Site, _, _ *host.Facts) { s.Hosts[1].Host.Role = host.RoleMaster }, "2 masters"},
		{"masters-only", func(s *check.Site, _, _ *host.Facts) { s.Hosts[1].Host.Role = host.RoleMaster }, "no host takes pods of applications"},
	}
}

func clockFaults() []fault {
	return []fault{
		{"clock-between-hosts", func(_ *check.Site, m, n *host.Facts) { n.ClockSkew = -2 * time.Hour; m.ClockSkew = -time.Second }, "1h59m59s"},
		{"clock-drift", func(_ *check.Site, m, n *host.Facts) { m.ClockSkew, n.ClockSkew = time.Hour, time.Hour+time.Minute }, "10.0.0.2: its clock is 1m0s ahead of that of 10.0.0.1"},
		{"clock-delivery-machine", func(_ *check.Site, m, n *host.Facts) { m.ClockSkew, n.ClockSkew = time.Hour, time.Hour }, "1h0m0s ahead of this machine's"},
		{"time-synchronized", func(_ *check.Site, m, _ *host.Facts) { m.TimeSync = "no" }, "not synchronized"},
		{"time-synchronized", func(_ *check.Site, m, _ *host.Facts) { m.TimeSync, m.Units = "", nil }, "not synchronized"},
	}
}

func resourceFaults() []fault {
	on := func(purpose string, change func(*host.FileSystem)) func(*check.Site, *host.Facts, *host.Facts) {
		return func(_ *check.Site, m, _ *host.Facts) {
			for i := range m.FileSystems {
				if m.FileSystems[i].Purpose == purpose || purpose == "" {
					change(&m.FileSystems[i])
				}
			}
		}
	}
	sysctl := func(name, value string) func(*check.Site, *host.Facts, *host.Facts) {
		return func(_ *check.Site, m, _ *host.Facts) { m.Sysctls[name] = value }
	}
	return []fault{
		{"master-cpus", func(_ *check.Site, m, _ *host.Facts) { m.CPUs = 1 }, "1 CPU"},
		{"master-memory", func(_ *check.Site, m, _ *host.Facts) { m.MemoryBytes = 1699 << 20 }, "1.78GB of memory"},
		{"node-memory", func(_ *check.Site, _, n *host.Facts) { n.MemoryBytes = 512 << 20 }, "10.0.0.2: 537MB of memory"},
		{"swap", func(_ *check.Site, m, _ *host.Facts) { m.SwapBytes = 1 << 30 }, "1.07GB of swap are on, and the kubelet does not start"},
		{"swap-allowed", func(s *check.Site, m, _ *host.Facts) { s.SwapAllowed, m.SwapBytes = true, 1<<30 }, "of swap are on"},
		{"open-files", sysctl("fs.nr_open", "65536"), "fs.nr_open is 65536"},
		{"inotify-limits", sysctl("fs.inotify.max_user_watches", "100"), "max_user_watches is 100"},
		{"pid-limit", sysctl("kernel.pid_max", "4096"), "4096"},
		// All directories are on one file system, whose free space has to be enough for the sum: 4*100+200 + 3*100 + 200+256 + 128 + 256 MiB.
		{"disk-space", on("", func(s *host.FileSystem) { s.FreeBytes = 1700 << 20 }), "1.78GB free where 1.82GB are needed: /, for /var/lib/sealer/data, /usr/local/bin, /var/lib/containerd, /var/lib/kubelet, /var/lib/etcd"},
		{"disk-space", on(host.EtcdDir, func(s *host.FileSystem) { s.Device, s.Mount, s.FreeBytes = "/dev/vdb", "/var/lib/etcd", 1<<20 }), "1.05MB free where 268MB are needed: /var/lib/etcd, for /var/lib/etcd"},
		{"disk-space-margin", on("", func(s *host.FileSystem) { s.FreeBytes = 2 << 30 }), "2.15GB free where 3.97GB are recommended"},
		{"disk-inodes", on("", func(s *host.FileSystem) { s.FreeInodes = 5 }), "5 inodes are free in /"},
		{"read-only-directory", on("/usr/local/bin", func(s *host.FileSystem) { s.Options = []string{"ro"} }), "/usr/local/bin is read-only"},
		{"noexec-directory", on(host.DataRoot, func(s *host.FileSystem) { s.Options = []string{"rw", "noexec"} }), "/var/lib/sealer/data is mounted noexec"},
		{"noexec-tmp", on("/tmp", func(s *host.FileSystem) { s.Options = []string{"rw", "noexec"} }), "/tmp is mounted noexec"},
		{"network-file-system", on(host.EtcdDir, func(s *host.FileSystem) { s.Type = "nfs4" }), "/var/lib/etcd is on nfs4"},
		{"nested-overlay", on(host.ContainerdDir, func(s *host.FileSystem) { s.Type = "overlay" }), "on an overlay"},
		{"data-symlink", func(_ *check.Site, m, _ *host.Facts) { m.Symlinks = []string{"/var/lib/kubelet"} }, "/var/lib/kubelet is a symbolic link"},
	}
}

func kernelFaults() []fault {
	release := func(release string) func(*check.Site, *host.Facts, *host.Facts) {
		return func(_ *check.Site, m, _ *host.Facts) { m.Kernel = release }
	}
	mode := func(mode, module string) func(*check.Site, *host.Facts, *host.Facts) {
		return func(s *check.Site, m, _ *host.Facts) {
			s.ProxyMode = mode
			for _, name := range strings.Fields(module) {
				m.Modules[name] = "missing"
			}
		}
	}
	six := func(s *check.Site) { s.ServiceNetworks = append(s.ServiceNetworks, prefixes("fd00::/108")...) }
	return []fault{
		{"kernel-version", release("2.6.32-754.el6"), "2.6.32"},
		{"kernel-validated", release("3.10.0-1160.el7"), "3.10.0"},
		{"kernel-validated", release("5.4.0-100"), "control groups of version 2 are complete from 5.8 on"},
		{"kernel-proxy-mode", func(s *check.Site, m, _ *host.Facts) { s.ProxyMode, m.Kernel = "nftables", "5.10.0" }, "needs 5.13"},
		{"kernel-proxy-mode", mode("nftables", "nf_tables"), "no module nf_tables"},
		{"kernel-proxy-mode", mode("ipvs", "ip_vs"), "no module ip_vs"},
		{"kernel-proxy-mode", mode("", "xt_comment ip_tables"), "no modules of iptables"},
		{"kernel-modules", mode("nftables", "overlay"), "no module overlay"},
		{"kernel-network-modules", mode("", "br_netfilter"), "br_netfilter"},
		{"kernel-network-modules", mode("", "vxlan"), "vxlan"},
		{"cgroup-version", func(s *check.Site, m, _ *host.Facts) { s.Kubernetes, m.Cgroup, m.Controllers = "v1.35.0", 1, nil }, "does not start on them"},
		{"cgroup-v1", func(_ *check.Site, m, _ *host.Facts) { m.Cgroup, m.Controllers = 1, nil }, "version 1"},
		{"cgroup-v1", func(s *check.Site, m, _ *host.Facts) {
			s.Kubernetes, s.CgroupV1Allowed, m.Cgroup, m.Controllers = "v1.35.0", true, 1, nil
		}, "version 1"},
		{"cgroup-controllers", func(_ *check.Site, m, _ *host.Facts) { m.Controllers = []string{"cpu", "cpuset", "pids"} }, "lack memory"},
		{"cgroup-controllers", func(_ *check.Site, m, _ *host.Facts) { m.Cgroup = 1 }, "cpuacct, devices, freezer"},
		{"forwarding-at-boot", func(_ *check.Site, m, _ *host.Facts) {
			m.NoForwarding = []string{"/etc/sysctl.d/99-sysctl.conf:net.ipv4.ip_forward = 0"}
		}, "/etc/sysctl.d/99-sysctl.conf has net.ipv4.ip_forward = 0"},
		{"forwarding-at-boot", func(_ *check.Site, m, _ *host.Facts) {
			m.NoForwarding = []string{"/etc/sysctl.conf:net.ipv4.ip_forward=0"}
		}, "/etc/sysctl.conf"},
		{"ipv6-forwarding", func(s *check.Site, m, _ *host.Facts) { six(s); m.Sysctls["net.ipv6.conf.default.forwarding"] = "0" }, "forwarding is 0"},
		{"ipv6-enabled", func(s *check.Site, m, _ *host.Facts) { six(s); m.Sysctls["net.ipv6.conf.all.disable_ipv6"] = "1" }, "IPv6 is off"},
		{"rp-filter", func(_ *check.Site, m, _ *host.Facts) {
			m.Networks = append(m.Networks, host.NetworkAddress{Prefix: netip.MustParsePrefix("10.1.0.1/24"), Interface: "eth1"})
		}, "set it to 2"},
	}
}

func foreignFaults() []fault {
	unit := func(name, state string) func(*check.Site, *host.Facts, *host.Facts) {
		return func(_ *check.Site, m, _ *host.Facts) { m.Units[name] = state }
	}
	listens := func(port uint16, process string) func(*check.Site, *host.Facts, *host.Facts) {
		return func(_ *check.Site, m, _ *host.Facts) { m.Listening = []host.Listener{{Port: port, Process: process}} }
	}
	return []fault{
		{"foreign-directory", func(s *check.Site, _, _ *host.Facts) { s.Hosts[0].Foreign = s.ClusterDir }, "/var/lib/sealer/data/default is not empty"},
		{"other-cluster", func(_ *check.Site, m, _ *host.Facts) {
			m.ClusterDir, m.Cluster = "/var/lib/sealer/data/prod", []string{"/etc/kubernetes/kubelet.conf"}
		}, "in /var/lib/sealer/data/prod, but"},
		{"foreign-kubernetes", func(_ *check.Site, m, _ *host.Facts) {
			m.Cluster, m.Kubelet.Server = []string{"/etc/kubernetes/kubelet.conf"}, "https://10.9.9.9:6443"
		}, "/etc/kubernetes/kubelet.conf (its API is at https://10.9.9.9:6443)"},
		{"foreign-kubernetes", func(_ *check.Site, m, _ *host.Facts) { m.Processes = []string{"kubelet"} }, "a kubelet runs on it"},
		{"foreign-distribution", unit("k3s", "active"), "k3s runs"},
		{"foreign-distribution", unit("rke2-agent", "activating"), "rke2-agent runs"},
		{"foreign-etcd", func(_ *check.Site, m, _ *host.Facts) { m.Data = []string{host.EtcdDir} }, "etcd data in /var/lib/etcd"},
		{"foreign-etcd", func(_ *check.Site, m, _ *host.Facts) { m.Processes = []string{"etcd"} }, "an etcd runs on it"},
		{"foreign-containerd", func(_ *check.Site, m, _ *host.Facts) { m.Data = []string{host.ContainerdDir} }, "containerd data in /var/lib/containerd"},
		{"foreign-runtime", unit("docker", "active"), "docker.service runs"},
		{"foreign-runtime", unit("containerd", "inactive"), "containerd.service is installed"},
		{"foreign-cni", func(_ *check.Site, m, _ *host.Facts) { m.CNI = []string{"/etc/cni/net.d/87-podman.conflist"} }, "87-podman.conflist"},
		{"container-sockets", func(_ *check.Site, m, _ *host.Facts) {
			m.Sockets = []string{"/run/containerd/containerd.sock", "/run/cri-dockerd.sock"}
		}, "runtimes, /run/cri-dockerd.sock"},
		{"ports-in-use", listens(6443, "nginx"), "port 6443 is in use by nginx"},
		{"ports-in-use", listens(5000, ""), "port 5000 is in use;"},
		{"ports-in-use", listens(10257, ""), "10257"},
		{"proxy-ports-in-use", listens(10256, ""), "10256"},
	}
}

func softwareFaults() []fault {
	without := func(name, kubernetes string) func(*check.Site, *host.Facts, *host.Facts) {
		return func(s *check.Site, m, n *host.Facts) {
			s.Kubernetes = kubernetes
			n.Commands = append(n.Commands, "conntrack")
			m.Commands = slices.DeleteFunc(slices.Clone(n.Commands), func(other string) bool { return other == name })
		}
	}
	return []fault{
		{"commands", without("flock", "v1.34.4"), "the command flock is missing"},
		{"commands", without("conntrack", "v1.31.9"), "the command conntrack is missing"},
		{"commands", without("iptables", "v1.32.0"), "the command iptables is missing"},
		{"commands", without("losetup", "v1.34.0"), "the command losetup is missing"},
		{"iptables-command", without("iptables", "v1.33.0"), "hostPort"},
		{"login-path", func(_ *check.Site, m, _ *host.Facts) { m.Path = "/sbin:/bin:/usr/sbin:/usr/bin" }, "no /usr/local/bin"},
		{"proxy-variables", func(_ *check.Site, m, _ *host.Facts) { m.Proxies = []string{"HTTPS_PROXY"} }, "HTTPS_PROXY is set"},
		{"cloud-init-hosts", func(_ *check.Site, m, _ *host.Facts) { m.CloudHosts = []string{"/etc/cloud/cloud.cfg"} }, "(/etc/cloud/cloud.cfg)"},
		{"network-manager", func(_ *check.Site, m, _ *host.Facts) { m.Units["NetworkManager"] = "active" }, "unmanaged-devices"},
		{"selinux", func(_ *check.Site, m, _ *host.Facts) { m.SELinux = "1" }, "enforcing"},
		{"firewalld", func(_ *check.Site, m, _ *host.Facts) { m.Units["firewalld"] = "active" }, "firewalld runs"},
		{"ufw", func(_ *check.Site, m, _ *host.Facts) { m.Firewalls = []string{"ufw"} }, "ufw disable"},
		{"firewall-input", func(_ *check.Site, m, _ *host.Facts) { m.Firewalls = []string{"input-drop"} }, "drops what no rule accepts"},
		{"firewall-forward", func(_ *check.Site, m, _ *host.Facts) { m.Firewalls = []string{"forward-drop"} }, "is forwarded"},
	}
}

// serviceRoute is a route of a master on which our unit, if it has one, is to set it through the interface with an address.
func serviceRoute(address, network, through string, metric int) func(*check.Site, *host.Facts, *host.Facts) {
	return func(_ *check.Site, m, _ *host.Facts) {
		destination := netip.MustParsePrefix(network)
		m.Routes = append(m.Routes, host.Route{Destination: destination, Interface: through, Metric: metric})
		if address != "" {
			m.ServiceRoutes = append(m.ServiceRoutes, host.ServiceRoute{Address: netip.MustParseAddr(address), Network: destination})
		}
	}
}

func networkFaults() []fault {
	route := func(destination, name string) func(*check.Site, *host.Facts, *host.Facts) {
		return func(_ *check.Site, m, _ *host.Facts) {
			m.Routes = append(m.Routes, host.Route{Destination: netip.MustParsePrefix(destination), Interface: name})
		}
	}
	servers := func(servers ...string) func(*check.Site, *host.Facts, *host.Facts) {
		return func(_ *check.Site, m, _ *host.Facts) {
			m.Resolv = nil
			for _, server := range servers {
				m.Resolv = append(m.Resolv, "nameserver "+server)
			}
		}
	}
	return []fault{
		{"default-route", func(_ *check.Site, m, _ *host.Facts) { m.Routes = nil }, "no default route"},
		{"default-route", func(_ *check.Site, m, _ *host.Facts) { m.Routes[0].Interface = "blackhole" }, "no default route"},
		{"resolv-conf", func(_ *check.Site, m, _ *host.Facts) { m.ResolvConf, m.Resolv = "", nil }, "the kubelet starts no pod"},
		{"nameserver", servers(), "/etc/resolv.conf has no nameserver"},
		{"nameserver", servers("127.0.0.53", "10.0.0.53"), "on loopback"},
		{"nameserver", servers("::1"), "on loopback"},
		{"nameserver-in-cluster-network", servers("10.100.0.2"), "its nameserver 10.100.0.2 is in 10.96.0.0/12"},
		{"host-in-cluster-network", func(s *check.Site, _, _ *host.Facts) { s.PodNetworks = prefixes("10.0.0.0/16") }, "its address is in 10.0.0.0/16"},
		{"network-overlap", route("10.100.0.0/16", "eth1"), "its route to 10.100.0.0/16 (eth1) overlaps with 10.96.0.0/12"},
		{"network-overlap", route("10.244.1.0/24", "cni0"), "10.244.1.0/24 (cni0)"},
		// What is like the route of our unit, and is another one.
		{"network-overlap", serviceRoute("10.0.0.1", "10.96.0.0/12", "eth0", 100), "its route to 10.96.0.0/12 (eth0)"},
		{"network-overlap", serviceRoute("10.0.0.1", "10.96.0.0/12", "eth1", host.ServiceMetric), "its route to 10.96.0.0/12 (eth1)"},
		{"network-overlap", serviceRoute("", "10.96.0.0/12", "eth0", host.ServiceMetric), "its route to 10.96.0.0/12 (eth0)"},
		{"network-overlap", serviceRoute("10.0.0.1", "10.100.0.0/16", "eth0", host.ServiceMetric), "its route to 10.100.0.0/16 (eth0)"},
		{"address-family", func(s *check.Site, _, _ *host.Facts) { s.PodNetworks = append(s.PodNetworks, prefixes("fd00::/56")...) }, "it has no IPv6 address"},
		{"interface-choice", func(_ *check.Site, m, _ *host.Facts) { m.Routes[0].Interface = "eth1" }, "its address is on eth0 and its default route on eth1"},
		{"hosts-file-address", func(_ *check.Site, m, _ *host.Facts) { m.HostsFile = []netip.Addr{netip.MustParseAddr("10.9.9.9")} }, "/etc/hosts has 10.9.9.9 for its name"},
	}
}

func pathFaults() []fault {
	path := func(from int, to string, state host.PathState) func(*check.Site, *host.Facts, *host.Facts) {
		return func(s *check.Site, _, _ *host.Facts) {
			s.Hosts[from].Paths = append(s.Hosts[from].Paths, host.Path{To: netip.MustParseAddrPort(to), State: state})
		}
	}
	return []fault{
		{"path-between-hosts", path(1, "10.0.0.1:6443", host.Timeout), "10.0.0.1: TCP 6443 of it cannot be reached from 10.0.0.2 (no answer)"},
		{"path-between-hosts", path(1, "10.0.0.1:5000", host.Unreachable), "(rejected, or no route)"},
		{"path-to-kubelet", path(0, "10.0.0.2:10250", host.Timeout), "10.0.0.2: TCP 10250 of it cannot be reached from 10.0.0.1"},
		{"path-untested", path(1, "10.0.0.1:6443", host.Unknown), "10.0.0.2: it has neither"},
		{"path-untested", func(s *check.Site, _, _ *host.Facts) {
			s.Hosts[1].Paths = []host.Path{{To: netip.MustParseAddrPort("10.0.0.1:6443"), State: host.Unknown, Why: "the attempt did not end within 2m0s"}}
		}, "10.0.0.2: it is not known which other hosts it reaches, such as 10.0.0.1:6443 (the attempt did not end within 2m0s): a closed port"},
	}
}
