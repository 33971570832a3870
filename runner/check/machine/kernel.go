package machine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/check"
)

func kernels() []check.Check {
	return []check.Check{
		{ID: "kernel-version", Severity: check.Error, Title: "The kernel is one that container runtimes support", Host: oldKernel},
		{ID: "kernel-validated", Severity: check.Warning, Title: "The kernel is one that kubeadm knows as validated", Host: unvalidatedKernel},
		{ID: "kernel-proxy-mode", Severity: check.Error, Title: "The kernel supports the mode of kube-proxy", Host: proxyMode},
		{ID: "kernel-modules", Severity: check.Error, Title: "The kernel has overlay file systems and connection tracking", Host: modules},
		{ID: "kernel-network-modules", Severity: check.Warning, Title: "The kernel has the modules of the pod network", Host: networkModules},
		{ID: "cgroup-version", Severity: check.Error, Title: "The kubelet runs with the host's version of control groups", Host: cgroupVersion},
		{ID: "cgroup-v1", Severity: check.Warning, Title: "The host has control groups of version 2", Host: cgroupV1},
		{ID: "cgroup-controllers", Severity: check.Error, Title: "The controllers of control groups that the kubelet needs are on", Host: controllers},
		{ID: "forwarding-at-boot", Severity: check.Warning, Title: "No later file of sysctl turns forwarding off", Host: forwardingAtBoot},
		{ID: "ipv6-forwarding", Severity: check.Warning, Title: "IPv6 is forwarded where the cluster has IPv6", Host: ipv6Forwarding},
		{ID: "ipv6-enabled", Severity: check.Error, Title: "IPv6 is on where the cluster has IPv6", Host: ipv6Enabled},
		{ID: "rp-filter", Severity: check.Warning, Title: "Strict reverse path filtering is off on hosts with several networks", Host: rpFilter},
	}
}

// version reads the first two numbers of a release such as 5.14.0-70.el9.
func version(release string) (major, minor int, ok bool) {
	_, err := fmt.Sscanf(release, "%d.%d", &major, &minor)
	return major, minor, err == nil
}

func older(release string, major, minor int) bool {
	m, n, ok := version(release)
	return ok && (m < major || m == major && n < minor)
}

func oldKernel(h check.Host, _ *check.Site, report func(what, fix string)) {
	if older(h.Facts.Kernel, 3, 10) {
		report("its kernel is "+h.Facts.Kernel+", and container runtimes need 3.10 or later", "use a host with a newer system")
	}
}

// unvalidatedKernel follows the list of k8s.io/system-validators, which kubeadm warns by.
func unvalidatedKernel(h check.Host, _ *check.Site, report func(what, fix string)) {
	major, minor, ok := version(h.Facts.Kernel)
	if ok && (major < 4 || major == 4 && minor < 18) && !older(h.Facts.Kernel, 3, 10) {
		report("its kernel is "+h.Facts.Kernel+": Kubernetes is tested with 5.4 and later, and features such as volumes with user namespaces do not work", "use a host with a newer system")
	}
	if ok && h.Facts.Cgroup == 2 && older(h.Facts.Kernel, 5, 8) {
		report("its kernel is "+h.Facts.Kernel+": control groups of version 2 are complete from 5.8 on", "use a newer kernel, or boot with systemd.unified_cgroup_hierarchy=0")
	}
}

func proxyMode(h check.Host, s *check.Site, report func(what, fix string)) {
	switch {
	case s.ProxyMode == "nftables" && older(h.Facts.Kernel, 5, 13):
		report("its kernel is "+h.Facts.Kernel+", and kube-proxy in mode nftables needs 5.13 or later", "use the mode iptables (KubeProxyConfiguration.mode), or a newer kernel")
	case s.ProxyMode == "nftables" && h.Facts.Modules["nf_tables"] == "missing":
		report("its kernel has no module nf_tables, and kube-proxy is configured to use nftables", "use the mode iptables (KubeProxyConfiguration.mode), or another kernel")
	case s.ProxyMode == "ipvs" && h.Facts.Modules["ip_vs"] == "missing":
		report("its kernel has no module ip_vs, and kube-proxy is configured to use it", "install the package with more modules of this kernel, or use the mode iptables or nftables")
	case (s.ProxyMode == "" || s.ProxyMode == "iptables") && h.Facts.Modules["xt_comment"] == "missing" && h.Facts.Modules["ip_tables"] == "missing":
		report("its kernel has no modules of iptables, and kube-proxy is configured to use it", "use the mode nftables (KubeProxyConfiguration.mode), or install the package with more modules of this kernel")
	}
}

func modules(h check.Host, _ *check.Site, report func(what, fix string)) {
	for _, name := range []string{"overlay", "nf_conntrack"} {
		if h.Facts.Modules[name] == "missing" {
			report("its kernel has no module "+name+", without which no container starts or no service works", "install the package with more modules of this kernel, or use another kernel")
		}
	}
}

func networkModules(h check.Host, _ *check.Site, report func(what, fix string)) {
	for _, m := range []struct{ name, without string }{
		{"br_netfilter", "pods of one host do not reach services on a bridge"},
		{"vxlan", "a network plugin that uses VXLAN, as flannel does, does not start"},
	} {
		if h.Facts.Modules[m.name] == "missing" {
			report("its kernel has no module "+m.name+": "+m.without, "install the package with more modules of this kernel, or use a network plugin that does not need it")
		}
	}
}

func cgroupVersion(h check.Host, s *check.Site, report func(what, fix string)) {
	if h.Facts.Cgroup == 1 && s.Since(35) && s.Kubernetes != "" && !s.CgroupV1Allowed {
		report("it has control groups of version 1, and the kubelet of "+s.Kubernetes+" does not start on them",
			"boot with systemd.unified_cgroup_hierarchy=1, or set failCgroupV1: false in the KubeletConfiguration")
	}
}

func cgroupV1(h check.Host, s *check.Site, report func(what, fix string)) {
	if h.Facts.Cgroup == 1 && (!s.Since(35) || s.CgroupV1Allowed) {
		report("it has control groups of version 1: Kubernetes 1.35 and later do not start on them by default, so this cluster cannot be upgraded far",
			"boot with systemd.unified_cgroup_hierarchy=1 before you install")
	}
}

// controllers are those that k8s.io/system-validators, and so kubeadm, demands. Those of version 2 without a file of their own are always on.
func controllers(h check.Host, _ *check.Site, report func(what, fix string)) {
	wanted := []string{"cpu", "cpuset", "memory", "pids"}
	if h.Facts.Cgroup == 1 {
		wanted = []string{"cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids"}
	}
	var missing []string
	for _, name := range wanted {
		if !slices.Contains(h.Facts.Controllers, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 && len(h.Facts.Controllers) > 0 {
		report("control groups lack "+strings.Join(missing, ", ")+", which kubeadm demands",
			"turn them on at the kernel's command line, for example cgroup_enable=memory, and boot again")
	}
}

// ourSysctls is the file that our base image writes.
const ourSysctls = "99-kubernetes.conf"

func forwardingAtBoot(h check.Host, s *check.Site, report func(what, fix string)) {
	for _, line := range h.Facts.NoForwarding {
		file, setting, _ := strings.Cut(line, ":")
		name := file[strings.LastIndex(file, "/")+1:]
		// procps reads /etc/sysctl.conf last.
		if file != "/etc/sysctl.conf" && name <= ourSysctls || strings.Contains(setting, "ipv6") && !s.HasFamily(false) {
			continue
		}
		report(file+" has "+strings.TrimSpace(setting)+": pods cannot be reached from other hosts after the next boot", "remove that line")
	}
}

func ipv6Forwarding(h check.Host, s *check.Site, report func(what, fix string)) {
	if s.HasFamily(false) && h.Facts.Sysctls["net.ipv6.conf.default.forwarding"] == "0" {
		report("net.ipv6.conf.default.forwarding is 0, and kubeadm refuses the host unless the image's init.sh sets it",
			"set net.ipv6.conf.all.forwarding=1 and net.ipv6.conf.default.forwarding=1 in /etc/sysctl.d")
	}
}

func ipv6Enabled(h check.Host, s *check.Site, report func(what, fix string)) {
	if s.HasFamily(false) && h.Facts.Sysctls["net.ipv6.conf.all.disable_ipv6"] == "1" {
		report("IPv6 is off (net.ipv6.conf.all.disable_ipv6), and the cluster uses it", "turn it on, or use IPv4 networks only")
	}
}

func rpFilter(h check.Host, _ *check.Site, report func(what, fix string)) {
	if h.Facts.Sysctls["net.ipv4.conf.all.rp_filter"] == "1" && len(check.Interfaces(h, true)) > 1 {
		report("net.ipv4.conf.all.rp_filter is 1 and it has several networks: packets that return by another one than they left by are dropped",
			"set it to 2 (loose) in /etc/sysctl.d")
	}
}
