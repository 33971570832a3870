package phase

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/leave"
	"github.com/kubefile/kubefile/runner/reach"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/store"
)

// leavingWorld is what the API and etcd say when hosts leave.
type leavingWorld struct {
	on      bool
	etcd    []etcdMember
	dead    map[string]bool   // nodes whose hosts have no power
	pods    map[string]string // by node, as kubectl prints them
	blocked string            // what a drain says that does not end
	system  []string          // rows of podsQuery
	detail  string            // of the last event
	mute    bool              // lists of DaemonSets fail
	busy    int               // so many changes of its members etcd does not take yet
	ready   map[string]bool   // nodes that are Ready
	renewed int               // how often a lease was asked for that is renewed
	silent  bool              // leases are not renewed
	// deadMembers of etcd do not answer, by their IDs.
	deadMembers map[uint64]bool
	lastMember  uint64
	minority    bool            // etcd answers without a majority
	unlabelled  map[string]bool // nodes that kubeadm has not made masters yet
}

type etcdMember struct {
	ID         uint64   `json:"ID"`
	Name       string   `json:"name"`
	PeerURLs   []string `json:"peerURLs"`
	ClientURLs []string `json:"clientURLs"`
}

func (l *leavingWorld) knows(line string) bool {
	if !l.on {
		return strings.HasPrefix(line, "exec etcd-")
	}
	for _, prefix := range []string{"get --raw /readyz", "drain ", "exec etcd-", "get lease ", "get pods --all-namespaces --field-selector", "get poddisruptionbudgets",
		"get daemonsets ", "get pods -o ", "get events ", "delete node "} {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}

// api answers what only a departure asks. The world is locked.
func (l *leavingWorld) api(w *world, f *machine, line string) (string, int, bool) {
	words := strings.Fields(line)
	switch {
	case strings.HasPrefix(line, "get --raw"):
		if !f.has(execute.AdminConfig) {
			return "refused", 1, true
		}
		return "ok", 0, true
	case strings.HasPrefix(line, "drain ") && l.blocked != "":
		f.note(line)
		return l.blocked, 1, true
	case strings.HasPrefix(line, "drain "):
		f.note(line)
		return "", 0, true
	case strings.HasPrefix(line, "delete node "):
		if w.gone == nil {
			w.gone = map[string]bool{}
		}
		w.gone[words[2]] = true
		delete(w.elsewhere, words[2])
		f.note(line)
		return "", 0, true
	case strings.HasPrefix(line, "get lease "):
		if !l.silent {
			l.renewed++
		}
		return strconv.Itoa(l.renewed), 0, true
	case strings.HasPrefix(line, "get daemonsets ") && l.mute:
		return "etcdserver: request timed out", 1, true
	case strings.HasPrefix(line, "get daemonsets "):
		return "", 0, true
	case strings.HasPrefix(line, "get events "):
		return l.detail, 0, true
	case strings.HasPrefix(line, "get pods -o "):
		return strings.Join(l.system, ""), 0, true
	case strings.HasPrefix(line, "get pods "):
		_, node, _ := strings.Cut(line, "spec.nodeName=")
		node, _, _ = strings.Cut(node, " ")
		return l.pods[node], 0, true
	case strings.HasPrefix(line, "get poddisruptionbudgets "):
		return "web\tfrontend\t0\n", 0, true
	}
	return l.etcdctl(f, line)
}

func (l *leavingWorld) etcdctl(f *machine, line string) (string, int, bool) {
	healthy, all := 0, []map[string]any{}
	for _, m := range l.etcd {
		if l.answers(m) {
			healthy++
		}
		all = append(all, map[string]any{"endpoint": m.ClientURLs[0], "health": l.answers(m)})
	}
	switch {
	case healthy <= len(l.etcd)/2 && !l.minority:
		return "etcdserver: request timed out", 1, true
	case strings.Contains(line, " member list "):
		return encode(map[string]any{"members": l.etcd}), 0, true
	case strings.Contains(line, " endpoint health "):
		return encode(all), 0, true
	case l.busy > 0:
		l.busy--
		return "Error: etcdserver: unhealthy cluster", 1, true
	}
	id, _ := strconv.ParseUint(line[strings.LastIndex(line, " ")+1:], 16, 64)
	l.etcd = slices.DeleteFunc(l.etcd, func(m etcdMember) bool { return m.ID == id })
	f.note("remove member " + strconv.FormatUint(id, 10))
	return "", 0, true
}

func (l *leavingWorld) answers(m etcdMember) bool { return !l.dead[m.Name] && !l.deadMembers[m.ID] }

// memberOf is the place of a machine's member; -1 if it has none.
func (l *leavingWorld) memberOf(f *machine) int {
	return slices.IndexFunc(l.etcd, func(m etcdMember) bool { return m.PeerURLs[0] == "https://"+f.host.String()+":2380" })
}

// kubeadm is what kubeadm does to etcd.
func (l *leavingWorld) kubeadm(f *machine, argv []string) {
	at := l.memberOf(f)
	switch {
	case f.host.Role != host.RoleMaster:
	case argv[1] != "reset" && at < 0:
		l.lastMember++
		l.etcd = append(l.etcd, etcdMember{l.lastMember, f.node(), []string{"https://" + f.host.String() + ":2380"}, []string{"https://" + f.host.String() + ":2379"}})
	case argv[1] == "reset" && at >= 0 && f.has(execute.EtcdManifest) && !l.deadMembers[l.etcd[at].ID]:
		l.etcd = slices.Delete(l.etcd, at, at+1)
	}
}

// checkEtcd is the phase of kubeadm join that fails while a member does not answer. With the member of a lost disk, the new etcd would end.
func (w *world) checkEtcd(f *machine, argv []string) (string, int, bool) {
	if w == nil || len(argv) < 2 || !strings.HasSuffix(argv[0], "/bin/kubeadm") || argv[1] != "join" || f.host.Role != host.RoleMaster {
		return "", 0, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.leaving.etcd {
		if !w.leaving.answers(m) {
			return "etcd cluster is not healthy: failed to dial endpoint " + m.ClientURLs[0], 1, true
		}
	}
	return "", 0, false
}

// note is a change that the world made.
func (f *machine) note(line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ran, f.stdin, f.env = append(f.ran, line), append(f.stdin, ""), append(f.env, nil)
}

// established is a cluster that a run brought up, whose hosts can be cleaned.
func established(t *testing.T, masters, nodes int) *park {
	t.Helper()
	p := brought(t, masters, nodes)
	p.cleanable(p.Members)
	return p
}

// cleanable makes what the world lacks for hosts to leave it.
func (p *park) cleanable(members []*execute.Member) {
	l := &p.world.leaving
	l.on, l.dead, l.pods, l.ready = true, map[string]bool{}, map[string]string{}, map[string]bool{}
	for _, m := range members {
		f := p.world.machine(m.Host)
		works := f.answer
		f.answer = func(cmd host.Command, stdin string) (string, int) {
			if cmd.Argv[0] == wire.Path && cmd.Argv[2] == "remove-created" {
				f.undo()
				return `{"left":[]}`, 0
			}
			return works(cmd, stdin)
		}
	}
	p.forget()
}

// keep remembers the machines and the world as they are.
func (p *park) keep() (restore func()) {
	var files []map[string]string
	var units []map[string]bool
	for _, f := range p.machines {
		files, units = append(files, maps.Clone(f.files)), append(units, maps.Clone(f.units))
	}
	secret, version, etcd, elsewhere := p.world.secret, p.world.version, slices.Clone(p.world.leaving.etcd), maps.Clone(p.world.elsewhere)
	unmarked := maps.Clone(p.world.unmarked)
	return func() {
		for i, f := range p.machines {
			f.files, f.units = maps.Clone(files[i]), maps.Clone(units[i])
		}
		p.world.secret, p.world.version, p.world.gone, p.world.leaving.etcd = secret, version, nil, slices.Clone(etcd)
		p.world.elsewhere, p.world.unmarked = maps.Clone(elsewhere), maps.Clone(unmarked)
		p.forget()
	}
}

// undo is what the agent makes of the host: what it was.
func (f *machine) undo() {
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := f.files[authorityFile]
	f.files, f.units = map[string]string{execute.HostsFile: "127.0.0.1 localhost\n"}, map[string]bool{}
	if kept != "" {
		f.files[authorityFile] = kept
	}
}

// leave takes hosts, by their numbers, out of the cluster, through a run that knows nothing. via are the masters that are named. Nothing
// reaches a host after so many commands.
func (p *park) leave(ctx context.Context, t *testing.T, leaving leave.Hosts, via []int, limit int64, kill func()) (*park, int64, error) {
	t.Helper()
	next := &park{out: &bytes.Buffer{}, machines: p.machines, world: p.world}
	c := &Cluster{
		Session: execute.Session{Name: p.Name, DataRoot: p.DataRoot, Report: report.New(next.out), Abandon: func(error) {}},
		Site:    bareSite(), Store: store.Store{State: state.New(p.Name)}, SkipPlugins: p.SkipPlugins,
	}
	next.Cluster = c
	for _, i := range via {
		c.Hosts = append(c.Hosts, reach.Host{Login: host.Host{Address: p.machines[i].host.Address, Role: host.RoleMaster}})
	}
	for _, address := range append(leaving.Masters, leaving.Nodes...) { // as flags name them: who is a master is found out
		c.Hosts = append(c.Hosts, reach.Host{Login: host.Host{Address: address, Role: host.RoleMaster}})
	}
	var n atomic.Int64
	c.Dial = func(ctx context.Context, hosts []host.Host) (reports []host.Report) {
		for _, h := range hosts {
			report := host.Report{Host: h, Err: errors.New("no route to host")}
			at := slices.IndexFunc(p.machines, func(f *machine) bool { return f.host.Address == h.Address })
			if at >= 0 && !p.world.leaving.dead[p.machines[at].node()] {
				report = host.Report{Host: h, Conn: counting{p.machines[at], &n, limit, kill}}
				report.Facts, report.Err = host.Gather(ctx, report.Conn, p.DataRoot)
			}
			reports = append(reports, report)
		}
		return reports
	}
	leaving.LeaseWait = time.Millisecond
	phases := Departure(c, leaving)
	c.DryRun = p.DryRun // as what makes the phases does
	for _, one := range phases {
		if _, locks := one.(*execute.Lock); locks {
			continue // needs hosts
		}
		if ctx.Err() != nil {
			return next, n.Load(), context.Cause(ctx)
		}
		if err := one.Run(ctx); err != nil {
			return next, n.Load(), fmt.Errorf("%s: %w", one.Title(), err)
		}
	}
	return next, n.Load(), nil
}

// phases are the hosts of the state in the Secret, with their phases.
func (p *park) phases(t *testing.T) string {
	t.Helper()
	s, err := state.Parse(p.world.secret)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, h := range s.Hosts {
		words = append(words, h.Name+":"+string(h.Phase))
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// changes are the commands of all machines that changed the cluster.
func (p *park) changes() string {
	var lines []string
	for _, f := range p.machines {
		for _, line := range f.ran {
			for _, prefix := range []string{"drain ", "delete node ", "remove member "} {
				if strings.HasPrefix(line, prefix) {
					words := strings.Fields(line)
					lines = append(lines, strings.Join(words[:len(strings.Fields(prefix))+1], " "))
				}
			}
		}
	}
	return strings.Join(lines, ", ")
}

// mentions are the files of a machine that have an address in them, but for those that say what was.
func (f *machine) mentions(address string) (names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, content := range f.files {
		past := strings.HasSuffix(name, store.File) || strings.HasSuffix(name, execute.InitConfig) || strings.HasSuffix(name, hostrecord.JournalFile)
		if !past && strings.Contains(content+"\n", address+":") || !past && strings.Contains(content, address+" ") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
