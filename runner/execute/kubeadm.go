package execute

import (
	"context"
	"fmt"
	"strings"

	"github.com/kubefile/kubefile/runner/kubeadm"
)

const (
	// InitConfig is the configuration that kubeadm init was given, in the cluster's directory of masters. It may have secrets.
	InitConfig = "kubeadm-init.yaml"
	// EndpointName is the name by which every host reaches the API, and Endpoint is where it is.
	EndpointName = "apiserver.cluster.local"
	Endpoint     = EndpointName + ":" + APIPort
)

// Configured reads how kubeadm was configured, from the first master that has it; nothing when none has.
func (s *Session) Configured(ctx context.Context) (kubeadm.Documents, error) {
	for _, m := range s.Masters() {
		config, err := m.Read(ctx, m.Path(InitConfig))
		if err != nil {
			return nil, err
		}
		if len(config) == 0 {
			continue
		}
		documents, err := kubeadm.Parse(config)
		if err != nil {
			return nil, fmt.Errorf("%s: reading %s: %w", m, InitConfig, err)
		}
		return documents, nil
	}
	return nil, nil
}

// KubeadmInit is what a site decides about the control plane of a master, in a cluster with this configuration and version of Kubernetes.
func (s *Session) KubeadmInit(m *Member, documents kubeadm.Documents, version string) kubeadm.Init {
	sans := []string{EndpointName, "127.0.0.1", "localhost"}
	for _, master := range s.Masters() {
		sans = append(sans, master.String(), master.Name)
	}
	return kubeadm.Init{
		KubernetesVersion: version,
		Endpoint:          Endpoint,
		AdvertiseAddress:  m.String(),
		NodeName:          m.Name,
		Kubelet:           m.Kubelet(documents),
		CertSANs:          sans,
	}
}

// Kubelet is what the kubelet of a host is given in addition to the documents.
func (m *Member) Kubelet(documents kubeadm.Documents) kubeadm.Kubelet {
	address := m.Host.Address
	if address.IsLoopback() || address.IsUnspecified() {
		return kubeadm.Kubelet{ResolvConf: m.ResolvConf} // the machine that this program runs on
	}
	addresses := address.String()
	// Pods or services with networks of both families need a node with addresses of both.
	if strings.Contains(documents.PodSubnet(), ",") || strings.Contains(documents.ServiceSubnet(), ",") {
		if peer := m.Facts.Peer(address); peer.IsValid() {
			addresses += "," + peer.String()
		}
	}
	return kubeadm.Kubelet{NodeIP: addresses, ResolvConf: m.ResolvConf}
}
