package kubeadm

import (
	"fmt"
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
	if !d.skips("addon/coredns") && d.at(ClusterKind, "dns", "disabled") != true {
		objects = append(objects, Object{"deployment", system, "coredns"})
	}
	if !d.skips("addon/kube-proxy") && d.at(ClusterKind, "proxy", "disabled") != true {
		objects = append(objects, Object{"daemonset", system, "kube-proxy"})
	}
	return objects
}

// SkipPhases are the phases that kubeadm init leaves out by these documents. The flag of that name replaces them.
func (d Documents) SkipPhases() (phases []string) {
	skipped, _ := d.at(InitKind, "skipPhases").([]any)
	for _, one := range skipped {
		phases = append(phases, fmt.Sprint(one))
	}
	return phases
}

// skips reports whether kubeadm init leaves out a phase, or the one that it is part of.
func (d Documents) skips(phase string) bool {
	group, _, _ := strings.Cut(phase, "/")
	return slices.ContainsFunc(d.SkipPhases(), func(one string) bool { return one == phase || one == group || one == "all" })
}
