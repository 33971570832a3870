package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/imagespec"
	format "github.com/kubefile/kubefile/imagespec/clusterfile"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/phase"
	"github.com/kubefile/kubefile/runner/source"
)

// Run brings images up on the site, one after the other: a cluster image makes the cluster, an application image comes to the one that
// is there. Plugins of the Clusterfile, and its commands, belong to the first. The plan, or what was done, is written to out; changes is how
// many changes that were.
func Run(ctx context.Context, images []string, from source.Options, site Site, opts Options, out io.Writer) (changes int, err error) {
	artifacts, err := open(ctx, images, from)
	defer closeAll(artifacts)
	if err != nil {
		return 0, err
	}
	if err := checkApps(site.Clusterfile, artifacts); err != nil {
		return 0, err
	}
	log := &runLog{}
	defer log.Close()
	leaving, err := pruned(ctx, site, opts, log)
	if err != nil {
		return 0, err
	}
	apps := &appFinder{given: artifacts, from: from}
	defer apps.Close()
	var done []*phase.Cluster
	defer func() {
		for _, c := range done {
			changes += len(c.Report.Changes())
		}
	}()
	whole := site
	for i, artifact := range artifacts {
		if i > 0 {
			site.Clusterfile = forOthers(site.Clusterfile)
		}
		c, err := site.cluster()
		if err != nil {
			return 0, err
		}
		c.Artifact, c.Next, c.FindApp = artifact, leaving.Addresses(), apps.find
		if opts.DryRun && len(done) > 0 {
			c.Before = done[0]
		}
		done = append(done, c)
		if len(artifacts) > 1 || len(leaving.Addresses()) > 0 {
			c.Report.Part("bring up " + artifact.Name)
		}
		if err := run(ctx, c, opts, log, out); err != nil {
			return 0, err
		}
		brought, err := apps.bring(ctx, whole, c, opts, log, out)
		done = append(done, brought...)
		if err != nil {
			return 0, err
		}
	}
	if len(leaving.Addresses()) > 0 {
		c, err := prune(ctx, whole, leaving, opts, log, out)
		if err != nil {
			return 0, err
		}
		done = append(done, c)
	}
	if !opts.shown() {
		return 0, nil
	}
	return 0, writePlan(out, opts, done...)
}

// forOthers is a Clusterfile without what was for the first image only.
func forOthers(file *clusterfile.Clusterfile) *clusterfile.Clusterfile {
	others, cluster := *file, *file.Cluster
	cluster.Cmd = nil
	others.Cluster, others.Plugins, others.Warnings = &cluster, nil, nil
	return &others
}

// open opens all images before anything is done with the first, the cluster image first.
func open(ctx context.Context, images []string, from source.Options) ([]*source.Artifact, error) {
	artifacts, err := openAll(ctx, images, from)
	if err != nil {
		return artifacts, err
	}
	clusters := 0
	for _, artifact := range artifacts {
		if artifact.Description.Kind == imagespec.KindCluster {
			clusters++
		}
	}
	if clusters > 1 {
		return artifacts, errors.New("only one image may contain Kubernetes, and more than one of these does")
	}
	dirs := map[string]string{}
	for _, artifact := range artifacts {
		dir := appDir(artifact.Name)
		if other := dirs[dir]; other != "" && artifact.Description.Kind == imagespec.KindApp {
			return artifacts, fmt.Errorf("%s and %s would both be installed in %s: rename one, or run only one", other, artifact.Name, dir)
		}
		if artifact.Description.Kind == imagespec.KindApp {
			dirs[dir] = artifact.Name
		}
	}
	slices.SortStableFunc(artifacts, func(a, b *source.Artifact) int { return strings.Compare(order(a), order(b)) })
	return artifacts, nil
}

// openAll opens images in their order.
func openAll(ctx context.Context, images []string, from source.Options) (artifacts []*source.Artifact, err error) {
	for _, image := range images {
		artifact, err := source.Open(ctx, image, from)
		if err != nil {
			return artifacts, err
		}
		artifacts = append(artifacts, artifact)
	}
	return artifacts, nil
}

func closeAll(artifacts []*source.Artifact) {
	for _, artifact := range artifacts {
		artifact.Close()
	}
}

func order(a *source.Artifact) string {
	if a.Description.Kind == imagespec.KindCluster {
		return "first"
	}
	return "second"
}

// run brings up one image.
func run(ctx context.Context, c *phase.Cluster, opts Options, log *runLog, out io.Writer) error {
	phases := phase.Bringup(c)
	if c.Artifact.Description.Kind == imagespec.KindApp {
		c.App = appDir(c.Artifact.Name)
		phases = phase.Installation(c)
	}
	if err := perform(ctx, c, phases, opts, log); err != nil || opts.shown() {
		return err
	}
	said := "cluster %s runs %s\n"
	if len(c.Report.Changes()) == 0 {
		said = "nothing to do: " + said
	}
	_, err := fmt.Fprintf(out, said, c.Name, c.Artifact.Name)
	return err
}

var (
	imageSelector = regexp.MustCompile(`(:[A-Za-z0-9_.-]+)?(@[a-z0-9]+:[0-9a-f]+)?$`)
	archiveEnding = regexp.MustCompile(`\.(tar|tgz|oci|tar\.gz|tar\.zst)$`)
	notInAName    = regexp.MustCompile(`[^a-z0-9._-]+`)
)

// appDir is the directory of an application image on the hosts: the last part of its name, without tag or digest, so that another
// version takes its place.
func appDir(name string) string {
	base := path.Base(imageSelector.ReplaceAllString(name, ""))
	base = archiveEnding.ReplaceAllString(strings.ToLower(base), "")
	base = strings.Trim(notInAName.ReplaceAllString(base, "-"), "-.")
	if base == "" {
		base = "app"
	}
	return base
}

// checkApps refuses names of applications that none of the images has.
func checkApps(file *clusterfile.Clusterfile, artifacts []*source.Artifact) error {
	var known []string
	for _, artifact := range artifacts {
		for _, app := range artifact.Description.Apps {
			known = append(known, app.Name)
		}
	}
	check := func(where, name string) error {
		switch {
		case name == "" || slices.Contains(known, name):
			return nil
		case len(known) == 0:
			return fmt.Errorf("%s: the image has no application %s, nor any other", where, name)
		}
		return fmt.Errorf("%s: no application %s%s", where, name, format.Suggest(name, known))
	}
	var failed []error
	for _, c := range file.Configs {
		failed = append(failed, check(c.Where, c.App))
	}
	if file.Cluster != nil {
		for _, name := range file.Cluster.AppNames {
			failed = append(failed, check("appNames", name))
		}
		for name := range file.Cluster.Apps {
			failed = append(failed, check("Application", name))
		}
	}
	return errors.Join(failed...)
}

// Kubeadm writes the documents that kubeadm would be given for an image on the site. It reaches no host.
func Kubeadm(ctx context.Context, image string, from source.Options, site Site, out io.Writer) error {
	site.Clusterfile = withoutSecrets(site.Clusterfile)
	c, err := site.cluster()
	if err != nil {
		return err
	}
	if c.Artifact, err = source.Open(ctx, image, from); err != nil {
		return err
	}
	defer c.Artifact.Close()
	return phase.ShowKubeadm(ctx, c, out)
}

// withoutSecrets is a Clusterfile without logins, for what reaches nobody: nobody is asked for a password then.
func withoutSecrets(file *clusterfile.Clusterfile) *clusterfile.Clusterfile {
	if file.Cluster == nil {
		return file
	}
	bare, cluster := *file, *file.Cluster
	cluster.Hosts = slices.Clone(cluster.Hosts)
	for i := range cluster.Hosts {
		cluster.Hosts[i].SSH = format.SSH{}
	}
	local := cluster.Registry.LocalRegistry
	cluster.Registry = format.Registry{LocalRegistry: format.LocalRegistry{Domain: local.Domain, Port: local.Port}}
	bare.Cluster = &cluster
	return &bare
}
