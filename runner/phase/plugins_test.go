package phase

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/command"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/plugin"
)

// ranScripts are the scripts of SHELL plugins that ran, with the host.
func (p *park) ranScripts() []string {
	var ran []string
	for _, f := range p.machines {
		for i, line := range f.ran {
			if line == "sh -c "+command.ShellScript {
				ran = append(ran, f.host.String()+" "+strings.TrimSpace(f.stdin[i]))
			}
		}
	}
	return ran
}

func (p *park) run(t *testing.T, action plugin.Action) {
	t.Helper()
	if err := p.runPlugins(action).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// At each action run those that are due, on the hosts that are meant, and never twice.
func TestWhenPluginsRun(t *testing.T) {
	shell := func(action, on string) plugin.Plugin { return newPlugin(t, "p", "SHELL", action, on, "script") }
	cases := []struct {
		name   string
		joined int // of two masters and two nodes
		plugin plugin.Plugin
		want   string // last parts of the addresses
	}{
		{"PreInit on all", 0, shell("PreInit", ""), "1 2 3 4"},
		{"PreInit on new hosts only", 3, shell("PreInit", ""), "4"},
		{"PreJoin not on the first master", 0, shell("PreJoin", ""), "2 3 4"},
		{"PreJoin on a new host", 3, shell("PreJoin", ""), "4"},
		{"PostJoin not on the first master", 0, shell("PostJoin", ""), "2 3 4"},
		{"PostJoin on a new host", 3, shell("PostJoin", ""), "4"},
		{"labels of nodes that are new", 0, newPlugin(t, "labels", "LABEL", "PostJoin", "", "10.0.0.1,10.0.0.3 a=b"), "1 3"},
		{"labels of nodes that are not", 4, newPlugin(t, "labels", "LABEL", "PostJoin", "", "10.0.0.1,10.0.0.3 a=b"), ""},
		{"PreGuest on all", 4, shell("PreGuest", ""), "1 2 3 4"},
		{"a role", 4, shell("PostInstall", "master"), "1 2"},
		{"the first master", 4, shell("PostInstall", "master0"), "1"},
		{"another role", 4, shell("PostInstall", "storage"), "4"},
		{"addresses", 4, shell("PostInstall", "10.0.0.2-10.0.0.3"), "2 3"},
		{"a label that the cluster knows", 4, shell("PostInstall", "zone=zh3"), "3"},
		{"a label of masters", 4, shell("PostInstall", "node-role.kubernetes.io/master="), "1 2"},
		{"a label that the site gives", 4, shell("PostInstall", "disk=ssd"), "4"},
		{"a check, once", 4, newPlugin(t, "check", "CLUSTERCHECK", "PostInstall", "", "1s"), "1"},
		{"host names, where there are some", 0, newPlugin(t, "names", "HOSTNAME", "", "", "10.0.0.2 m1"), "2"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := newPark(t, 2, 2).joined(4)
			list := p.nodeList()
			p = newPark(t, 2, 2).joined(c.joined)
			p.Members[3].Site.Roles, p.Members[3].Site.Labels = []string{"storage"}, map[string]string{"disk": "ssd"}
			for _, f := range p.machines {
				f.answer = func(cmd host.Command, _ string) (string, int) {
					if slices.Contains(cmd.Argv, "nodes") || slices.Contains(cmd.Argv, "node") {
						return list, 0
					}
					if slices.Contains(cmd.Argv, "probe") {
						return "{}", 0
					}
					return "", 0
				}
			}
			p.image.Plugins = []plugin.Plugin{c.plugin}
			var got []string
			for range 2 { // the second time nothing is left to do
				p.run(t, c.plugin.Actions[0])
			}
			for _, a := range p.Report.Changes() {
				got = append(got, strings.TrimPrefix(a.Host, "10.0.0."))
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("on %q, want %q\n%s", got, c.want, p.plan(t))
			}
		})
	}
}

// What a plugin selects is nothing on some sites: that is an error only of who wrote it for this site.
func TestPluginsThatSelectNothing(t *testing.T) {
	image := newPlugin(t, "p", "SHELL", "PostInstall|PreClean", "zone=nowhere", "x")
	image.FromImage = true
	role := newPlugin(t, "p", "SHELL", "PostInstall", "storage", "x")
	role.FromImage = true
	for _, c := range []struct {
		name   string
		plugin plugin.Plugin
		want   string
	}{
		{"of the image, a label", image, ""},
		{"of the image, a role", role, ""},
		{"of the Clusterfile", newPlugin(t, "p", "SHELL", "PostInstall|PreClean", "zone=nowhere", "x"), "kubectl get nodes --show-labels"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPark(t, 1, 0).joined(1)
			p.machines[0].answer = func(host.Command, string) (string, int) { return p.nodeList(), 0 }
			p.image.Plugins = []plugin.Plugin{c.plugin}
			err := p.runPlugins(plugin.PostInstall).Run(t.Context())
			checkError(t, err, c.want)
			p.run(t, plugin.PreClean) // a removal is not kept from its work
		})
	}
}

// The order is HOSTNAME, then the image's, then the Clusterfile's; equal ones run once; one is over everywhere before the next begins.
func TestOrderOfPlugins(t *testing.T) {
	p := newPark(t, 1, 1)
	image := newPlugin(t, "of the image", "SHELL", "PreInit", "", "image")
	image.FromImage = true
	p.image.Plugins = []plugin.Plugin{
		newPlugin(t, "one", "SHELL", "PreInit", "", "one"), newPlugin(t, "again", "SHELL", "PreInit", "", "image"),
		newPlugin(t, "names", "HOSTNAME", "", "", "10.0.0.2 renamed"), image,
	}
	p.run(t, plugin.PreInit)
	var lines []string
	for line := range strings.Lines(p.out.String()) {
		lines = append(lines, strings.TrimSpace(line))
	}
	slices.Sort(lines[1:3])
	slices.Sort(lines[3:5])
	want := []string{`10.0.0.2: plugin "names": name the host renamed`, `10.0.0.1: plugin "of the image": run its script`,
		`10.0.0.2: plugin "of the image": run its script`, `10.0.0.1: plugin "one": run its script`, `10.0.0.2: plugin "one": run its script`}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	if p.machines[1].files[command.HostnameFile] != "renamed\n" || len(p.machines[1].calls("hostname renamed")) != 1 {
		t.Errorf("the host is called %q", p.machines[1].files[command.HostnameFile])
	}
}

// A plugin that fails ends the run with the host and what it said, and runs again the next time, where it failed.
func TestPluginThatFails(t *testing.T) {
	p := newPark(t, 1, 1)
	broken := true
	p.machines[1].answer = func(cmd host.Command, stdin string) (string, int) {
		if broken && strings.Contains(stdin, "s3cret") {
			return "no such disk", 3
		}
		return "", 0
	}
	p.image.Plugins = []plugin.Plugin{newPlugin(t, "disks", "SHELL", "PreInit", "", "mount s3cret"), newPlugin(t, "later", "SHELL", "PreInit", "", "later")}
	err := p.runPlugins(plugin.PreInit).Run(t.Context())
	for _, want := range []string{`Clusterfile:1: plugin "disks"`, "10.0.0.2", "exit code 3: no such disk"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, without %q", err, want)
		}
	}
	broken = false
	p.run(t, plugin.PreInit)
	want := "10.0.0.1 mount s3cret,10.0.0.1 later,10.0.0.2 mount s3cret,10.0.0.2 mount s3cret,10.0.0.2 later"
	if got := strings.Join(p.ranScripts(), ","); got != want {
		t.Errorf("ran %s\nwant %s", got, want)
	}
	p.secretless(t, "s3cret") // what is in a plugin's data is in no process list
}

// A script has the environment of its host, and what it prints is shown with the host's address and cannot control a terminal.
func TestPluginsOutput(t *testing.T) {
	p := newPark(t, 1, 0)
	p.Env = environment.Set{"docker-dir": {"/d"}, "A": {"b"}}
	p.machines[0].answer = func(cmd host.Command, stdin string) (string, int) {
		if stdin != "ls ${docker_dir}" || cmd.Env["A"] != "b" || cmd.Env["docker_dir"] != "/d" || cmd.Env["HOST_IP"] != "10.0.0.1" ||
			cmd.Dir != "/var/lib/sealer/data/default/rootfs" || !strings.HasPrefix(cmd.Env["PATH"], cmd.Dir+"/bin:") {
			t.Errorf("%q runs in %s with %v", stdin, cmd.Dir, cmd.Env)
		}
		return "first\n\x1b[31mred\rline\n", 0
	}
	p.image.Plugins = []plugin.Plugin{newPlugin(t, "p", "SHELL", "PreInit", "", "ls $docker-dir")}
	p.run(t, plugin.PreInit)
	if want := "10.0.0.1 | first\n10.0.0.1 | [31mredline\n"; !strings.HasSuffix(p.out.String(), want) {
		t.Errorf("shown is %q", p.out)
	}
}

// LABEL and TAINT change what differs, by the node's name, and try again when the kubelet was faster.
func TestPluginsOfNodes(t *testing.T) {
	p := newPark(t, 1, 2).joined(3)
	conflicts := 0
	p.machines[0].answer = func(cmd host.Command, _ string) (string, int) {
		if slices.Contains(cmd.Argv, "patch") && slices.Contains(cmd.Argv, "h3") && conflicts == 0 {
			conflicts++
			return `Operation cannot be fulfilled on nodes "h3": the object has been modified`, 1
		}
		return p.nodeList(), 0
	}
	p.image.Plugins = []plugin.Plugin{
		newPlugin(t, "labels", "LABEL", "PreGuest", "", "10.0.0.2 zone=zh2\n10.0.0.3 ssd=,zone-"),
		newPlugin(t, "taints", "TAINT", "PreGuest", "", "10.0.0.3 a=b:NoSchedule"),
	}
	p.run(t, plugin.PreGuest)
	var patches []string
	for _, line := range p.machines[0].calls("") {
		if _, patch, ok := strings.Cut(line, " patch node "); ok {
			patches = append(patches, patch)
		}
	}
	want := []string{
		`h3 --type merge --patch {"metadata":{"labels":{"ssd":"","zone":null}}}`,
		`h3 --type merge --patch {"metadata":{"labels":{"ssd":"","zone":null}}}`,
		`h3 --type merge --patch {"metadata":{"resourceVersion":"7"},"spec":{"taints":[{"key":"a","value":"b","effect":"NoSchedule"}]}}`,
	}
	if !slices.Equal(patches, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(patches, "\n"), strings.Join(want, "\n"))
	}
}
