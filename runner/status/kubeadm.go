package status

import (
	"fmt"
	"io"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/kubeadm"
)

// Placeholders for what only a host or a run knows.
const (
	// UnknownName is the placeholder for a host's name.
	UnknownName  = "host-name"
	unknownToken = "secret"
)

// WriteKubeadm writes what kubeadm would be given on the first master, on other masters and on nodes, for a cluster with these documents and this
// version of Kubernetes. Secrets are placeholders.
func WriteKubeadm(w io.Writer, s *execute.Session, documents kubeadm.Documents, version string) error {
	documents = documents.Masked(unknownToken)
	first, err := kubeadm.InitConfig(documents, s.KubeadmInit(s.First(), documents, version))
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "# kubeadm init on %s\n%s", s.First(), first); err != nil {
		return err
	}
	for _, m := range s.Members {
		if m == s.First() {
			continue
		}
		join := kubeadm.Join{KubernetesVersion: version, Endpoint: execute.Endpoint, NodeName: m.Name, Kubelet: m.Kubelet(documents), Token: unknownToken, CAHash: unknownToken}
		if m.IsMaster() {
			join.ControlPlane = &kubeadm.ControlPlane{AdvertiseAddress: m.String(), CertificateKey: unknownToken}
		}
		config, err := kubeadm.JoinConfig(documents, join)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "---\n# kubeadm join on %s\n%s", m, config); err != nil {
			return err
		}
	}
	return nil
}
