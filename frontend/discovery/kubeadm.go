package discovery

import (
	"context"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/kubefile/kubefile/imagespec"
)

// ruleKubeadm finds the images that the packed kubeadm fetches by itself.
const ruleKubeadm = "kubeadm"

// kubeadmVersions are the versions of other images that kubeadm pulls, by the minor version of Kubernetes 1, of the newest patch release
// that was looked at (cmd/kubeadm/app/constants/constants.go of k8s.io/kubernetes v1.30.14, v1.31.14, v1.32.13, v1.33.13, v1.34.4,
// v1.35.4).
func kubeadmVersions(minor uint64) (etcd, coredns, pause string) {
	switch minor {
	case 30:
		return "3.5.15-0", "v1.11.3", "3.9"
	case 31, 32:
		return "3.5.24-0", "v1.11.3", "3.10"
	case 33:
		return "3.5.24-0", "v1.12.0", "3.10"
	case 34:
		return "3.6.5-0", "v1.12.1", "3.10.1"
	case 35:
		return "3.6.6-0", "v1.13.1", "3.10.1"
	}
	return "", "", ""
}

// readKubeadm adds kubeadm's own images where kubeadm is packed and nobody lists them: only kubeadm itself knows for certain, and says so
// to "kubeadm config images list".
func readKubeadm(_ context.Context, c *collector, t *tree) error {
	at := slices.IndexFunc(t.all, func(name string) bool { return name == "bin/kubeadm" || name == "usr/bin/kubeadm" })
	if at < 0 || c.kubernetes == "" || slices.ContainsFunc(c.findings, func(f Finding) bool { return strings.Contains(f.Reference, "/kube-apiserver:") }) {
		return nil
	}
	version, err := semver.NewVersion(c.kubernetes)
	if err != nil {
		return nil // capabilitiesOf has refused it
	}
	c.problem(t.all[at], 0, false, "nothing lists the images that this kubeadm fetches, and they are taken from a table: "+
		"RUN kubeadm config images list > imageList says which they are")
	const registry = "registry.k8s.io/"
	add := func(ref string) {
		c.reference(registry+ref, imagespec.Finding{File: t.all[at], Rule: ruleKubeadm, Class: imagespec.ClassCertain})
	}
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"} {
		add(name + ":v" + version.String())
	}
	etcd, coredns, pause := kubeadmVersions(version.Minor())
	if etcd == "" {
		c.problem(t.all[at], 0, true, "the images of etcd, CoreDNS and pause for Kubernetes %s are not known: RUN kubeadm config images list > imageList", c.kubernetes)
		return nil
	}
	add("etcd:" + etcd)
	add("coredns/coredns:" + coredns)
	add("pause:" + pause)
	return nil
}
