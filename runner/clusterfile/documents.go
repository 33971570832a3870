package clusterfile

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/runner/config"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/plugin"
)

// reader takes in documents one after the other.
type reader struct {
	out     *Clusterfile
	network kubeadm.Documents // of an old Cluster
	kubeadm map[string]string // where each kind of document for kubeadm stands
	apps    *ApplicationSpec
	appsAt  string
}

// kubeadmDocument takes in a document for kubeadm, the kubelet or kube-proxy.
func (r *reader) kubeadmDocument(d *document, kind string) error {
	if first, twice := r.kubeadm[kind]; twice {
		return fmt.Errorf("%s: a second %s, the first is at %s", d.at(d.root), kind, first)
	}
	r.kubeadm[kind] = d.at(d.root)
	parsed, err := kubeadm.Parse(d.text)
	if err != nil {
		return fmt.Errorf("%s: %w", d.file, err)
	}
	r.out.Kubeadm = parsed.Over(r.out.Kubeadm)
	return nil
}

func (r *reader) config(d *document) error {
	var written ConfigDocument
	if err := d.decode(&written); err != nil {
		return err
	}
	spec := written.Spec
	return r.addConfig(config.Config{
		Name: written.Metadata.Name, Path: spec.Path, Data: spec.Data, Strategy: spec.Strategy, Process: stages(spec.Process),
		App: spec.AppName, Where: d.at(d.root),
	})
}

func (r *reader) addConfig(c config.Config) error {
	if err := c.Check(); err != nil {
		return err
	}
	r.out.Configs = append(r.out.Configs, c)
	return nil
}

// stages are the parts of a pipeline.
func stages(process string) []string {
	var all []string
	for stage := range strings.SplitSeq(process, "|") {
		if stage = strings.TrimSpace(stage); stage != "" {
			all = append(all, stage)
		}
	}
	return all
}

func (r *reader) plugin(d *document) error {
	p, warnings, err := readPlugin(d)
	if err != nil {
		return err
	}
	r.out.Warnings = append(r.out.Warnings, warnings...)
	r.out.Plugins = append(r.out.Plugins, p)
	return nil
}

// readPlugin reads a Plugin. Its field on has other names: scope, and true, which is what YAML 1.1 makes of on.
func readPlugin(d *document) (plugin.Plugin, []string, error) {
	if spec := field(d.root, "spec"); spec != nil && spec.Kind == yaml.MappingNode {
		for i := 0; i < len(spec.Content); i += 2 {
			if key := spec.Content[i]; key.Value == "scope" || key.Value == "true" {
				key.Value, key.Tag = "on", "!!str"
			}
		}
	}
	var written PluginDocument
	if err := d.decode(&written); err != nil {
		return plugin.Plugin{}, nil, err
	}
	spec := written.Spec
	return plugin.New(d.at(d.root), written.Metadata.Name, spec.Type, spec.Action, spec.On, spec.Data)
}

// Plugins reads a file of the image's plugins/ folder, in which all documents are plugins.
func Plugins(name string, data []byte) (plugins []plugin.Plugin, warnings []string, err error) {
	read, err := Parse(name, data)
	if err != nil {
		return nil, nil, err
	}
	if read.Cluster != nil || len(read.Configs)+len(read.Kubeadm) > 0 {
		return nil, nil, fmt.Errorf("%s: only documents of kind Plugin belong there", name)
	}
	return read.Plugins, read.Warnings, nil
}

func (r *reader) application(d *document) error {
	if r.apps != nil {
		return fmt.Errorf("%s: a second Application, the first is at %s: put the applications of one image into one", d.at(d.root), r.appsAt)
	}
	var written ApplicationDocument
	if err := d.decode(&written); err != nil {
		return err
	}
	r.apps, r.appsAt = &written.Spec, d.at(d.root)
	var failed []error
	for _, app := range written.Spec.Configs {
		for _, file := range app.Files {
			failed = append(failed, r.addConfig(config.Config{
				Name: app.Name, Path: file.Path, Data: file.Data, Strategy: file.Strategy, Process: stages(file.Process),
				App: app.Name, Where: r.appsAt,
			}))
		}
	}
	return errors.Join(failed...)
}

// finish puts together what stands in several documents.
func (r *reader) finish() (*Clusterfile, error) {
	out := r.out
	out.Kubeadm = out.Kubeadm.Over(r.network)
	if r.apps == nil {
		return out, nil
	}
	if out.Cluster == nil {
		return nil, fmt.Errorf("%s: an Application without a Cluster that it is for", r.appsAt)
	}
	if len(r.apps.Cmds) > 0 {
		out.Cluster.Cmd = r.apps.Cmds
	}
	if r.apps.LaunchApps != nil {
		out.Cluster.AppNames = r.apps.LaunchApps
	}
	out.Cluster.Apps = map[string]App{}
	for _, app := range r.apps.Configs {
		if _, twice := out.Cluster.Apps[app.Name]; twice {
			return nil, fmt.Errorf("%s: the application %s stands twice", r.appsAt, app.Name)
		}
		out.Cluster.Apps[app.Name] = App{Env: environment.Set(app.Env), Cmds: app.Launch.Cmds}
	}
	return out, nil
}
