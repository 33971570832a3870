package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/host"
)

func foreign() []Check {
	return []Check{
		{ID: "foreign-directory", Severity: Error, Title: "The cluster's directory has no files of others", host: foreignDirectory},
		{ID: "other-cluster", Severity: Error, Title: "The host is not one of another cluster of ours", host: otherCluster},
		{ID: "foreign-kubernetes", Severity: Error, Title: "No other Kubernetes is on the host", host: foreignKubernetes},
		{ID: "foreign-distribution", Severity: Error, Title: "No other distribution of Kubernetes runs on the host", host: foreignDistribution},
		{ID: "foreign-etcd", Severity: Error, Title: "No other etcd is on the host", host: foreignEtcd},
		{ID: "foreign-containerd", Severity: Error, Title: "No images and containers of another containerd are on the host", host: foreignContainerd},
		{ID: "foreign-runtime", Severity: Error, Title: "No other container runtime and kubelet are installed", host: foreignRuntime},
		{ID: "foreign-cni", Severity: Warning, Title: "No other program has configured a network of pods", host: foreignCNI},
		{ID: "container-sockets", Severity: Warning, Title: "The host has the socket of one container runtime only", host: sockets},
		{ID: "ports-in-use", Severity: Error, Title: "Nothing listens on the ports that the cluster needs", host: ports},
		{ID: "proxy-ports-in-use", Severity: Warning, Title: "Nothing listens on the ports of kube-proxy", host: proxyPorts},
	}
}

func foreignDirectory(h Host, _ *Site, report func(what, fix string)) {
	if h.Foreign != "" {
		report(h.Foreign+" is not empty and was not created by sealer-run",
			"move it, or choose another directory (--data-root, or spec.dataRoot in a Clusterfile)")
	}
}

// elsewhere reports whether the host is of another cluster of ours. What that cluster has there is not named one by one.
func elsewhere(h Host, s *Site) bool {
	return s.ClusterDir != "" && h.Facts.ClusterDir != "" && h.Facts.ClusterDir != s.ClusterDir
}

func otherCluster(h Host, s *Site, report func(what, fix string)) {
	if elsewhere(h, s) {
		report(fmt.Sprintf("it is a host of the cluster in %s, but this run is for the one in %s", h.Facts.ClusterDir, s.ClusterDir),
			"use the --cluster-name and --data-root (metadata.name and spec.dataRoot of a Clusterfile) that it was installed with, or another host")
	}
}

func foreignKubernetes(h Host, s *Site, report func(what, fix string)) {
	switch {
	case h.Ours || h.Begun || elsewhere(h, s):
	case len(h.Facts.Cluster) > 0:
		report("a Kubernetes is or was on it: "+list(h.Facts.Cluster)+server(h.Facts.Kubelet.Server),
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

func foreignDistribution(h Host, _ *Site, report func(what, fix string)) {
	for _, unit := range []string{"k3s", "k3s-agent", "rke2-server", "rke2-agent", "k0scontroller", "k0sworker", "snap.microk8s.daemon-kubelite"} {
		if running(h, unit) {
			report(unit+" runs on it, and uses the ports and network rules that the cluster needs", "use another host, or uninstall it")
		}
	}
}

func running(h Host, unit string) bool {
	return slices.Contains([]string{"active", "activating", "reloading"}, h.Facts.Units[unit])
}

func foreignEtcd(h Host, s *Site, report func(what, fix string)) {
	const fix = "use another host, or stop that etcd and move its data away"
	switch {
	case h.Begun || elsewhere(h, s):
	case h.Facts.HasData(host.EtcdDir):
		report("etcd data in "+host.EtcdDir+", which this cluster did not create", fix)
	case h.Facts.Runs("etcd"):
		report("an etcd runs on it, which this cluster did not create", fix)
	}
}

func foreignContainerd(h Host, s *Site, report func(what, fix string)) {
	if !h.Ours && !elsewhere(h, s) && h.Facts.HasData(host.ContainerdDir) {
		report("containerd data in "+host.ContainerdDir+", which this cluster did not create",
			"use another host, or remove containerd and that directory if you do not need them")
	}
}

// foreignRuntime is what the pre-check.sh of a base image refuses, before anything was sent.
func foreignRuntime(h Host, s *Site, report func(what, fix string)) {
	for _, unit := range []string{"docker", "crio"} {
		if running(h, unit) {
			report(unit+".service runs on it, and its network rules mix with the cluster's", "stop and disable it, or use another host")
		}
	}
	for _, unit := range []string{"containerd", "kubelet"} {
		if _, installed := h.Facts.Units[unit]; installed && !h.Ours && !elsewhere(h, s) {
			report(unit+".service is installed on it, and the image brings its own", "remove the package that has it, or use another host")
		}
	}
}

func foreignCNI(h Host, _ *Site, report func(what, fix string)) {
	if !h.Ours && len(h.Facts.CNI) > 0 {
		report("another program has configured a network of pods: "+list(h.Facts.CNI)+": pods that start before the cluster's own network is there get addresses of it, and are not reached from other hosts",
			"move that away while the cluster is installed, or for good")
	}
}

func sockets(h Host, _ *Site, report func(what, fix string)) {
	others := slices.DeleteFunc(slices.Clone(h.Facts.Sockets), func(socket string) bool { return strings.Contains(socket, "containerd") })
	if len(others) > 0 {
		report("it has sockets of other container runtimes, "+list(others)+": kubeadm reset by hand has to be told which one is meant", "stop what has them, or give kubeadm --cri-socket")
	}
}

// nodePorts are those of the documentation of Kubernetes ("Ports and Protocols"), and what kubeadm checks. Nodes have a load balancer at
// 6443, and an etcd on a node is not ours.
func nodePorts() []uint16 { return []uint16{6443, 10248, 10250, 2379, 2380} }

func masterPorts() []uint16 { return []uint16{2381, 10257, 10259} }

func kubeProxyPorts() []uint16 { return []uint16{10249, 10256} }

// KubernetesPorts are the ports of a host that Kubernetes listens on.
func KubernetesPorts() []uint16 { return slices.Concat(nodePorts(), masterPorts(), kubeProxyPorts()) }

func ports(h Host, s *Site, report func(what, fix string)) {
	wanted := append([]uint16{s.RegistryPort}, nodePorts()...)
	if h.master() {
		wanted = append(wanted, masterPorts()...)
	}
	occupied(h, s, wanted, "", report)
}

func proxyPorts(h Host, s *Site, report func(what, fix string)) {
	occupied(h, s, kubeProxyPorts(), ": kube-proxy starts, but its metrics or health cannot be asked for", report)
}

func occupied(h Host, s *Site, ports []uint16, consequence string, report func(what, fix string)) {
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

// listed is how many things of one kind a message names.
const listed = 5

func list(words []string) string {
	if len(words) > listed {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:listed], ", "), len(words)-listed)
	}
	return strings.Join(words, ", ")
}
