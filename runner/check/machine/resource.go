package machine

import (
	"fmt"

	"github.com/kubefile/kubefile/runner/check"
)

const (
	// What kubeadm wants of a control plane, ControlPlaneNumCPU and ControlPlaneMem of its constants.
	masterCPUs   = 2
	masterMemory = 1700 << 20
	nodeMemory   = 1 << 30
)

func resources() []check.Check {
	return []check.Check{
		{ID: "master-cpus", Severity: check.Error, Title: "A master has the processors that kubeadm demands", Host: masterCPU},
		{ID: "master-memory", Severity: check.Error, Title: "A master has the memory that kubeadm demands", Host: masterRAM},
		{ID: "node-memory", Severity: check.Warning, Title: "A node has 1 GiB of memory", Host: nodeRAM},
		{ID: "swap", Severity: check.Error, Title: "Swap is off", Host: swap(false)},
		{ID: "swap-allowed", Severity: check.Warning, Title: "Swap is off, also where the kubelet is configured to bear it", Host: swap(true)},
		{ID: "open-files", Severity: check.Warning, Title: "A process may open a million files", Host: openFiles},
		{ID: "inotify-limits", Severity: check.Warning, Title: "The limits for watched files are not below the kernel's defaults", Host: inotify},
		{ID: "pid-limit", Severity: check.Warning, Title: "The limit for processes is not below the kernel's default", Host: pids},
	}
}

func masterCPU(h check.Host, _ *check.Site, report func(what, fix string)) {
	if h.IsMaster() && !h.Ours && h.Facts.CPUs > 0 && h.Facts.CPUs < masterCPUs {
		report(fmt.Sprintf("%d CPU, and kubeadm requires %d on a master", h.Facts.CPUs, masterCPUs), "give it more processors, or use another host as master")
	}
}

func masterRAM(h check.Host, _ *check.Site, report func(what, fix string)) {
	if h.IsMaster() && !h.Ours && h.Facts.MemoryBytes > 0 && h.Facts.MemoryBytes < masterMemory {
		report(fmt.Sprintf("%s of memory, and kubeadm requires %s on a master", check.Size(h.Facts.MemoryBytes), check.Size(masterMemory)),
			"give it more memory, or use another host as master")
	}
}

func nodeRAM(h check.Host, _ *check.Site, report func(what, fix string)) {
	if !h.IsMaster() && h.Facts.MemoryBytes > 0 && h.Facts.MemoryBytes < nodeMemory {
		report(fmt.Sprintf("%s of memory: kubelet and container runtime leave little for pods", check.Size(h.Facts.MemoryBytes)), "give it at least "+check.Size(nodeMemory))
	}
}

func swap(allowed bool) func(h check.Host, s *check.Site, report func(what, fix string)) {
	return func(h check.Host, s *check.Site, report func(what, fix string)) {
		if h.Facts.SwapBytes == 0 || s.SwapAllowed != allowed {
			return
		}
		what := " of swap are on, and the kubelet does not start"
		if allowed {
			what = " of swap are on: what was paged out makes etcd and probes slow, and the pre-check.sh of an image may refuse it"
		}
		report(check.Size(h.Facts.SwapBytes)+what, "turn it off: swapoff -a, and remove it from /etc/fstab (or mask the swap unit)")
	}
}

func openFiles(h check.Host, _ *check.Site, report func(what, fix string)) {
	if n, ok := number(h.Facts.Sysctls["fs.nr_open"]); ok && n < 1<<20 {
		report(fmt.Sprintf("fs.nr_open is %d: units and containers that ask for more open files do not start", n), "set it to at least 1048576 in /etc/sysctl.d")
	}
}

func inotify(h check.Host, _ *check.Site, report func(what, fix string)) {
	for _, limit := range []struct {
		name  string
		least uint64
	}{{"fs.inotify.max_user_instances", 128}, {"fs.inotify.max_user_watches", 8192}} {
		if n, ok := number(h.Facts.Sysctls[limit.name]); ok && n < limit.least {
			report(fmt.Sprintf("%s is %d: the kubelet and pods fail with \"too many open files\"", limit.name, n),
				fmt.Sprintf("set it to %d or more in /etc/sysctl.d", limit.least))
		}
	}
}

func pids(h check.Host, _ *check.Site, report func(what, fix string)) {
	if n, ok := number(h.Facts.Sysctls["kernel.pid_max"]); ok && n < 32768 {
		report(fmt.Sprintf("kernel.pid_max is %d: no pod can start a process once so many run", n), "set it to 32768 or more in /etc/sysctl.d")
	}
}

func number(text string) (n uint64, ok bool) {
	_, err := fmt.Sscan(text, &n)
	return n, err == nil
}
