package phase

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/registryproxy"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/balancer"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/unit"
)

// oneUnit is a service that reads one file.
func oneUnit() unit.Service {
	return unit.Service{Name: "x.service", Files: []unit.File{{Path: "/etc/x", Mode: 0o644, Content: []byte("x"), Restart: true}}}
}

// systemctl restart succeeds for a process that ends a moment later: its port is taken, its certificate is bad.
func TestUnitThatDies(t *testing.T) {
	p := newPark(t, 1, 0)
	f := p.machines[0]
	dies := true
	f.answer = func(cmd host.Command, _ string) (string, int) {
		if cmd.Argv[0] == "systemctl" && cmd.Argv[1] == "restart" && dies {
			f.units[cmd.Argv[2]] = false
		}
		return "", 0
	}
	err := oneUnit().Install(t.Context(), &p.Session, p.Members[0])
	var failed *unit.Error
	if !errors.As(err, &failed) || failed.Unit != "x.service" || failed.Host != "10.0.0.1" {
		t.Fatalf("error is %v", err)
	}
	for _, want := range []string{"10.0.0.1", "it does not run", "activating, auto-restart", "exit-code", "exit status 1", "address already in use", "journalctl -u x.service", "run the same command again"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "\x1b") {
		t.Errorf("the error controls the terminal: %q", err)
	}
	if f.files[p.Members[0].Path("x.service.started")] == execute.Finished+"\n" {
		t.Error("the marker says that the dead unit was started")
	}
	// The cause is removed, and nothing else changed.
	dies = false
	for range 2 {
		if err := oneUnit().Install(t.Context(), &p.Session, p.Members[0]); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(f.calls("systemctl restart")); n != 2 {
		t.Errorf("%d restarts, want 2", n)
	}
}

// A restart that systemctl itself reports as failed names the unit's state, too.
func TestUnitThatDoesNotStart(t *testing.T) {
	p := newPark(t, 1, 0)
	p.machines[0].answer = func(cmd host.Command, _ string) (string, int) {
		if cmd.Argv[0] == "systemctl" && cmd.Argv[1] == "restart" {
			p.machines[0].units[cmd.Argv[2]] = false
			return "Job for x.service failed", 1
		}
		return "", 0
	}
	err := oneUnit().Install(t.Context(), &p.Session, p.Members[0])
	var failed *unit.Error
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("error is %v", err)
	}
}

// A new agent starts the daemons again, which run the old one, also when none of their files changed.
func TestNewAgentRestartsDaemons(t *testing.T) {
	p := newPark(t, 1, 0)
	f := p.machines[0]
	if err := oneUnit().Install(t.Context(), &p.Session, p.Members[0]); err != nil {
		t.Fatal(err)
	}
	f.oldDaemons = true
	p.DryRun, p.Members[0].NewAgent = true, true // a dry run does not copy the agent, and the old one is not asked
	asked := len(f.argvs)
	if err := oneUnit().Install(t.Context(), &p.Session, p.Members[0]); err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(f.argvs[asked:], func(line string) bool { return strings.Contains(line, "watch-unit") }) {
		t.Error("a dry run asks an agent that may not know the question")
	}
	p.DryRun = false
	planned := len(p.Report.Changes())
	for range 2 {
		if err := oneUnit().Install(t.Context(), &p.Session, p.Members[0]); err != nil {
			t.Fatal(err)
		}
	}
	actions := p.Report.Changes()
	if n := len(f.calls("systemctl restart")); n != 2 || len(actions) != planned+1 || actions[planned] != actions[planned-1] {
		t.Errorf("%d restarts, want 2; actions %v", n, actions)
	}
}

// What the units have to answer is what depends on them: containerd of the own host, the other hosts, the kubelet.
func TestQuestionsToUnits(t *testing.T) {
	p := newPark(t, 1, 1).joined(1)
	p.Artifact = artifact(t)
	for _, one := range []Phase{p.registryService(), p.apiProxy()} {
		if err := one.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	asked := map[string]string{}
	for _, f := range p.machines {
		for _, line := range f.argvs {
			raw, is := strings.CutPrefix(line, wire.Path+" agent watch-unit ")
			var u wire.Unit
			if !is || json.Unmarshal([]byte(raw), &u) != nil {
				continue
			}
			var urls []string
			for _, q := range u.Answers {
				urls = append(urls, q.URL)
			}
			if u.Program != wire.Path {
				t.Errorf("%s: %s may run %q", f.host, u.Name, u.Program)
			}
			asked[f.host.String()+" "+u.Name] = strings.Join(urls, " ")
		}
	}
	digest := p.Artifact.Description.Lock.Images[0].Digest.String()
	for unit, want := range map[string]string{
		"10.0.0.1 " + registryproxy.Unit: "http://127.0.0.1:5000/v2/ https://10.0.0.1:5000/v2/ http://127.0.0.1:5000/v2/store/blobs/" + digest,
		"10.0.0.2 " + registryproxy.Unit: "http://127.0.0.1:5000/v2/",
		"10.0.0.2 " + balancer.Unit:      "tcp://127.0.0.1:6443",
	} {
		if asked[unit] != want {
			t.Errorf("%s has to answer %q, want %q", unit, asked[unit], want)
		}
	}
}
