package phase

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/adapt"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/command"
	"github.com/kubefile/kubefile/runner/config"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
)

// withApps is a site whose image has a network, a storage, two applications and a command.
func withApps(t *testing.T) *park {
	p := newPark(t, 2, 0).joined(2)
	p.Artifact = artifact(t)
	p.Artifact.Description.Apps = []imagespec.App{{Name: "net", Role: imagespec.RoleCNI}, {Name: "disk", Role: imagespec.RoleCSI}, {Name: "web"}, {Name: "db"}}
	p.Artifact.Description.Commands = []imagespec.Command{{Shell: "net", App: "net"}, {Shell: "disk", App: "disk"}, {Shell: "cmd"},
		{Shell: "web", App: "web"}, {Shell: "db 1", App: "db"}, {Shell: "db 2", App: "db"}}
	return p
}

func TestChosenCommands(t *testing.T) {
	cases := []struct {
		name string
		site clusterfile.Cluster
		want string
	}{
		{"all", clusterfile.Cluster{}, "net disk cmd web db 1 db 2"},
		{"of the site", clusterfile.Cluster{Cmd: []string{"own", "two"}}, "net disk web db 1 db 2 own two"},
		{"one application", clusterfile.Cluster{AppNames: []string{"web"}}, "net disk cmd web"},
		{"none", clusterfile.Cluster{AppNames: []string{""}}, "net disk cmd"},
		{"one, started otherwise", clusterfile.Cluster{Apps: map[string]clusterfile.App{"db": {Cmds: []string{"mine"}}}}, "net disk cmd web mine"},
		{"one, not started", clusterfile.Cluster{Apps: map[string]clusterfile.App{"db": {Cmds: []string{}}}}, "net disk cmd web"},
		{"all of it", clusterfile.Cluster{Cmd: []string{"own"}, AppNames: []string{"db"}, Apps: map[string]clusterfile.App{"db": {Cmds: []string{"mine"}}}}, "net disk mine own"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := withApps(t)
			p.Site.Cluster = &c.site
			if got := strings.ReplaceAll(p.start(t), ",", " "); got != c.want {
				t.Errorf("chosen are %q, want %q", got, c.want)
			}
		})
	}
}

// start runs the commands of both stages, and returns those that ran, on the first master that there is.
func (p *park) start(t *testing.T) string {
	t.Helper()
	var before []int
	for _, f := range p.machines {
		before = append(before, len(f.ran))
	}
	for _, s := range []command.Stage{command.Network, command.Guests} {
		if err := p.runCommands(s).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var ran []string
	for i, f := range p.machines {
		for _, line := range f.ran[before[i]:] {
			ran = append(ran, strings.TrimPrefix(line, "sh -c "))
		}
	}
	return strings.Join(ran, ",")
}

// A command runs once, and again when what the site gives it changes; not when another master is the first, or its place is another.
func TestWhenCommandsRunAgain(t *testing.T) {
	p := withApps(t)
	p.Site.Cluster.AppNames = []string{"web"}
	steps := []struct {
		name   string
		Change func()
		want   string
	}{
		{"at first, the network before all", func() {}, "net,disk,cmd,web"},
		{"nothing changed", func() {}, ""},
		{"more applications", func() { p.Site.Cluster.AppNames = nil }, "db 1,db 2"},
		{"another environment of the cluster", func() { p.Site.Cluster.Env = environment.Set{"A": {"b"}} }, "net,disk,cmd,web,db 1,db 2"},
		{"another environment of a host", func() { p.Members[0].Site.Env = environment.Set{"A": {"c"}} }, ""},
		{"arguments of an application", func() { p.Site.Cluster.Apps = map[string]clusterfile.App{"web": {Env: environment.Set{"X": {"y"}}}} }, "web"},
		{"a Config", func() {
			p.Site.Configs = []config.Config{{Name: "c", Path: "etc/c", Data: "x", Where: "Clusterfile:1"}}
		}, "net,disk,cmd,web,db 1,db 2"},
		{"the same Config in another place", func() { p.Site.Configs[0].Where = "Clusterfile:9" }, ""},
		{"a Config of kubeadm", func() { p.Site.Configs = append(p.Site.Configs, config.Config{Path: adapt.KubeadmFile, Data: "x"}) }, ""},
		{"a Config of another image's application", func() { p.Site.Configs = append(p.Site.Configs, config.Config{App: "nothing", Path: "x"}) }, ""},
		{"another first master", func() { p.without(0) }, ""},
		{"a command of the site", func() { p.Site.Cluster.Cmd = []string{"own", "own"} }, "own,own"},
	}
	for _, step := range steps {
		step.Change()
		if got := p.start(t); got != step.want {
			t.Errorf("%s: ran %q, want %q", step.name, got, step.want)
		}
	}
}

// Arguments are for the commands, over all other environment, and for nothing else; they are in no process list.
func TestArgumentsOfCommands(t *testing.T) {
	p := withApps(t)
	p.Site.Cluster.CmdArgs = environment.Set{"TOKEN": {"s3cret"}, "some-dir": {"/x"}}
	p.Env = environment.Set{"TOKEN": {"other"}, "docker-dir": {"/d"}}
	p.Artifact.Description.Commands = []imagespec.Command{{Shell: "helm --dir $docker-dir"}}
	seen := false
	p.machines[0].answer = func(cmd host.Command, _ string) (string, int) {
		seen = true
		if cmd.Env["TOKEN"] != "s3cret" || cmd.Env["some_dir"] != "/x" || cmd.Env["KUBECONFIG"] != execute.AdminConfig ||
			!slices.Equal(cmd.Argv, []string{"sh", "-c", "helm --dir ${docker_dir}"}) {
			t.Errorf("%q has %v", cmd.Argv, cmd.Env)
		}
		return "", 0
	}
	if p.start(t); !seen {
		t.Error("nothing ran")
	}
	if _, there := p.environment(p.First())["some-dir"]; there {
		t.Error("arguments are in the environment of others")
	}
	p.secretless(t, "s3cret")
}
