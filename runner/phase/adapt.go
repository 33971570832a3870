package phase

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/config"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/unit"
)

// adapt works out what this site makes of the image: the files that are its own, the plugins, and the configuration of Kubernetes. It
// changes nothing, so that a template, a Config or a plugin that is wrong stops the run before a host is touched.
type adapt struct{ *Cluster }

func (*adapt) Title() string { return "Adapt the image to the site" }

const (
	kubeadmFile = "etc/kubeadm.yml"
	scriptsDir  = "scripts/"
	scriptEnd   = ".sh"
	// siteFileMode is what files have that the image has not.
	siteFileMode = 0o644
)

// pluginDirs are where plugins are in an image; the second is an older spelling.
var pluginDirs = []string{"plugins", "plugin"}

func (p *adapt) Run(ctx context.Context) (err error) {
	if p.files == nil { // the checks of the hosts have read them
		if p.files, err = p.Artifact.Files(ctx, p.wants); err != nil {
			return err
		}
	}
	// What templates may ask of the network is in the configuration, which may itself come from a template.
	if err := p.configuration(); err != nil {
		return err
	}
	if err := p.unchanged(ctx); err != nil {
		return err
	}
	var failed []error
	p.overlays = map[*execute.Member]map[string]source.File{}
	contents := map[digest.Digest][]byte{}
	for _, m := range p.Members {
		if p.overlays[m], err = p.overlay(m); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", m, err))
		}
		shareContents(p.overlays[m], contents)
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	if err := p.findPlugins(); err != nil {
		return err
	}
	return p.unapplied(ctx)
}

// shareContents makes files of several hosts with the same content have it in memory once.
func shareContents(files map[string]source.File, contents map[digest.Digest][]byte) {
	for name, file := range files {
		sum := digest.FromBytes(file.Content)
		shared, there := contents[sum]
		if !there {
			contents[sum] = file.Content
			continue
		}
		files[name] = source.File{Mode: file.Mode, Content: shared}
	}
}

// wants are the files of the rootfs that may concern the site.
func (p *adapt) wants(name string) bool {
	return environment.IsTemplate(name) || isPlugin(name) || name == kubeadmFile || isScript(name) ||
		slices.ContainsFunc(p.configs(), func(c config.Config) bool { return c.File() == name })
}

// isScript reports whether a file is a script of the image's, in which variables have names that only their authors could say.
func isScript(name string) bool {
	return strings.HasPrefix(name, scriptsDir) || path.Ext(name) == scriptEnd
}

func isPlugin(name string) bool {
	return slices.Contains(pluginDirs, path.Dir(name)) && slices.Contains([]string{".yaml", ".yml"}, path.Ext(name))
}

// configs are those for the image of this run: one for an application is not for an image without it.
func (c *Cluster) configs() []config.Config {
	return slices.DeleteFunc(slices.Clone(c.Site.Configs), func(doc config.Config) bool {
		return doc.App != "" && !slices.ContainsFunc(c.Artifact.Description.Apps, func(a imagespec.App) bool { return a.Name == doc.App })
	})
}

// configuration puts together what kubeadm is given: the site's documents over the image's.
func (p *adapt) configuration() error {
	if p.Artifact.Description.Kind != imagespec.KindCluster {
		return nil
	}
	p.kubeadm = p.Site.Kubeadm // for what templates of the image's own file say of the subnets
	overlay, err := p.overlay(p.First())
	if err != nil {
		return fmt.Errorf("%s: %w", p.First(), err)
	}
	file, ok := overlay[kubeadmFile]
	if !ok {
		file = p.files[kubeadmFile]
	}
	image, err := kubeadm.Parse(file.Content)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", kubeadmFile, p.Artifact.Name, err)
	}
	p.kubeadm = p.Site.Kubeadm.Over(image)
	return p.Site.Locate(p.kubeadm.Check(p.addresses()))
}

// unchanged refuses other networks than those that a running cluster was made with: what is derived from them, as the manifests of the
// network plugin, would contradict the cluster.
func (p *adapt) unchanged(ctx context.Context) error {
	if p.Artifact.Description.Kind != imagespec.KindCluster || !p.Running() {
		return nil
	}
	was, err := p.configured(ctx)
	if err != nil || was == nil {
		return err
	}
	var failed []error
	for _, network := range []struct{ field, was, now string }{
		{"podSubnet", was.PodSubnet(), p.kubeadm.PodSubnet()},
		{"serviceSubnet", was.ServiceSubnet(), p.kubeadm.ServiceSubnet()},
		{"dnsDomain", was.DNSDomain(), p.kubeadm.DNSDomain()},
	} {
		if network.was != network.now {
			failed = append(failed, fmt.Errorf("networking.%s cannot change on a running cluster (have %q, want %q)",
				network.field, network.was, network.now))
		}
	}
	return errors.Join(failed...)
}

// overlay are the files that one host gets in place of the image's, or beside them: Configs for templates first, then what the
// templates render to, then the other Configs, and the image's scripts with variables that only their authors could say.
func (p *adapt) overlay(m *execute.Member) (map[string]source.File, error) {
	env := p.environment(m)
	all := maps.Clone(p.files)
	var failed []error
	configure := func(templates bool) {
		for _, c := range p.configs() {
			if name := c.File(); environment.IsTemplate(name) == templates {
				failed = append(failed, applyConfig(all, name, c))
			}
		}
	}
	configure(true)
	templates := map[string][]byte{}
	for name, file := range all {
		if environment.IsTemplate(name) {
			templates[name] = file.Content
		}
	}
	rendered, err := env.Render(templates)
	failed = append(failed, err)
	for name := range templates {
		all[environment.Rendered(name)] = source.File{Mode: all[name].Mode, Content: rendered[environment.Rendered(name)]}
	}
	configure(false)
	for name, file := range all {
		if isScript(name) {
			all[name] = source.File{Mode: file.Mode, Content: env.Substitute(file.Content)}
		}
	}
	maps.DeleteFunc(all, func(name string, file source.File) bool {
		old, there := p.files[name]
		return there && old.Mode == file.Mode && string(old.Content) == string(file.Content)
	})
	return all, errors.Join(failed...)
}

// applyConfig lets a Config change the file that it is about.
func applyConfig(files map[string]source.File, name string, c config.Config) error {
	file, there := files[name]
	var old []byte
	if there {
		old = append([]byte{}, file.Content...)
	}
	content, err := c.Apply(old)
	if err != nil {
		return err
	}
	mode := cmp.Or(file.Mode, siteFileMode)
	if c.Secret() {
		mode = unit.SecretMode
	}
	files[name] = source.File{Mode: mode, Content: content}
	return nil
}

// findPlugins collects the plugins of image and Clusterfile, the image's as the first master has them.
func (p *adapt) findPlugins() error {
	all := maps.Clone(p.files)
	maps.Copy(all, p.overlays[p.First()])
	p.plugins = nil
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !isPlugin(name) {
			continue
		}
		found, warnings, err := clusterfile.Plugins(name+" of the image", all[name].Content)
		if err != nil {
			return err
		}
		for _, warning := range warnings {
			p.Report.Printf("warning: %s\n", warning)
		}
		for _, one := range found {
			one.FromImage = true
			p.plugins = append(p.plugins, one)
		}
	}
	p.plugins = append(p.plugins, p.Site.Plugins...)
	var failed []error
	hosts := p.pluginHosts()
	for _, one := range p.plugins {
		failed = append(failed, one.Check(hosts))
	}
	return errors.Join(failed...)
}

// pluginHosts are the hosts of the cluster as plugins select them, with those that were not named or do not answer.
func (c *Cluster) pluginHosts() []plugin.Host {
	var hosts []plugin.Host
	for _, m := range c.Members {
		hosts = append(hosts, c.pluginHost(m))
	}
	for _, other := range c.others() {
		h := plugin.Host{Address: other.Address, Roles: []string{other.Role}}
		for _, named := range c.Hosts {
			if named.Login.Address == other.Address {
				h.Roles = append(h.Roles, named.Site.Roles...)
			}
		}
		hosts = append(hosts, h)
	}
	return hosts
}
