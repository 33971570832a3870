package phase

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/command"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/health/healthtest"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/reach"
	"github.com/kubefile/kubefile/runner/registry"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/store"
)

// machine is a host with files and units, on which what is asked of it happens to a map.
type machine struct {
	t    *testing.T
	host host.Host
	// answer says what becomes of a command that is neither about files nor about units; nil and 0 succeed.
	answer func(cmd host.Command, stdin string) (stdout string, code int)
	world  *world

	named      string // by default h and the end of its address
	noAgent    bool   // or one that is too old
	oldDaemons bool   // which run the agent that was there before, until they are started again

	mu    sync.Mutex
	files map[string]string
	units map[string]bool
	ran   []string // commands that change something, without the lock around them
	stdin []string // what they read
	env   []map[string]string
	argvs []string // of every process
}

func (f *machine) Host() host.Host { return f.host }
func (f *machine) Close() error    { return nil }

func (f *machine) Run(ctx context.Context, cmd host.Command) error {
	stdin := ""
	if cmd.Stdin != nil {
		data, err := io.ReadAll(cmd.Stdin)
		if err != nil {
			return err
		}
		stdin = string(data)
	}
	f.mu.Lock()
	f.argvs = append(f.argvs, strings.Join(cmd.Argv, " "))
	stdout, code, known := f.file(cmd.Argv, stdin)
	f.mu.Unlock()
	if !known {
		stdout, code, known = f.world.api(f, cmd.Argv, stdin)
	}
	f.mu.Lock()
	if !known {
		if at := slices.IndexFunc(cmd.Argv, func(arg string) bool { return strings.HasSuffix(arg, "/"+hostrecord.WorkLock) }); at >= 0 {
			cmd.Argv = cmd.Argv[at+1:]
		}
		f.ran, f.stdin, f.env = append(f.ran, strings.Join(cmd.Argv, " ")), append(f.stdin, stdin), append(f.env, cmd.Env)
	}
	f.mu.Unlock()
	stderr := "as the test wants it"
	if !known && f.world != nil {
		f.world.settings.change(f, cmd.Argv, stdin)
	}
	if !known {
		stdout, code, known = f.world.checkEtcd(f, cmd.Argv)
	}
	if !known && f.answer != nil {
		stdout, code = f.answer(cmd, stdin)
		stdout = healthtest.Formatted(f.t, cmd.Argv, stdout)
	}
	if code != 0 {
		if stdout != "" {
			stderr = stdout
		}
		return &host.ExitError{Host: f.host.String(), Name: cmd.Argv[0], Code: code, Stderr: stderr}
	}
	f.effect(cmd.Argv)
	if cmd.Stdout != nil {
		if _, err := io.WriteString(cmd.Stdout, stdout); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// file does what is about files and units.
func (f *machine) file(argv []string, stdin string) (stdout string, code int, known bool) {
	says := map[bool]int{true: 0, false: 1}
	script := ""
	if argv[0] == "sh" {
		script = argv[2]
	}
	switch {
	case strings.HasSuffix(script, `|| cat "$1"`):
		return f.files[argv[4]], 0, true
	case strings.Contains(script, "sha256sum -c"):
		return "", says[fmt.Sprintf("%x", sha256.Sum256([]byte(f.files[argv[4]]))) == argv[5]], true
	case isFactsQuestion(argv):
		return f.facts(), 0, true
	case script == execute.LookScript:
		return f.look(argv[4:]), 0, true
	case argv[0] == "cat":
		content, there := f.files[argv[1]]
		return content, says[there], true
	case argv[0] == "find" && argv[1] == registry.ContainerdDir:
		return f.under(registry.ContainerdDir + "/"), 0, true
	case argv[0] == "rm":
		delete(f.files, argv[len(argv)-1])
		return "", 0, true
	case argv[0] == "test":
		there := false
		for name := range f.files {
			there = there || name == argv[2] || strings.HasPrefix(name, argv[2]+"/")
		}
		return "", says[there], true
	case argv[0] == wire.Path && argv[1] == "agent":
		return f.askAgent(argv[2:], stdin)
	case argv[0] == "systemctl" && argv[1] == "restart":
		f.units[argv[2]], f.oldDaemons = true, false
		return "", 0, false
	}
	return "", 0, false
}

// askAgent does what the agent is asked for about files and units.
func (f *machine) askAgent(argv []string, stdin string) (stdout string, code int, known bool) {
	switch argv[0] {
	case "watch-unit":
		return f.watchUnit(argv[1]), 0, true
	case "protocol":
		if f.noAgent {
			return "not found", 127, true
		}
		return fmt.Sprintf(`{"protocol":%d}`, wire.Protocol), 0, true
	case "write-block":
		var request struct {
			Path, Cluster string
			Lines         []string
		}
		if err := json.Unmarshal([]byte(argv[1]), &request); err != nil {
			f.t.Error(err)
		}
		text, err := hostrecord.WithBlock(f.files[request.Path], request.Cluster, request.Lines)
		if err != nil {
			return err.Error(), 1, true
		}
		f.files[request.Path] = text
		for name := range f.files {
			if dir, ok := strings.CutSuffix(name, "/"+hostrecord.JournalFile); ok {
				f.files[name] = hostJournal(dir, request.Cluster, request.Lines)
			}
		}
		return `{"changed":true}`, 0, true
	case "have":
		return f.unneeded(argv[1]), 0, true
	case "remove-layers":
		return f.removeLayers(argv[1]), 0, true
	case "begin":
		return f.begin(argv[1]), 0, true
	case "observe":
		return f.observe(argv[1]), 0, true
	case "write-file":
		var request struct{ Path string }
		if err := json.Unmarshal([]byte(argv[1]), &request); err != nil {
			f.t.Error(err)
		}
		changed := f.files[request.Path] != stdin
		f.files[request.Path] = stdin
		return fmt.Sprintf(`{"changed":%t}`, changed), 0, true
	}
	return "", 0, false
}

// under are the files in a directory, one a line.
func (f *machine) under(dir string) string {
	var lines strings.Builder
	for name := range f.files {
		if strings.HasPrefix(name, dir) {
			fmt.Fprintln(&lines, name)
		}
	}
	return lines.String()
}

// watchUnit is what the agent says of a unit.
func (f *machine) watchUnit(raw string) string {
	var request wire.Unit
	if err := json.Unmarshal([]byte(raw), &request); err != nil {
		f.t.Error(err)
	}
	state := wire.UnitState{Works: f.units[request.Name], Active: "active", Sub: "running"}
	if f.oldDaemons && state.Works {
		state.Works, state.Stale, state.Why = false, true, "it runs another program"
	}
	if !state.Works && !state.Stale {
		state = wire.UnitState{Why: "it does not run", Active: "activating", Sub: "auto-restart", Result: "exit-code", Status: "1",
			Journal: []string{"listen tcp 127.0.0.1:5000: bind: \x1b[31maddress already in use"}}
	}
	text, err := json.Marshal(state)
	if err != nil {
		f.t.Error(err)
	}
	return string(text)
}

// calls are the commands that begin so.
func (f *machine) calls(prefix string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.ran), func(line string) bool { return !strings.HasPrefix(line, prefix) })
}

// park is a site of machines: masters are 10.0.0.1 and on, nodes follow.
type park struct {
	*Cluster
	machines []*machine
	world    *world
	out      *bytes.Buffer
}

func newPark(t *testing.T, masters, nodes int) *park {
	t.Helper()
	p := &park{out: &bytes.Buffer{}, world: &world{}}
	p.Cluster = &Cluster{Session: execute.Session{Name: "default", DataRoot: execute.DefaultDataRoot, Report: report.New(p.out)}, Site: bareSite(), Store: store.Store{State: state.New("default")}}
	for i := range masters + nodes {
		role := host.RoleMaster
		if i >= masters {
			role = host.RoleNode
		}
		h := host.Host{Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), Role: role}
		p.Hosts = append(p.Hosts, reach.Host{Login: h, Site: clusterfile.Host{Address: h.Address, Role: role}})
		f := &machine{t: t, host: h, files: map[string]string{execute.HostsFile: "127.0.0.1 localhost\n"}, units: map[string]bool{}, world: p.world}
		p.machines = append(p.machines, f)
		p.world.machines = append(p.world.machines, f)
		p.Add(&p.Session, host.Report{Host: h, Conn: f, Facts: &host.Facts{Hostname: fmt.Sprintf("h%d", i+1)}})
	}
	p.settleNames()
	return p
}

// joined makes the first n machines nodes of the cluster, which a run has completed.
func (p *park) joined(n int) *park {
	for i, m := range p.Members[:n] {
		marker := execute.JoinMarker
		if i == 0 {
			marker = execute.InitMarker
		}
		m.Joined, m.Marker = true, marker
		p.machines[i].files[m.Path(marker)] = execute.Finished + "\n"
		p.machines[i].files[m.Path(command.ScriptsMarker)] = "prepared\n"
		p.State.Hosts = append(p.State.Hosts, state.Host{Address: m.Host.Address, Name: m.Name, Role: string(m.Host.Role), Phase: state.Complete})
	}
	return p
}

// without leaves a host out, as if it had not been named or did not answer.
func (p *park) without(i int) *park {
	p.Members = slices.Delete(p.Members, i, i+1)
	for at, m := range p.Members {
		m.Index = at
	}
	return p
}

// nodeList is what kubectl get nodes prints for all hosts of the state.
func (p *park) nodeList() string {
	list := map[string]any{}
	var items []any
	for _, h := range p.State.Hosts {
		items = append(items, map[string]any{
			"metadata": map[string]any{"name": h.Name, "resourceVersion": "7", "labels": map[string]string{"zone": "z" + h.Name}},
			"status":   map[string]any{"conditions": []any{map[string]string{"type": "Ready", "status": "True"}}},
		})
	}
	list["items"] = items
	text, err := json.Marshal(list)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// plan is what was done, or would be.
func (p *park) plan(t *testing.T) string {
	t.Helper()
	var text bytes.Buffer
	if err := report.WritePlan(&text, false, p.Report); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// newPlugin is a plugin of the Clusterfile.
func newPlugin(t *testing.T, name, typ, action, on, data string) plugin.Plugin {
	t.Helper()
	one, _, err := plugin.New("Clusterfile:1", name, typ, action, on, data)
	if err != nil {
		t.Fatal(err)
	}
	return one
}

// checkError checks that an error has the text, or that there is none if there is no text.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v, want %q", err, want)
	}
}

// secretless fails if a secret is in what anybody on a host, or whoever reads along, can see.
func (p *park) secretless(t *testing.T, secret string) {
	t.Helper()
	for _, f := range p.machines {
		for _, argv := range f.argvs {
			if strings.Contains(argv, secret) {
				t.Errorf("%s: in the process list: %s", f.host, argv)
			}
		}
	}
	if strings.Contains(p.out.String(), secret) || strings.Contains(p.plan(t), secret) {
		t.Errorf("in the report:\n%s%s", p.out, p.plan(t))
	}
}

// isFactsQuestion reports whether a command is the question of [host.Gather].
func isFactsQuestion(argv []string) bool {
	return argv[0] == "sh" && strings.Contains(argv[2], "# Prints what the host is like")
}

// usualFacts is the answer of a host with default routes and a nameserver.
const usualFacts = "facts\t1\nroutes\tknown\nroute\t4 default eth0\nroute\t6 default eth0\nresolv-conf\t/etc/resolv.conf\nresolv\tnameserver 10.9.9.9\n"
