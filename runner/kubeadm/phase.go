package kubeadm

import (
	"cmp"
	"fmt"

	"github.com/Masterminds/semver/v3"
)

// PhaseConfig returns the documents for `kubeadm init phase --config` on a master of a running cluster: the ClusterConfiguration as the cluster
// keeps it, and what the documents of the site say of this master. One that joined has the patches of the JoinConfiguration. The certificates
// are in certificatesDir, if that is not empty.
func PhaseConfig(cluster []byte, d Documents, site Init, joined bool, certificatesDir string) ([]byte, error) {
	live, err := Parse(cluster)
	if err != nil {
		return nil, err
	}
	config := Documents{}
	for _, kept := range []struct {
		kind string
		from Documents
	}{{ClusterKind, live}, {InitKind, d}} {
		if kept.from[kept.kind] != nil {
			config.set(kept.kind, Clone(kept.from[kept.kind]).(map[string]any))
		}
	}
	if joined {
		delete(config[InitKind], "patches")
		if patches := d.at(JoinKind, "patches"); patches != nil {
			config.get(InitKind)["patches"] = patches
		}
	}
	if certificatesDir != "" {
		config.get(ClusterKind)["certificatesDir"] = certificatesDir
	}
	return InitConfig(config, site)
}

// CertificatesDir is where the certificates of the control plane are, by a ClusterConfiguration as the cluster keeps it.
func CertificatesDir(cluster []byte) (string, error) {
	live, err := Parse(cluster)
	if err != nil {
		return "", err
	}
	dir, _ := live.at(ClusterKind, "certificatesDir").(string)
	return cmp.Or(dir, "/etc/kubernetes/pki"), nil
}

// KubeletConfigMap is the name of the ConfigMap in which kubeadm keeps the configuration of kubelets: before 1.24 it had the minor version.
func KubeletConfigMap(kubernetes string) (string, error) {
	v, err := semver.NewVersion(kubernetes)
	if err != nil {
		return "", fmt.Errorf("the version of Kubernetes %q: %w", kubernetes, err)
	}
	if v.Major() == 1 && v.Minor() < 24 {
		return fmt.Sprintf("kubelet-config-%d.%d", v.Major(), v.Minor()), nil
	}
	return "kubelet-config", nil
}
