package phase

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/balancer"
	"github.com/kubefile/kubefile/runner/clean"
	"github.com/kubefile/kubefile/runner/command"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/reach"
	"github.com/kubefile/kubefile/runner/unit"
)

// removable is a cluster whose hosts know how to be cleaned, and are when the agent is told to.
func removable(t *testing.T, farewells ...plugin.Plugin) *park {
	t.Helper()
	p := newPark(t, 2, 1).joined(3)
	for i, m := range p.Members {
		noted, err := json.Marshal(clean.Instructions{Env: environment.Set{"DISK": {"s3cret"}}, Roles: []string{"storage"}[:i/2], Plugins: farewells})
		if err != nil {
			t.Fatal(err)
		}
		f := p.machines[i]
		f.files[m.Path(clean.InstructionsFile)] = string(noted)
		f.files[wire.Path] = "the agent"
		f.files[m.Path(hostrecord.JournalFile)] = journalOf(m.Dir)
		if !m.IsMaster() {
			f.files[unit.Dir+balancer.Unit] = "unit"
		}
		f.answer = func(cmd host.Command, _ string) (string, int) {
			if cmd.Argv[0] == wire.Path && cmd.Argv[2] == "remove-created" {
				for name := range f.files {
					if name != execute.HostsFile {
						delete(f.files, name)
					}
				}
			}
			return `{"left":[]}`, 0
		}
	}
	return p
}

// journalOf is the journal of a cluster's directory.
func journalOf(dir string) string {
	return fmt.Sprintf(`{"version":2,"dir":%q,"entries":[{"path":%[1]q,"dir":true},{"path":%q,"digest":"sha256:x"},{"path":"/etc/hosts","block":{"mark":"default","lines":[]}}]}`,
		dir, wire.Path)
}

func (p *park) remove(t *testing.T) error {
	t.Helper()
	p.Abandon = func(error) {}
	for _, one := range Removal(p.Cluster) {
		switch one.(type) {
		case *reach.Cluster, *execute.Lock:
			continue // need hosts
		}
		if err := one.Run(t.Context()); err != nil {
			return err
		}
	}
	return nil
}

// A removal runs the plugins that the hosts noted, on the hosts that they meant, with the environment of the installation.
func TestRemoval(t *testing.T) {
	p := removable(t, newPlugin(t, "before", "SHELL", "PreClean", "", "before"), newPlugin(t, "after", "SHELL", "PostClean", "storage", "after"))
	if err := p.remove(t); err != nil {
		t.Fatal(err)
	}
	want := "10.0.0.1 before,10.0.0.2 before,10.0.0.3 before,10.0.0.3 after"
	if got := strings.Join(p.ranScripts(), ","); got != want {
		t.Errorf("ran %s\nwant %s", got, want)
	}
	for _, f := range p.machines {
		if len(f.files) != 1 {
			t.Errorf("%s still has %v", f.host, f.files)
		}
		for i, line := range f.ran {
			if line == "sh -c "+command.ShellScript && f.env[i]["DISK"] != "s3cret" {
				t.Errorf("%s: a plugin has the environment %v", f.host, f.env[i])
			}
		}
		cleaned := slices.IndexFunc(f.ran, func(line string) bool { return strings.Contains(line, "scripts/clean.sh") })
		removed := slices.IndexFunc(f.ran, func(line string) bool { return strings.Contains(line, "remove-created") })
		if cleaned < 0 || removed < cleaned || slices.Index(f.stdin, "before") > cleaned {
			t.Errorf("%s: in the order %q", f.host, f.ran)
		}
	}
	want = "systemctl disable --quiet --now " + balancer.Unit + ",systemctl reset-failed " + balancer.Unit + ",systemctl daemon-reload"
	if got := strings.Join(p.machines[2].calls("systemctl "), ","); got != want {
		t.Errorf("of the balancer: got %s, want %s", got, want)
	}
	p.secretless(t, "s3cret")
}

// What does not answer, or cannot be cleaned, keeps the others from nothing, and is said at the end.
func TestRemovalWithBrokenHosts(t *testing.T) {
	p := removable(t, newPlugin(t, "after", "SHELL", "PostClean", "", "after"), newPlugin(t, "labelled", "SHELL", "PreClean", "zone=a", "x"))
	works := p.machines[1].answer
	p.machines[1].answer = func(cmd host.Command, stdin string) (string, int) {
		if slices.Contains(cmd.Argv, "scripts/clean.sh") {
			return "busy", 1
		}
		return works(cmd, stdin)
	}
	first := p.machines[0].answer
	p.machines[0].answer = func(cmd host.Command, stdin string) (string, int) {
		if slices.Contains(cmd.Argv, "nodes") {
			return "connection refused", 1
		}
		return first(cmd, stdin)
	}
	p.unreached = []host.Report{{Host: p.Members[2].Host, Err: errors.New("no route")}}
	p.without(2)
	err := p.remove(t)
	for _, want := range []string{"10.0.0.2: run scripts/clean.sh", "busy", "10.0.0.3 was not reached and keeps what is on it: no route",
		"run the same command again with -m 10.0.0.2 -n 10.0.0.3"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, without %q", err, want)
		}
	}
	if got := strings.Join(p.ranScripts(), ","); got != "10.0.0.1 after" {
		t.Errorf("ran %s", got)
	}
	if !strings.Contains(p.out.String(), "warning: the labels of the nodes are not known") {
		t.Errorf("said %s", p.out)
	}
}

// The same removal again goes on with the hosts that are left.
func TestRemovalGoesOn(t *testing.T) {
	p := removable(t, newPlugin(t, "before", "SHELL", "PreClean", "", "before"))
	p.Members[2].IsNew, p.Members[2].Joined = true, false
	p.machines[2].files = map[string]string{}
	if err := p.remove(t); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(p.ranScripts(), ","); got != "10.0.0.1 before,10.0.0.2 before" {
		t.Errorf("ran %s", got)
	}
}

// The rest is removed also when it is a node only: nothing of the masters is needed.
func TestRemovalOfTheRest(t *testing.T) {
	p := removable(t, newPlugin(t, "before", "SHELL", "PreClean", "", "before"), newPlugin(t, "labelled", "SHELL", "PreClean", "zone=a", "x"),
		newPlugin(t, "check", "CLUSTERCHECK", "PreClean", "", ""))
	for i, m := range p.Members[:2] {
		m.IsNew, m.Joined = true, false
		p.machines[i].files = map[string]string{}
	}
	if err := p.remove(t); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(p.ranScripts(), ","); got != "10.0.0.3 before" {
		t.Errorf("ran %s", got)
	}
	if len(p.machines[2].files) != 1 {
		t.Errorf("left is %v", p.machines[2].files)
	}
}

// Plugins that cannot work any more end a removal, and need not be run.
func TestRemovalWithoutPlugins(t *testing.T) {
	p := removable(t, newPlugin(t, "backup", "SHELL", "PreClean", "master0", "backup"))
	works := p.machines[0].answer
	p.machines[0].answer = func(cmd host.Command, stdin string) (string, int) {
		if stdin == "backup" {
			return "no API", 1
		}
		return works(cmd, stdin)
	}
	if err := p.remove(t); err == nil || !strings.Contains(err.Error(), "--skip-plugins") || len(p.machines[0].calls(wire.Path)) > 0 {
		t.Errorf("a plugin that fails gives %v", err)
	}
	p.image.Plugins, p.SkipPlugins = nil, true
	if err := p.remove(t); err != nil {
		t.Fatal(err)
	}
	if len(p.machines[0].files) != 1 {
		t.Errorf("left is %v", p.machines[0].files)
	}
}
