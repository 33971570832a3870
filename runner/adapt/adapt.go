// Package adapt works out what a site makes of a cluster image: the files of the rootfs that are the site's on each host, the plugins, the
// configuration of Kubernetes, and the variables that all of these see. It changes nothing, so that a template, a Config or a plugin that is wrong
// stops the run before a host is touched.
package adapt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
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
	"github.com/kubefile/kubefile/runner/source/layerfs"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/unit"
)

const (
	// KubeadmFile has the documents of kubeadm that an image brings, in its rootfs.
	KubeadmFile = "etc/kubeadm.yml"
	scriptsDir  = "scripts/"
	scriptEnd   = ".sh"
	// siteFileMode is what files have that the image has not.
	siteFileMode = 0o644
)

// pluginDirs are where plugins are in an image; the second is an older spelling.
var pluginDirs = []string{"plugins", "plugin"}

// Image is what a site makes of an image.
type Image struct {
	// Rootfs identifies the layers of the image's rootfs.
	Rootfs string
	// Files are those of the image's rootfs that may concern a site, by their path below it.
	Files map[string]layerfs.File
	// Overlays are for each host the files of the rootfs that are the site's, by their path below it.
	Overlays map[*execute.Member]map[string]layerfs.File
	// Plugins are those of the image, as the first master has them, and then those of the site.
	Plugins []plugin.Plugin
}

// Has reports whether the rootfs of a host has a file, of those that may concern a site.
func (i *Image) Has(m *execute.Member, name string) bool {
	_, ofImage := i.Files[name]
	_, ofSite := i.Overlays[m][name]
	return ofImage || ofSite
}

// Adapter adapts an image to a site.
type Adapter struct {
	*execute.Session
	Artifact *source.Artifact
	Site     *clusterfile.Clusterfile
	// Files are those of the image that [Adapter.Read] returned.
	Files map[string]layerfs.File
	// Variables are those of the cluster. For an application image they have the documents that the cluster was made with.
	Variables Variables
	// Hosts are those of the cluster as plugins select them, with those that were not named or do not answer.
	Hosts []plugin.Host
}

// Read reads the files of the rootfs that may concern the site.
func (p *Adapter) Read(ctx context.Context) (map[string]layerfs.File, error) {
	return p.Artifact.Files(ctx, p.wants)
}

// Image returns what the site makes of the image, on a cluster with these documents of kubeadm.
func (p *Adapter) Image(documents kubeadm.Documents) (Image, error) {
	image := Image{Rootfs: state.LayersKey(state.Digests(p.Artifact.RootfsLayers)), Files: p.Files, Overlays: map[*execute.Member]map[string]layerfs.File{}}
	var failed []error
	contents := map[digest.Digest][]byte{}
	for _, m := range p.Members {
		overlay, err := p.overlay(m, documents)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", m, err))
		}
		shareContents(overlay, contents)
		image.Overlays[m] = overlay
	}
	if err := errors.Join(failed...); err != nil {
		return image, err
	}
	var err error
	image.Plugins, err = p.plugins(image.Overlays[p.First()])
	return image, err
}

// shareContents makes files of several hosts with the same content have it in memory once.
func shareContents(files map[string]layerfs.File, contents map[digest.Digest][]byte) {
	for name, file := range files {
		sum := digest.FromBytes(file.Content)
		shared, there := contents[sum]
		if !there {
			contents[sum] = file.Content
			continue
		}
		files[name] = layerfs.File{Mode: file.Mode, Content: shared}
	}
}

// wants are the files of the rootfs that may concern the site.
func (p *Adapter) wants(name string) bool {
	return environment.IsTemplate(name) || isPlugin(name) || name == KubeadmFile || isScript(name) ||
		slices.ContainsFunc(p.configs(), func(c config.Config) bool { return c.File() == name })
}

// isScript reports whether a file is a script of the image's, in which variables have names that only their authors could say.
func isScript(name string) bool {
	return strings.HasPrefix(name, scriptsDir) || path.Ext(name) == scriptEnd
}

func isPlugin(name string) bool {
	return slices.Contains(pluginDirs, path.Dir(name)) && slices.Contains([]string{".yaml", ".yml"}, path.Ext(name))
}

// Configs are those of a site for an image: one for an application is not for an image without it.
func Configs(site *clusterfile.Clusterfile, image *imagespec.Description) []config.Config {
	return slices.DeleteFunc(slices.Clone(site.Configs), func(doc config.Config) bool {
		return doc.App != "" && !slices.ContainsFunc(image.Apps, func(a imagespec.App) bool { return a.Name == doc.App })
	})
}

func (p *Adapter) configs() []config.Config { return Configs(p.Site, p.Artifact.Description) }

// Documents puts together what kubeadm is given: the site's documents over the image's. For an application image they are those of the cluster.
func (p *Adapter) Documents() (kubeadm.Documents, error) {
	if p.Artifact.Description.Kind != imagespec.KindCluster {
		return p.Variables.Kubeadm, nil
	}
	overlay, err := p.overlay(p.First(), p.Site.Kubeadm) // for what templates of the image's own file say of the subnets
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.First(), err)
	}
	file, ok := overlay[KubeadmFile]
	if !ok {
		file = p.Files[KubeadmFile]
	}
	image, err := kubeadm.Parse(file.Content)
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", KubeadmFile, p.Artifact.Name, err)
	}
	documents := p.Site.Kubeadm.Over(image)
	var addresses []netip.Addr
	for _, h := range p.Hosts {
		addresses = append(addresses, h.Address)
	}
	return documents, p.Site.Locate(documents.Check(addresses))
}

// overlay are the files that one host gets instead of the image's, or in addition: Configs for templates first, then what the
// templates render to, then the other Configs, and the image's scripts with variables that only their authors could say.
func (p *Adapter) overlay(m *execute.Member, documents kubeadm.Documents) (map[string]layerfs.File, error) {
	variables := p.Variables
	variables.Kubeadm = documents
	env := variables.On(m)
	all := maps.Clone(p.Files)
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
		all[environment.Rendered(name)] = layerfs.File{Mode: all[name].Mode, Content: rendered[environment.Rendered(name)]}
	}
	configure(false)
	for name, file := range all {
		if isScript(name) {
			all[name] = layerfs.File{Mode: file.Mode, Content: env.Substitute(file.Content)}
		}
	}
	maps.DeleteFunc(all, func(name string, file layerfs.File) bool {
		old, there := p.Files[name]
		return there && old.Mode == file.Mode && string(old.Content) == string(file.Content)
	})
	return all, errors.Join(failed...)
}

// applyConfig lets a Config change the file that it is about.
func applyConfig(files map[string]layerfs.File, name string, c config.Config) error {
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
	files[name] = layerfs.File{Mode: mode, Content: content}
	return nil
}

// plugins collects those of image and Clusterfile, the image's as the first master has them by its overlay.
func (p *Adapter) plugins(overlay map[string]layerfs.File) (plugins []plugin.Plugin, err error) {
	all := maps.Clone(p.Files)
	maps.Copy(all, overlay)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !isPlugin(name) {
			continue
		}
		found, warnings, err := clusterfile.Plugins(name+" of the image", all[name].Content)
		if err != nil {
			return nil, err
		}
		for _, warning := range warnings {
			p.Report.Printf("warning: %s\n", warning)
		}
		for _, one := range found {
			one.FromImage = true
			plugins = append(plugins, one)
		}
	}
	plugins = append(plugins, p.Site.Plugins...)
	var failed []error
	for _, one := range plugins {
		failed = append(failed, one.Check(p.Hosts))
	}
	return plugins, errors.Join(failed...)
}
