package machine

import (
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/check"
	"github.com/kubefile/kubefile/runner/host"
)

func unknowns() []check.Check {
	return []check.Check{
		{ID: "facts-needed", Severity: check.Error, Title: "What a run depends on is known of the host", Host: factsNeeded},
		{ID: "facts-known", Severity: check.Warning, Title: "All that is checked is known of the host", Host: factsKnown},
	}
}

// topic is something that checks have to know of a host.
type topic struct {
	id   host.Topic
	name string
	ask  string // how to see it on the host
	// needed reports whether a run does not work, or does not stop at what it should, where this is not known; nil: never.
	needed func(h check.Host, s *check.Site) bool
}

func always(check.Host, *check.Site) bool { return true }

// topics are all topics, those that a run needs first.
func topics() []topic {
	unnamed := func(h check.Host, _ *check.Site) bool { return !h.Ours && h.Name == "" }
	remote := func(h check.Host, _ *check.Site) bool { return !h.Host.Local }
	chosen := func(_ check.Host, s *check.Site) bool { return s.Architecture != "" }
	return []topic{
		{host.TopicHostname, "its host name", "cat /proc/sys/kernel/hostname", unnamed},
		{host.TopicArchitecture, "its architecture", "uname -m", chosen},
		{host.TopicInit, "its process 1", "cat /proc/1/comm", always},
		{host.TopicAddresses, "its addresses", "ip addr show", remote},
		{host.TopicCommands, "its programs", "command -v mount flock tar", always},
		{host.TopicDirectories, "the data of etcd and containerd", "find /var/lib/etcd /var/lib/containerd -maxdepth 1", always},
		{host.TopicMachineID, "its machine ID", "cat /etc/machine-id", nil},
		{host.TopicBootID, "its boot ID", "cat /proc/sys/kernel/random/boot_id", nil},
		{host.TopicKernel, "its kernel", "cat /proc/sys/kernel/osrelease", nil},
		{host.TopicTime, "its clock", "date", nil},
		{host.TopicCPUs, "its processors", "grep -c ^processor /proc/cpuinfo", nil},
		{host.TopicMemory, "its memory", "grep MemTotal /proc/meminfo", nil},
		{host.TopicSwap, "its swap", "grep SwapTotal /proc/meminfo", nil},
		{host.TopicFileSystems, "its file systems", "df -P", nil},
		{host.TopicCgroup, "its control groups", "ls /sys/fs/cgroup", nil},
		{host.TopicRoutes, "its routes", "ip route show", nil},
		{host.TopicListeners, "its open ports", "cat /proc/net/tcp", nil},
		{host.TopicUnits, "its units", "systemctl list-units", nil},
		{host.TopicProcesses, "its processes", "cat /proc/*/comm", nil},
		{host.TopicResolvConf, "its resolv.conf", "cat /etc/resolv.conf", nil},
		{host.TopicNameservers, "its nameservers", "awk '/nameserver/' /etc/resolv.conf", nil},
		{host.TopicNM, "the configuration of NetworkManager", "grep -r unmanaged-devices /etc/NetworkManager", nil},
	}
}

// unknown splits the topics that a host did not report into those that a run needs and the others. What is of no use there is left out.
func unknown(h check.Host, s *check.Site) (needed, others []topic) {
	for _, t := range topics() {
		switch {
		case h.Facts.Knows(t.id), t.id == host.TopicNM && !check.Running(h, "NetworkManager"):
		case t.needed != nil && t.needed(h, s):
			needed = append(needed, t)
		default:
			others = append(others, t)
		}
	}
	return needed, others
}

// factsNeeded is the one finding about what is not known of a host when a run cannot go on without some of it.
func factsNeeded(h check.Host, s *check.Site, report func(what, fix string)) {
	if needed, others := unknown(h, s); len(needed) > 0 {
		reportUnknown(h, slices.Concat(needed, others), "without them a run does not start", report)
	}
}

func factsKnown(h check.Host, s *check.Site, report func(what, fix string)) {
	if needed, others := unknown(h, s); len(needed) == 0 && len(others) > 0 {
		reportUnknown(h, others, "a problem there shows only during the run", report)
	}
}

func reportUnknown(h check.Host, topics []topic, consequence string, report func(what, fix string)) {
	var names, commands []string
	for _, t := range topics {
		names = append(names, t.name+" ("+h.Facts.Unknown[t.id]+")")
		commands = append(commands, t.ask)
	}
	report("these are not known and were not checked: "+strings.Join(names, ", ")+"; "+consequence,
		"run on the host as root, and install or repair what does not work: "+strings.Join(commands, "; "))
}
