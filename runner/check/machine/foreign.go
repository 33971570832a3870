package machine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/check"
	"github.com/kubefile/kubefile/runner/host"
)

func foreign() []check.Check {
	return []check.Check{
		{ID: "foreign-directory", Severity: check.Error, Title: "The cluster's directory has no files of others", Host: foreignDirectory},
		{ID: "other-cluster", Severity: check.Error, Title: "The host is not one of another cluster of ours", Host: otherCluster},
		{ID: "foreign-kubernetes", Severity: check.Error, Title: "No other Kubernetes is on the host", Host: foreignKubernetes},
		{ID: "foreign-distribution", Severity: check.Error, Title: "No other distribution of Kubernetes runs on the host", Host: foreignDistribution},
		{ID: "foreign-etcd", Severity: check.Error, Title: "No other etcd is on the host", Host: foreignEtcd},
		{ID: "foreign-containerd", Severity: check.Error, Title: "No images and containers of another containerd are on the host", Host: foreignContainerd},
		{ID: "foreign-runtime", Severity: check.Error, Title: "No other container runtime and kubelet are installed", Host: foreignRuntime},
		{ID: "foreign-cni", Severity: check.Warning, Title: "No other program has configured a network of pods", Host: foreignCNI},
		{ID: "container-sockets", Severity: check.Warning, Title: "The host has the socket of one container runtime only", Host: sockets},
		{ID: "ports-in-use", Severity: check.Error, Title: "Nothing listens on the ports that the cluster needs", Host: ports},
		{ID: "proxy-ports-in-use", Severity: check.Warning, Title: "Nothing listens on the ports of kube-proxy", Host: proxyPorts},
	}
}

func foreignDirectory(h check.Host, _ *check.Site, report func(what, fix string)) {
	if h.Foreign != "" {
		report(h.Foreign+" is not empty and was not created by sealer-run",
			"move it, or choose another directory (--data-root, or spec.dataRoot in a Clusterfile)")
	}
}

// elsewhere reports whether the host is of another cluster of ours. What that cluster has there is not named one by one.
func elsewhere(h check.Host, s *check.Site) bool {
	return s.ClusterDir != "" && h.Facts.ClusterDir != "" && h.Facts.ClusterDir != s.ClusterDir
}

func otherCluster(h check.Host, s *check.Site, report func(what, fix string)) {
	if elsewhere(h, s) {
		report(fmt.Sprintf("it is a host of the cluster in %s, but this run is for the one in %s", h.Facts.ClusterDir, s.ClusterDir),
			"use the --cluster-name and --data-root (metadata.name and spec.dataRoot of a Clusterfile) that it was installed with, or another host")
	}
}

func foreignKubernetes(h check.Host, s *check.Site, report func(what, fix string)) {
	switch {
	case h.Ours || h.Begun || elsewhere(h, s):
	case len(h.Facts.Cluster) > 0:
		report("a Kubernetes is or was on it: "+check.List(h.Facts.Cluster)+server(h.Facts.Kubelet.Server),
			"use another host, or remove it first (kubeadm reset) if you do not need it")
	case h.Facts.Runs("kubelet"):
		report("a kubelet runs on it", "use another host, or stop and remove it first if you do not need it")
	}
}

// server names the cluster that a kubelet is of.
func server(url string) string {
	if url == "" {
		return ""
	}
	return " (its API is at " + url + ")"
}

func foreignDistribution(h check.Host, _ *check.Site, report func(what, fix string)) {
	for _, unit := range []string{"k3s", "k3s-agent", "rke2-server", "rke2-agent", "k0scontroller", "k0sworker", "snap.microk8s.daemon-kubelite"} {
		if check.Running(h, unit) {
			report(unit+" runs on it, and uses the ports and network rules that the cluster needs", "use another host, or uninstall it")
		}
	}
}

func foreignEtcd(h check.Host, s *check.Site, report func(what, fix string)) {
	const fix = "use another host, or stop that etcd and move its data away"
	switch {
	case h.Begun || elsewhere(h, s):
	case h.Facts.HasData(host.EtcdDir):
		report("etcd data in "+host.EtcdDir+", which this cluster did not create", fix)
	case h.Facts.Runs("etcd"):
		report("an etcd runs on it, which this cluster did not create", fix)
	}
}

func foreignContainerd(h check.Host, s *check.Site, report func(what, fix string)) {
	if !h.Ours && !elsewhere(h, s) && h.Facts.HasData(host.ContainerdDir) {
		report("containerd data in "+host.ContainerdDir+", which this cluster did not create",
			"use another host, or remove containerd and that directory if you do not need them")
	}
}

// foreignRuntime is what the pre-check.sh of a base image refuses, before anything was sent.
func foreignRuntime(h check.Host, s *check.Site, report func(what, fix string)) {
	for _, unit := range []string{"docker", "crio"} {
		if check.Running(h, unit) {
			report(unit+".service runs on it, and its network rules mix with the cluster's", "stop and disable it, or use another host")
		}
	}
	for _, unit := range []string{"containerd", "kubelet"} {
		if _, installed := h.Facts.Units[unit]; installed && !h.Ours && !elsewhere(h, s) {
			report(unit+".service is installed on it, and the image brings its own", "remove the package that has it, or use another host")
		}
	}
}

func foreignCNI(h check.Host, _ *check.Site, report func(what, fix string)) {
	if !h.Ours && len(h.Facts.CNI) > 0 {
		report("another program has configured a network of pods: "+check.List(h.Facts.CNI)+": pods that start before the cluster's own network is there get addresses of it, and are not reached from other hosts",
			"move that away while the cluster is installed, or for good")
	}
}

func sockets(h check.Host, _ *check.Site, report func(what, fix string)) {
	others := slices.DeleteFunc(slices.Clone(h.Facts.Sockets), func(socket string) bool { return strings.Contains(socket, "containerd") })
	if len(others) > 0 {
		report("it has sockets of other container runtimes, "+check.List(others)+": kubeadm reset by hand has to be told which one is meant", "stop what has them, or give kubeadm --cri-socket")
	}
}

func ports(h check.Host, s *check.Site, report func(what, fix string)) {
	wanted := append([]uint16{s.RegistryPort}, check.NodePorts()...)
	if h.IsMaster() {
		wanted = append(wanted, check.MasterPorts()...)
	}
	occupied(h, s, wanted, "", report)
}

func proxyPorts(h check.Host, s *check.Site, report func(what, fix string)) {
	occupied(h, s, check.KubeProxyPorts(), ": kube-proxy starts, but its metrics or health cannot be asked for", report)
}

func occupied(h check.Host, s *check.Site, ports []uint16, consequence string, report func(what, fix string)) {
	if h.Ours || elsewhere(h, s) {
		return
	}
	for _, port := range ports {
		l := h.Facts.Listener(port)
		if l == nil || port == 0 {
			continue
		}
		by := ""
		if l.Process != "" {
			by = " by " + l.Process
		}
		report(fmt.Sprintf("port %d is in use%s%s", port, by, consequence), "stop what listens there, or use another host")
	}
}
