package phase

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/command"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/join"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/reach"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/store"
)

var errKilled = errors.New("killed")

// counting lets n commands of all hosts through; the next one never reaches its host, and nothing after it.
type counting struct {
	*machine
	n     *atomic.Int64
	limit int64
	kill  func()
}

func (c counting) Run(ctx context.Context, cmd host.Command) error {
	if c.n.Add(1) > c.limit {
		c.kill()
		return errKilled
	}
	return c.machine.Run(ctx, cmd)
}

// again is a new run on the same machines, which knows nothing but what is on them.
func (p *park) again(t *testing.T, limit int64, kill func()) (*park, *atomic.Int64) {
	t.Helper()
	next := &park{out: &bytes.Buffer{}, machines: p.machines, world: p.world}
	next.Cluster = &Cluster{Session: execute.Session{Name: p.Name, DataRoot: p.DataRoot, Report: report.New(next.out)}, Site: bareSite(), Store: store.Store{State: state.New(p.Name)}}
	next.Site.Plugins = []plugin.Plugin{newPlugin(t, "pre", "SHELL", "PreInit|PreJoin|PostJoin|PostInstall", "", "true")}
	next.Artifact, next.Abandon, next.leaseWait, next.etcdWait, next.DryRun = p.Artifact, func(error) {}, time.Millisecond, time.Millisecond, p.DryRun
	var n atomic.Int64
	for _, f := range p.machines {
		next.Hosts = append(next.Hosts, reach.Host{Login: f.host})
		next.visit(t, counting{f, &n, limit, kill})
	}
	next.settleNames()
	return next, &n
}

// visit takes a machine among the members, as preflight does.
func (p *park) visit(t *testing.T, conn host.Conn) {
	t.Helper()
	f := p.world.machine(conn.Host())
	facts, err := host.Gather(t.Context(), f, p.DataRoot)
	if err != nil {
		t.Fatal(err)
	}
	m := p.Add(&p.Session, host.Report{Host: f.host, Conn: f, Facts: facts})
	if err := m.Look(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	m.Client.Conn, m.Image.Conn = conn, conn
}

func (w *world) machine(h host.Host) *machine {
	return w.machines[slices.IndexFunc(w.machines, func(f *machine) bool { return f.host == h })]
}

// installed stands for the phase that copies the agent, which needs more than a fake.
type installed struct{ *Cluster }

func (*installed) Title() string { return "Install the agent" }

func (p *installed) Run(ctx context.Context) error {
	if p.DryRun {
		return p.Enroll(ctx, &p.Session)
	}
	install := func(ctx context.Context, m *execute.Member) error {
		journal, err := m.Fetch(ctx, m.Path(hostrecord.JournalFile))
		if err == nil && len(journal) == 0 {
			_, err = m.WriteFile(ctx, m.Path(hostrecord.JournalFile), 0o600, []byte(hostJournal(m.Dir, p.Name, nil)))
		}
		same := false
		if err == nil {
			same, err = m.Has(ctx, wire.Path, digest.FromString("x"))
		}
		if err == nil && !same {
			_, err = m.WriteFile(ctx, wire.Path, 0o600, []byte("x"))
		}
		if err != nil {
			return err
		}
		return p.ClaimHost(ctx, m, p.State.ID)
	}
	return errors.Join(p.Each(ctx, p.Targeted(p.Masters()), install), p.Enroll(ctx, &p.Session), p.Each(ctx, p.Targeted(p.Nodes()), install))
}

// hostJournal is the journal of a host that has the cluster's directory, and lines in its /etc/hosts.
func hostJournal(dir, cluster string, lines []string) string {
	return encode(map[string]any{"version": 2, "dir": dir, "entries": []any{
		map[string]any{"path": dir, "dir": true},
		map[string]any{"path": execute.HostsFile, "block": map[string]any{"mark": cluster, "lines": lines}}}})
}

// perform runs the phases of a bring-up that fakes can do.
func (p *park) perform(ctx context.Context) error {
	c := p.Cluster
	phases := []Phase{&remember{c}, &adaptImage{c}, &installed{c}, c.writeFiles(), c.runPlugins(plugin.PreInit), c.hostsFile(), c.runScripts(), c.registryService(),
		c.controlPlane(), c.reconfigure(), c.runPlugins(plugin.PreJoin), c.joinMasters(), c.apiProxy(), c.joinNodes(), &kubeconfig{c}, &join.LabelNodes{Session: &c.Session},
		c.runPlugins(plugin.PostJoin), c.runCommands(command.Network), c.runCommands(command.Guests), c.runPlugins(plugin.PostInstall), c.removeLayers(), &saveState{c}}
	if c.Joining != nil {
		phases = withoutCommands(phases)
	}
	for _, one := range phases {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := one.Run(ctx); err != nil {
			return fmt.Errorf("%s: %w", one.Title(), err)
		}
	}
	return nil
}

// untouched are machines on which nothing is, for an image whose cluster they can be. The first master's CA will be this certificate.
func untouched(t *testing.T, image *source.Artifact, certificate string, masters, nodes int) *park {
	t.Helper()
	p := newPark(t, masters, nodes)
	p.Artifact = image
	for _, f := range p.machines {
		if f.host.Role == host.RoleMaster {
			f.files[authorityFile] = certificate
		}
		f.answer = func(cmd host.Command, _ string) (string, int) {
			switch {
			case slices.Contains(cmd.Argv, "nodes"):
				return p.world.list(f), 0
			case slices.Contains(cmd.Argv, "token"):
				return "abcdef.s3cret0123456789\n", 0
			}
			return "", 0
		}
	}
	return p
}

// list is what kubectl get nodes prints.
func (w *world) list(f *machine) string {
	var items []string
	for _, name := range w.nodes(f) {
		label := ""
		if slices.ContainsFunc(w.machines, func(m *machine) bool { return m.node() == name && m.host.Role == host.RoleMaster && !w.unmarked[m] }) {
			label = `"node-role.kubernetes.io/master":""`
		}
		items = append(items, fmt.Sprintf(`{"metadata":{"name":%q,"labels":{%s}},"status":%s}`, name, label, encode(w.status(name))))
	}
	return `{"items":[` + strings.Join(items, ",") + `]}`
}

// Killed before each command of a bring-up and run again, the result equals that of an undisturbed run, and no control plane that was
// complete is made anew.
func TestKilledBeforeEveryCommand(t *testing.T) {
	image, certificate := artifact(t), authority(t)
	undisturbed := untouched(t, image, certificate, 2, 1)
	p, n := undisturbed.again(t, 1<<40, func() {})
	if err := p.perform(t.Context()); err != nil {
		t.Fatal(err)
	}
	total := n.Load()
	different := map[string]int{}
	for limit := range total {
		site := untouched(t, image, certificate, 2, 1)
		ctx, cancel := context.WithCancelCause(t.Context())
		p, _ := site.again(t, limit, func() { cancel(errKilled) })
		if err := p.perform(ctx); err == nil {
			t.Fatalf("before command %d: not killed", limit)
		}
		p, _ = site.again(t, 1<<40, func() {})
		if err := p.perform(t.Context()); err != nil {
			different[fmt.Sprintf("the second run fails: %v", err)]++
			continue
		}
		for i, f := range site.machines {
			compare(f, undisturbed.machines[i], different)
		}
	}
	for what, times := range different {
		t.Errorf("%d of %d times: %s", times, total, what)
	}
}

// compare counts what is different on two machines.
func compare(f, want *machine, different map[string]int) {
	for name := range want.files {
		// Keys and passwords are made, and the state has an ID and counts its revisions.
		made := strings.Contains(name, "/pki/") || strings.HasSuffix(name, "registry.htpasswd") || strings.HasSuffix(name, store.File) ||
			strings.HasSuffix(name, hostrecord.RecordFile) || name == execute.KubeletConfig
		switch content, there := f.files[name]; {
		case !there:
			different[fmt.Sprintf("%s: %s is missing", f.host, name)]++
		case !made && content != want.files[name]:
			different[fmt.Sprintf("%s: %s differs", f.host, name)]++
		}
	}
	for name := range f.files {
		if _, there := want.files[name]; !there {
			different[fmt.Sprintf("%s: %s is there in vain", f.host, name)]++
		}
	}
	if !maps.Equal(f.units, want.units) {
		different[fmt.Sprintf("%s: units %v, want %v", f.host, f.units, want.units)]++
	}
}
