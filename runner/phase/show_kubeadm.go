package phase

import (
	"context"
	"fmt"
	"io"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/state"
)

// Placeholders for what only a host or a run knows.
const (
	unknownName  = "host-name"
	unknownToken = "secret"
)

// ShowKubeadm writes what kubeadm would be given on the first master, on other masters and on nodes, without reaching any host. Secrets,
// and names that only the hosts know, are placeholders.
func ShowKubeadm(ctx context.Context, c *Cluster, w io.Writer) error {
	if c.Artifact.Description.Kind != imagespec.KindCluster {
		return fmt.Errorf("%s has no Kubernetes in it, and so no configuration of it", c.Artifact.Name)
	}
	for _, h := range c.Hosts {
		c.join(host.Report{Host: h.Login, Facts: &host.Facts{Hostname: unknownName}})
	}
	c.State = state.New(c.Name)
	c.settleNames()
	a := &adapt{c}
	var err error
	if c.files, err = c.Artifact.Files(ctx, a.wants); err != nil {
		return err
	}
	if err := a.configuration(); err != nil {
		return err
	}
	c.kubeadm = c.kubeadm.Masked(unknownToken)
	first, err := kubeadm.InitConfig(c.kubeadm, c.initSite(c.First()))
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "# kubeadm init on %s\n%s", c.First(), first); err != nil {
		return err
	}
	for _, m := range c.Members {
		if m == c.First() {
			continue
		}
		join := kubeadm.Join{KubernetesVersion: c.kubernetesVersion(), Endpoint: endpoint, NodeName: m.Name, Kubelet: c.kubelet(m), Token: unknownToken, CAHash: unknownToken}
		if m.IsMaster() {
			join.ControlPlane = &kubeadm.ControlPlane{AdvertiseAddress: m.String(), CertificateKey: unknownToken}
		}
		config, err := kubeadm.JoinConfig(c.kubeadm, join)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "---\n# kubeadm join on %s\n%s", m, config); err != nil {
			return err
		}
	}
	return nil
}
