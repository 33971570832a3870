package machine

import (
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/check"
	"github.com/kubefile/kubefile/runner/host"
)

func software() []check.Check {
	return []check.Check{
		{ID: "commands", Severity: check.Error, Title: "The programs that the image needs of the host are installed", Host: commands},
		{ID: "iptables-command", Severity: check.Warning, Title: "The command iptables is installed", Host: iptables},
		{ID: "login-path", Severity: check.Warning, Title: "PATH of root has /usr/local/bin", Host: loginPath},
		{ID: "proxy-variables", Severity: check.Warning, Title: "No proxy is set for HTTP", Host: proxies},
		{ID: "cloud-init-hosts", Severity: check.Warning, Title: "cloud-init leaves /etc/hosts alone", Host: cloudInit},
		{ID: "network-manager", Severity: check.Warning, Title: "NetworkManager leaves the interfaces of pods alone", Host: networkManager},
		{ID: "selinux", Severity: check.Warning, Title: "SELinux is not enforcing", Host: selinux},
	}
}

// commands are what phases, kubeadm and the kubelet call. What kubeadm demands depends on its version: not conntrack since 1.32, not ip and
// iptables since 1.33, and losetup in 1.34.
func commands(h check.Host, s *check.Site, report func(what, fix string)) {
	wanted := []string{"mount", "flock", "sha256sum", "tar", "modprobe"}
	if !s.Since(32) {
		wanted = append(wanted, "conntrack")
	}
	if !s.Since(33) {
		wanted = append(wanted, "ip", "iptables")
	}
	if s.Since(34) && s.Kubernetes != "" {
		wanted = append(wanted, "losetup", "cp")
	}
	for _, name := range wanted {
		if h.Facts.Knows(host.TopicCommands) && !slices.Contains(h.Facts.Commands, name) {
			report("the command "+name+" is missing", "install the package that has it")
		}
	}
}

func iptables(h check.Host, s *check.Site, report func(what, fix string)) {
	if s.Since(33) && h.Facts.Knows(host.TopicCommands) && !slices.Contains(h.Facts.Commands, "iptables") {
		report("the command iptables is missing: pods with a hostPort are not reached, and the pre-check.sh of an image may refuse the host", "install the package iptables")
	}
}

func loginPath(h check.Host, _ *check.Site, report func(what, fix string)) {
	const dir = "/usr/local/bin"
	if h.Facts.Path != "" && !slices.Contains(strings.Split(h.Facts.Path, ":"), dir) {
		report("PATH of this login has no "+dir+": commands that you run with it yourself do not find kubelet and kubectl",
			"add it to secure_path in /etc/sudoers, or to PATH of the login")
	}
}

func proxies(h check.Host, _ *check.Site, report func(what, fix string)) {
	if len(h.Facts.Proxies) > 0 {
		report(check.List(h.Facts.Proxies)+" is set: programs on the host ask the proxy for the API and for services of the cluster",
			"unset it, or put the addresses of all hosts and the networks of pods and services into no_proxy")
	}
}

func cloudInit(h check.Host, _ *check.Site, report func(what, fix string)) {
	if len(h.Facts.CloudHosts) > 0 {
		report("cloud-init rewrites /etc/hosts at every boot ("+check.List(h.Facts.CloudHosts)+"): the name of the API is gone after the next one, and so is the node",
			"set manage_etc_hosts: false there")
	}
}

func networkManager(h check.Host, _ *check.Site, report func(what, fix string)) {
	if check.Running(h, "NetworkManager") && h.Facts.Knows(host.TopicNM) && !h.Facts.NMUnmanaged {
		report("NetworkManager manages the interfaces of pods, too, and may take routes of the network plugin away",
			"list them as unmanaged-devices (interface-name:cni*;interface-name:flannel*;interface-name:cali*) in /etc/NetworkManager/conf.d, and reload it")
	}
}

func selinux(h check.Host, _ *check.Site, report func(what, fix string)) {
	if h.Facts.SELinux == "1" {
		report("SELinux is enforcing: without the policy container-selinux pods may be denied their volumes",
			"install container-selinux from the system's media, or set SELINUX=permissive in /etc/selinux/config")
	}
}
