package clusterfile

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	format "github.com/kubefile/kubefile/imagespec/clusterfile"
	"github.com/kubefile/kubefile/runner/config"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/plugin"
)

// reader takes in documents one after the other.
type reader struct {
	out       *Clusterfile
	network   kubeadm.Documents // of an old Cluster
	clusterAt string
	apps      *format.ApplicationSpec
	appsAt    string
}

// decode reads the document into a pointer to its type.
func (r *reader) decode(d *format.Document, into any) error {
	warnings, err := d.Decode(into, checks)
	r.out.Warnings = append(r.out.Warnings, warnings...)
	return err
}

// kubeadmDocument takes in a document for kubeadm, the kubelet or kube-proxy.
func (r *reader) kubeadmDocument(d *format.Document, kind string) error {
	if first, twice := r.out.places[kind]; twice {
		return fmt.Errorf("%s: a second %s, the first is at %s: put them into one", d.At(d.Root), kind, first)
	}
	r.out.notePlaces(d, kind, d.Root)
	parsed, err := kubeadm.Parse(d.Text)
	if err != nil {
		return d.Locate(err)
	}
	r.out.Kubeadm = parsed.Over(r.out.Kubeadm)
	return nil
}

func (r *reader) config(d *format.Document) error {
	var written format.ConfigDocument
	if err := r.decode(d, &written); err != nil {
		return err
	}
	spec := written.Spec
	return r.addConfig(config.Config{
		Name: written.Metadata.Name, Path: spec.Path, Data: spec.Data, Strategy: spec.Strategy, Process: stages(spec.Process),
		App: spec.AppName, Where: d.At(d.Root),
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

func (r *reader) plugin(d *format.Document) error {
	var written format.PluginDocument
	if err := r.decode(d, &written); err != nil {
		return err
	}
	spec := written.Spec
	p, warnings, err := plugin.New(d.At(d.Root), written.Metadata.Name, spec.Type, spec.Action, spec.On, spec.Data)
	if err != nil {
		return err
	}
	r.out.Warnings = append(r.out.Warnings, warnings...)
	r.out.Plugins = append(r.out.Plugins, p)
	return nil
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

func (r *reader) application(d *format.Document) error {
	if r.apps != nil {
		return fmt.Errorf("%s: a second Application, the first is at %s: put the applications of one image into one", d.At(d.Root), r.appsAt)
	}
	var written format.ApplicationDocument
	if err := r.decode(d, &written); err != nil {
		return err
	}
	r.apps, r.appsAt = &written.Spec, d.At(d.Root)
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

// finish puts together what several documents specify. How they fit together is checked only if each is valid by itself.
func (r *reader) finish(right bool) error {
	out := r.out
	if r.apps != nil && r.clusterAt == "" {
		return fmt.Errorf("%s: an Application without a Cluster that it is for", r.appsAt)
	}
	if !right {
		return nil
	}
	out.Kubeadm = out.Kubeadm.Over(r.network)
	if out.Cluster == nil {
		return nil
	}
	var failed []error
	if r.apps != nil {
		failed = append(failed, r.applications())
	}
	var addresses []netip.Addr
	var hosts []plugin.Host
	for _, h := range out.Cluster.Hosts {
		addresses = append(addresses, h.Address)
		hosts = append(hosts, plugin.Host{
			Address: h.Address, Roles: append([]string{string(h.Role)}, h.Roles...), First: len(hosts) == 0, Labels: h.Labels,
		})
	}
	failed = append(failed, out.Locate(out.Kubeadm.CheckPart(addresses)))
	for _, p := range out.Plugins {
		failed = append(failed, p.Check(hosts))
	}
	return errors.Join(failed...)
}

// applications puts the Application into the Cluster.
func (r *reader) applications() error {
	cluster := r.out.Cluster
	if r.apps.Cmds != nil {
		cluster.Cmd = r.apps.Cmds
	}
	if r.apps.LaunchApps != nil {
		cluster.AppNames = r.apps.LaunchApps
	}
	cluster.Apps = map[string]App{}
	for _, app := range r.apps.Configs {
		if _, twice := cluster.Apps[app.Name]; twice {
			return fmt.Errorf("%s: the application %s is listed twice: merge both entries", r.appsAt, app.Name)
		}
		cluster.Apps[app.Name] = App{Env: set(app.Env), Cmds: app.Launch.Cmds}
	}
	return nil
}
