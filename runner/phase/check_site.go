package phase

import (
	"context"
	"fmt"
	"slices"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/check"
	"github.com/kubefile/kubefile/runner/check/checklist"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/source"
)

// CheckSite returns what a run would refuse, and what it would warn of, before it changes a host: what is wrong with the images, with the
// hosts, and with what the site makes of the image. apps are application images for the cluster. It changes nothing.
func CheckSite(ctx context.Context, c *Cluster, apps ...*source.Artifact) ([]check.Finding, error) {
	c.DryRun = true
	images := c.checkImage().Images(ctx, apps)
	site, err := c.checkHosts().Inspect(ctx)
	if err != nil {
		return nil, err
	}
	site.Images = images
	if len(images) == 0 {
		site.Configuration = c.refusedConfiguration(ctx, check.Count(checklist.Run(site), check.Error) == 0)
	}
	for _, app := range apps {
		if err := imagespec.CheckKubernetes(app.Description.SupportedKubernetes, c.Artifact.Description.KubernetesVersion); err != nil {
			site.Configuration = append(site.Configuration, fmt.Errorf("%s: %w", app.Name, err))
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return checklist.Run(site), nil
}

// refusedConfiguration is what the phases between the look at the hosts and the first change refuse. Where a run would stop at a host already,
// the documents of kubeadm are looked at all the same, for a cluster of which nothing is there yet.
func (c *Cluster) refusedConfiguration(ctx context.Context, hostsFit bool) []error {
	var err error
	switch {
	case hostsFit:
		if err = (&remember{c}).Run(ctx); err == nil {
			err = (&adaptImage{c}).Run(ctx)
		}
	case len(c.Masters()) > 0 && !slices.ContainsFunc(c.Members, func(m *execute.Member) bool { return !m.IsNew }):
		_, err = c.draftConfiguration(ctx)
	}
	if err == nil {
		return nil
	}
	return []error{err}
}
