package phase

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/config"
	"github.com/kubefile/kubefile/runner/deliver"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
	"github.com/kubefile/kubefile/runner/unit"
)

// adapted is a site whose image has files.
func adapted(t *testing.T, files ...sourcetest.Entry) *park {
	t.Helper()
	p := newPark(t, 1, 1)
	p.Artifact = artifact(t, files...)
	return p
}

func (p *park) adapt(t *testing.T) error {
	t.Helper()
	return (&adaptImage{p.Cluster}).Run(t.Context())
}

// What a host gets is the image's files as the site has them: Configs for templates, what they render to, Configs for that.
func TestOverlay(t *testing.T) {
	p := adapted(t,
		sourcetest.Entry{Name: "etc/app.yaml.tmpl", Content: "host: {{ .HOST_IP }}\nsize: 1\nlist: {{ .LIST | join \",\" }}\n", Mode: 0o640},
		sourcetest.Entry{Name: "etc/plain.conf", Content: "as it is"},
		sourcetest.Entry{Name: "scripts/data.sh", Content: "mkdir $docker-dir $other-dir", Mode: 0o755},
		sourcetest.Entry{Name: "entrypoint.sh", Content: "ls ${docker-dir}"},
		sourcetest.Entry{Name: "docs/not-a-script", Content: "$docker-dir"},
		sourcetest.Entry{Name: "charts/x/templates/a.yaml", Content: "{{ .Values.x }}"},
	)
	p.Site.Cluster.Env = environment.Set{"docker-dir": {"/d"}, "LIST": {"a", "b"}}
	p.Artifact.Description.Apps = []imagespec.App{{Name: "web"}}
	p.Site.Configs = []config.Config{
		{Name: "late", Path: "etc/app.yaml", Data: "size: 2\n", Strategy: "merge"},
		{Name: "early", Path: "etc/app.yaml.tmpl", Data: "host: {{ .HOST_IP }}\nrole: {{ .HOST_ROLE }}\nsize: 1\n"},
		{Name: "new", Path: "etc/new.conf", Data: "new"},
		{Name: "values", Path: "values.yaml", App: "web", Data: "a: 1\n"},
		{Name: "else", Path: "values.yaml", App: "other", Data: "a: 1\n"},
		{Name: "secret", Path: "etc/secret.yaml", Data: "password: s3cret\n", Process: []string{"value", "toBase64", "toSecret"}},
	}
	if err := p.adapt(t); err != nil {
		t.Fatal(err)
	}
	for i, role := range []string{"master", "node"} {
		m := p.Members[i]
		want := map[string]string{
			"etc/app.yaml.tmpl":            "640 host: {{ .HOST_IP }}\nrole: {{ .HOST_ROLE }}\nsize: 1\n",
			"etc/app.yaml":                 "640 host: " + m.String() + "\nrole: " + role + "\nsize: 2\n",
			"etc/new.conf":                 "644 new",
			"applications/web/values.yaml": "644 a: 1\n",
			"scripts/data.sh":              "755 mkdir ${docker_dir} $other-dir",
			"entrypoint.sh":                "644 ls ${docker_dir}",
		}
		for name, file := range p.image.Overlays[m] {
			if name == "etc/secret.yaml" {
				if file.Mode != unit.SecretMode || strings.Contains(string(file.Content), "s3cret") {
					t.Errorf("the Secret is %o %s", file.Mode, file.Content)
				}
				continue
			}
			if got := fmt.Sprintf("%o %s", file.Mode.Perm(), file.Content); got != want[name] {
				t.Errorf("%s: %s is %q, want %q", m, name, got, want[name])
			}
			delete(want, name)
		}
		if len(want) > 0 {
			t.Errorf("%s: it has no %v", m, slices.Sorted(maps.Keys(want)))
		}
	}
}

// What cannot be adapted says where it is wrong and on which host, and no host has been asked for anything.
func TestWhatDoesNotAdapt(t *testing.T) {
	cases := []struct {
		name  string
		files []sourcetest.Entry
		make  func(p *park)
		want  []string
	}{
		{"a template that does not parse", []sourcetest.Entry{{Name: "etc/a.tmpl", Content: "x\n{{ if }}"}}, nil, []string{"10.0.0.1", "a.tmpl:2"}},
		{"a variable that is not given", []sourcetest.Entry{{Name: "etc/a.tmpl", Content: "x\n\n{{ .MISSING }}"}}, nil,
			[]string{"10.0.0.1", "a.tmpl:3", "MISSING", "-e NAME=VALUE"}},
		{"a variable of one host only", []sourcetest.Entry{{Name: "etc/a.tmpl", Content: "{{ .ONLY }}"}}, func(p *park) {
			p.Members[0].Site.Env = environment.Set{"ONLY": {"x"}}
		}, []string{"10.0.0.2", "ONLY"}},
		{"a Config outside of the rootfs", nil, func(p *park) {
			p.Site.Configs = []config.Config{{Name: "c", Path: "../../etc/passwd", Data: "x", Where: "Clusterfile:7"}}
		}, []string{"Clusterfile:7", "../../etc/passwd"}},
		{"a Config that cannot be merged", []sourcetest.Entry{{Name: "etc/a.yaml", Content: "a: [\n"}}, func(p *park) {
			p.Site.Configs = []config.Config{{Name: "c", Path: "etc/a.yaml", Data: "a: 1", Strategy: "merge", Where: "Clusterfile:7"}}
		}, []string{"Clusterfile:7", "etc/a.yaml"}},
		{"a plugin of the image", []sourcetest.Entry{{Name: "plugins/p.yaml", Content: "apiVersion: sealer.io/v2\nkind: Plugin\nmetadata: {name: p}\nspec: {type: SHELLL, action: PreInit}\n"}}, nil,
			[]string{"plugins/p.yaml of the image", "SHELLL"}},
		{"a plugin for a host of another cluster", nil, func(p *park) {
			p.Site.Plugins = []plugin.Plugin{newPlugin(t, "p", "SHELL", "PreInit", "10.0.0.9", "x")}
		}, []string{"Clusterfile:1", "10.0.0.9 is not a host of the cluster"}},
		{"kubeadm.yml", []sourcetest.Entry{{Name: "etc/kubeadm.yml", Content: "kind: [\n"}}, nil, []string{"etc/kubeadm.yml of app:v1"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := adapted(t, c.files...)
			if c.make != nil {
				c.make(p)
			}
			err := p.adapt(t)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the error is %v, without %q", err, want)
				}
			}
			for _, f := range p.machines {
				if len(f.argvs) > 0 {
					t.Errorf("%s: asked %q", f.host, f.argvs)
				}
			}
		})
	}
}

// The site's documents go over the image's, whose file may be a template that asks for the site's network.
func TestConfigurationOfKubernetes(t *testing.T) {
	p := adapted(t, sourcetest.Entry{Name: "etc/kubeadm.yml.tmpl", Content: "kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1beta4\n" +
		"networking: {podSubnet: 10.1.0.0/16, serviceSubnet: 10.2.0.0/16}\nclusterName: {{ .KUBEFILE_CLUSTER }}\n"},
		sourcetest.Entry{Name: "manifests/net.yaml.tmpl", Content: "{{ .POD_SUBNET }} {{ .SvcCIDR }}"})
	documents, err := kubeadm.Parse([]byte("kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1beta2\nnetworking: {podSubnet: 10.3.0.0/16}\n"))
	if err != nil {
		t.Fatal(err)
	}
	p.Site.Kubeadm = documents
	if err := p.adapt(t); err != nil {
		t.Fatal(err)
	}
	if got := string(p.image.Overlays[p.First()]["manifests/net.yaml"].Content); got != "10.3.0.0/16 10.2.0.0/16" {
		t.Errorf("the network's manifest says %s", got)
	}
}

// The image's plugins are those of plugins/ and of plugin/, templates among them, in the order of their names.
func TestPluginsOfTheImage(t *testing.T) {
	document := func(name string) string {
		return "apiVersion: sealer.io/v2\nkind: Plugin\nmetadata: {name: " + name + "}\nspec: {type: SHELL, action: PreInit, data: " + name + "}\n"
	}
	p := adapted(t, sourcetest.Entry{Name: "plugins/b.yaml", Content: document("b")}, sourcetest.Entry{Name: "plugin/old.yml", Content: document("old")},
		sourcetest.Entry{Name: "plugins/a.yaml.tmpl", Content: document("{{ .KUBEFILE_CLUSTER }}")}, sourcetest.Entry{Name: "plugins/README", Content: "x"})
	p.Site.Plugins = []plugin.Plugin{newPlugin(t, "own", "SHELL", "PreInit", "", "own")}
	if err := p.adapt(t); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, one := range plugin.Order(p.image.Plugins, plugin.PreInit) {
		got = append(got, one.Name)
	}
	if want := "old default b own"; strings.Join(got, " ") != want {
		t.Errorf("they are %s, want %s", got, want)
	}
}

// The site's files are written once, again when what they are made of changes, and the image's come back when the site has none any more.
func TestSiteFiles(t *testing.T) {
	p := adapted(t, sourcetest.Entry{Name: "etc/a.yaml", Content: "a: 1\n"}, sourcetest.Entry{Name: "etc/b.tmpl", Content: "{{ .B }}"})
	p.Site.Configs = []config.Config{{Name: "a", Path: "etc/a.yaml", Data: "a: 2\n"}, {Name: "new", Path: "etc/new", Data: "new"}}
	p.Env = environment.Set{"B": {"s3cret"}}
	write := func() string {
		t.Helper()
		p.Report = report.New(p.out)
		if err := p.adapt(t); err != nil {
			t.Fatal(err)
		}
		if err := p.writeFiles().Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		var did []string
		for _, a := range p.Report.Changes() {
			if a.Host == "10.0.0.2" {
				did = append(did, strings.NewReplacer("rootfs/etc/", "", "note the environment for the removal", "farewell").Replace(a.What))
			}
		}
		return strings.Join(did, ", ")
	}
	node, at := p.machines[1], func(name string) string { return p.machines[1].files[p.Members[1].Rootfs(name)] }
	steps := []struct {
		name   string
		Change func()
		did    string
		a, b   string
	}{
		{"at first", func() {}, "write a.yaml, write b, write new, farewell", "a: 2\n", "s3cret"},
		{"nothing changed", func() {}, "", "a: 2\n", "s3cret"},
		{"another environment", func() { p.Env["B"] = environment.Value{"other"} }, "write b, farewell", "a: 2\n", "other"},
		{"another Config", func() { p.Site.Configs[0].Data = "a: 3\n" }, "write a.yaml", "a: 3\n", "other"},
		{"interrupted", func() {
			node.files[p.Members[1].Path(deliver.FilesMarker)] = strings.Replace(node.files[p.Members[1].Path(deliver.FilesMarker)], `"etc/a.yaml":"sha256:`, `"etc/a.yaml":"sha256:0`, 1)
		}, "write a.yaml", "a: 3\n", "other"},
		{"no Config any more", func() { p.Site.Configs = nil }, "restore a.yaml, remove new", "a: 1\n", "other"},
		{"nothing changed again", func() {}, "", "a: 1\n", "other"},
	}
	for _, step := range steps {
		step.Change()
		if got := write(); got != step.did {
			t.Errorf("%s: did %q, want %q", step.name, got, step.did)
		}
		if at("etc/a.yaml") != step.a || at("etc/b") != step.b {
			t.Errorf("%s: the files are %q and %q", step.name, at("etc/a.yaml"), at("etc/b"))
		}
		for _, m := range p.Members {
			m.IsNew, m.Absent = false, false
		}
	}
	if _, there := node.files[p.Members[1].Rootfs("etc/new")]; there {
		t.Error("a file of the site that is none any more is still there")
	}
	p.secretless(t, "s3cret")
}

// A run that is interrupted between two files, and followed by one without them, leaves none behind.
func TestSiteFilesOfAnInterruptedRun(t *testing.T) {
	p := adapted(t)
	p.Site.Configs = []config.Config{{Name: "new", Path: "etc/new", Data: "new"}}
	if err := p.adapt(t); err != nil {
		t.Fatal(err)
	}
	m, f := p.Members[0], p.machines[0]
	m.Image.Conn = cutOff{m.Image.Conn, m.Rootfs("etc/new")}
	if err := p.writeFiles().Run(t.Context()); !errors.Is(err, errCutOff) {
		t.Fatalf("got %v, want %v", err, errCutOff)
	}
	if f.files[m.Rootfs("etc/new")] != "new" {
		t.Error("the file was not written")
	}
	p.Site.Configs = nil
	if err := p.adapt(t); err != nil {
		t.Fatal(err)
	}
	if err := p.writeFiles().Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, there := f.files[m.Rootfs("etc/new")]; there {
		t.Error("it is still there")
	}
}

var errCutOff = errors.New("the power went")

// cutOff is a host whose power goes once it has a file.
type cutOff struct {
	host.Conn
	name string
}

func (c cutOff) Run(ctx context.Context, cmd host.Command) error {
	err := c.Conn.Run(ctx, cmd)
	if len(cmd.Argv) > 3 && cmd.Argv[2] == "write-file" && strings.Contains(cmd.Argv[3], `"`+c.name+`"`) {
		return errCutOff
	}
	return err
}
