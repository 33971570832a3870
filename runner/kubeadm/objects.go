package kubeadm

import (
	"slices"
	"strings"
)

// Object is something in the cluster's API.
type Object struct{ Kind, Namespace, Name string }

// Objects are what a kubeadm init with these documents leaves in the API when it has done all of its work, in the order in which it makes
// them.
func (d Documents) Objects() []Object {
	const system = "kube-system"
	objects := []Object{{"configmap", system, "kubeadm-config"}, {"configmap", "kube-public", "cluster-info"}}
	if !d.skips("addon/coredns") && d.at(clusterKind, "dns", "disabled") != true {
		objects = append(objects, Object{"deployment", system, "coredns"})
	}
	if !d.skips("addon/kube-proxy") && d.at(clusterKind, "proxy", "disabled") != true {
		objects = append(objects, Object{"daemonset", system, "kube-proxy"})
	}
	return objects
}

// skips reports whether kubeadm init leaves out a phase, or the one that it is part of.
func (d Documents) skips(phase string) bool {
	skipped, _ := d.at(initKind, "skipPhases").([]any)
	group, _, _ := strings.Cut(phase, "/")
	return slices.ContainsFunc(skipped, func(one any) bool { return one == phase || one == group || one == "all" })
}
