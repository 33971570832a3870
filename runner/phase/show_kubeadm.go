package phase

import (
	"context"
	"fmt"
	"io"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/status"
)

// ShowKubeadm writes what kubeadm would be given on the first master, on other masters and on nodes, without reaching any host. Secrets,
// and names that only the hosts know, are placeholders.
func ShowKubeadm(ctx context.Context, c *Cluster, w io.Writer) error {
	if c.Artifact.Description.Kind != imagespec.KindCluster {
		return fmt.Errorf("%s has no Kubernetes in it, and so no configuration of it", c.Artifact.Name)
	}
	for _, h := range c.Hosts {
		c.Add(&c.Session, host.Report{Host: h.Login, Facts: &host.Facts{Hostname: status.UnknownName}})
	}
	c.State = state.New(c.Name)
	c.settleNames()
	adapter, err := c.adapter(ctx)
	if err != nil {
		return err
	}
	documents, err := adapter.Documents()
	if err != nil {
		return err
	}
	return status.WriteKubeadm(w, &c.Session, documents, c.Artifact.Description.KubernetesVersion)
}
