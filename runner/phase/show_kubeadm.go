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
	a := &adapt{c}
	var err error
	if c.files, err = c.Artifact.Files(ctx, a.wants); err != nil {
		return err
	}
	if err := a.configuration(); err != nil {
		return err
	}
	return status.WriteKubeadm(w, &c.Session, c.kubeadm, c.Artifact.Description.KubernetesVersion)
}
