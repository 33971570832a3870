package network

import (
	"slices"

	"github.com/kubefile/kubefile/runner/check"
)

// opened is what a firewall has to let through.
const opened = "TCP 6443, 10250, the registry's port, 2379-2380 between masters, and the port of the network plugin (flannel: UDP 8472) between all hosts"

func firewalls() []check.Check {
	return []check.Check{
		{ID: "firewalld", Severity: check.Warning, Title: "firewalld is off", Host: firewalld},
		{ID: "ufw", Severity: check.Warning, Title: "ufw is off", Host: ufw},
		{ID: "firewall-input", Severity: check.Warning, Title: "What the host's packet filter does not name gets in", Host: inputPolicy},
		{ID: "firewall-forward", Severity: check.Warning, Title: "What the host's packet filter does not name is forwarded", Host: forwardPolicy},
	}
}

func firewalld(h check.Host, _ *check.Site, report func(what, fix string)) {
	if check.Running(h, "firewalld") {
		report("firewalld runs, and drops packets between pods of different hosts unless it knows their networks; a reload removes rules of kube-proxy",
			"systemctl disable --now firewalld; or trust the networks of hosts, pods and services and open "+opened)
	}
}

func ufw(h check.Host, _ *check.Site, report func(what, fix string)) {
	if slices.Contains(h.Facts.Firewalls, "ufw") {
		report("ufw is on, and drops what is forwarded to pods unless it is told otherwise", "ufw disable; or ufw default allow routed, and open "+opened)
	}
}

func inputPolicy(h check.Host, _ *check.Site, report func(what, fix string)) {
	if slices.Contains(h.Facts.Firewalls, "input-drop") {
		report("its packet filter drops what no rule accepts; UDP ports of the network plugin cannot be tested from here", "open "+opened)
	}
}

func forwardPolicy(h check.Host, _ *check.Site, report func(what, fix string)) {
	if !h.Ours && slices.Contains(h.Facts.Firewalls, "forward-drop") {
		report("its packet filter drops what is forwarded and no rule accepts, so pods may not reach other hosts", "accept what is forwarded from and to the network of pods")
	}
}
