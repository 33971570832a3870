package command

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/store"
)

// RunPlugins runs the plugins of one action, one after the other, each on all of its hosts at once and on every host once. A host on which
// the moment of the action is over, because it was installed before the plugin was written, is left out.
type RunPlugins struct {
	*execute.Session
	Action  plugin.Action
	Plugins *[]plugin.Plugin
	Store   *store.Store
	// Environment is what the plugins see on a host.
	Environment func(*execute.Member) environment.Set
	// Works waits for so long until the whole cluster works.
	Works func(context.Context, time.Duration) error
	// Dirty are hosts that a removal could not clean.
	Dirty func(*execute.Member) bool
	// Limit is how long each script may run; default [DefaultLimit].
	Limit time.Duration
}

// DefaultLimit is how long a command of an image or a script of a plugin may run: it may wait for a whole application.
const DefaultLimit = time.Hour

// Title says what the phase does, for a person.
func (p *RunPlugins) Title() string { return fmt.Sprintf("Run the plugins of %s", p.Action) }

// Run does it.
func (p *RunPlugins) Run(ctx context.Context) error {
	for _, one := range plugin.Order(*p.Plugins, p.Action) {
		members, err := p.selected(ctx, one)
		if err != nil {
			return err
		}
		if err := p.plugin(ctx, one, members); err != nil {
			return fmt.Errorf("%s: %w%s", one, err, p.wayOut())
		}
	}
	return nil
}

// wayOut says how a cluster can be removed whose plugins fail because it is broken.
func (p *RunPlugins) wayOut() string {
	if !p.cleaning() {
		return ""
	}
	return "\n(delete --skip-plugins removes the cluster without its plugins)"
}

// selected are the hosts on which a plugin runs now.
func (p *RunPlugins) selected(ctx context.Context, one plugin.Plugin) ([]*execute.Member, error) {
	candidates, err := p.matching(ctx, one)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", one, err)
	}
	left := make([]bool, len(p.Members))
	err = p.Each(ctx, candidates, func(ctx context.Context, m *execute.Member) error {
		due, done, err := p.dueAndDone(ctx, one, m)
		left[m.Index] = due && !done
		return err
	})
	return slices.DeleteFunc(candidates, func(m *execute.Member) bool { return !left[m.Index] }), err
}

// dueAndDone reports whether a plugin is to run on a host at all, and whether it has.
func (p *RunPlugins) dueAndDone(ctx context.Context, one plugin.Plugin, m *execute.Member) (due, done bool, err error) {
	image := m.OfImage()
	marker, err := image.Read(ctx, image.Path(Marker(p.Action, one)))
	if err != nil {
		return false, false, err
	}
	says := strings.TrimSpace(string(marker))
	if m.Again && p.Action == plugin.PostJoin && p.DryRun { // a run has written that
		says = joinsAgain
	}
	due, err = p.due(ctx, one, m, says)
	return due, says == p.doneFor(one), err
}

// due reports whether a plugin concerns a host, and the moment of the action is not over for it. says is what the host's marker of it says.
func (p *RunPlugins) due(ctx context.Context, one plugin.Plugin, m *execute.Member, says string) (bool, error) {
	if p.cleaning() && (m.IsNew || p.Dirty(m)) {
		return false, nil // one that was interrupted has cleaned it before, or this one could not
	}
	if one.Type == plugin.ClusterCheck {
		return m.IsMaster() && m == p.First(), nil // it is about the cluster, once
	}
	switch p.Action {
	case plugin.PreInit:
		prepared, err := m.Read(ctx, m.Path(ScriptsMarker))
		return len(prepared) == 0 && !m.Joined, err
	case plugin.PreJoin:
		return !m.Joined && m != p.First(), nil
	case plugin.PostJoin:
		// The master that was made by kubeadm init does not join; but its node is new, and a plugin for nodes says itself which it means.
		joins := m != p.First() || m.Marker == execute.JoinMarker
		return (!p.Store.State.Complete(m.Host.Address) || says == joinsAgain) && (joins || one.Type != plugin.Shell), nil
	}
	return true, nil
}

// joinsAgain is what the marker of a plugin says whose host is about to become a new node: labels, taints and the like are gone with the old
// one.
const joinsAgain = "the host joins again"

// NoteAgain has the plugins of PostJoin run again on a host that was a node before. It is noted on the host before its node is made: this run may be
// killed in between.
func NoteAgain(ctx context.Context, m *execute.Member, plugins []plugin.Plugin) error {
	if m.IsNew {
		return nil
	}
	m.Again = true
	for _, one := range plugin.Order(plugins, plugin.PostJoin) {
		if err := m.Mark(ctx, Marker(plugin.PostJoin, one), joinsAgain); err != nil {
			return err
		}
	}
	return nil
}

// cleaning says that the hosts are being taken out of the cluster.
func (p *RunPlugins) cleaning() bool {
	return p.Action == plugin.PreClean || p.Action == plugin.PostClean
}

// matching are the members that a plugin selects.
func (p *RunPlugins) matching(ctx context.Context, one plugin.Plugin) ([]*execute.Member, error) {
	known, err := p.nodeLabels(ctx, one.On)
	if err != nil {
		return nil, err
	}
	var selected []*execute.Member
	members := p.Targets()
	if one.Type == plugin.ClusterCheck { // which is about the cluster, whoever joins it
		members = p.Members
	}
	for _, m := range members {
		h := p.PluginHost(m)
		if m.Joined || !p.DryRun { // else it becomes a new node
			maps.Copy(h.Labels, known[m.Name])
		}
		if one.On.Selects(h) {
			selected = append(selected, m)
		}
	}
	// Of roles and addresses adapt has said what is wrong with them. An image knows no site: its plugins may match nothing there. Hosts that
	// join may have none of the labels.
	if len(selected) == 0 && one.On.Selector() != "" && !one.FromImage && !p.DryRun && !p.cleaning() && p.Joining == nil {
		return nil, fmt.Errorf("no node of the cluster matches %s: kubectl get nodes --show-labels shows what there is", one.On)
	}
	return selected, nil
}

// nodeLabels asks the cluster for the labels of its nodes, by name, where labels decide. A cluster that is to be removed may be broken:
// what the site says of its hosts has to do then.
func (p *RunPlugins) nodeLabels(ctx context.Context, on plugin.On) (map[string]map[string]string, error) {
	if on.Selector() == "" || !p.Running() {
		return nil, nil
	}
	nodes, err := p.Kube().Nodes(ctx)
	if err != nil && p.cleaning() {
		p.Report.Line(p.First().String(), fmt.Sprintf("warning: the labels of the nodes are not known: %v", err))
		return nil, nil
	}
	labels := map[string]map[string]string{}
	for name, node := range nodes {
		labels[name] = node.Metadata.Labels
	}
	return labels, err
}

// Marker says that a plugin has run on a host.
func Marker(action plugin.Action, one plugin.Plugin) string {
	return "plugin-" + string(action) + "-" + one.Key() + ".done"
}

// doneFor is what the marker says: for a check of the cluster, of which hosts it was.
func (p *RunPlugins) doneFor(one plugin.Plugin) string {
	if one.Type != plugin.ClusterCheck {
		return execute.Finished
	}
	var names []string
	for _, address := range p.Store.Addresses(p.Session) {
		names = append(names, address.String())
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// plugin runs one plugin on its hosts.
func (p *RunPlugins) plugin(ctx context.Context, one plugin.Plugin, members []*execute.Member) error {
	work, err := p.work(one)
	if err != nil {
		return err
	}
	return p.Each(ctx, members, func(ctx context.Context, m *execute.Member) error {
		what, do := work(m)
		if what == "" {
			return nil
		}
		return p.Do(ctx, m, fmt.Sprintf("plugin %q: %s", one.Name, what), func(ctx context.Context) error {
			if err := do(ctx); err != nil || p.cleaning() {
				return err // a removal leaves no marks
			}
			return m.OfImage().Mark(ctx, Marker(p.Action, one), p.doneFor(one))
		})
	})
}

// work returns what a plugin does on a host, in words and in deeds; no words for nothing.
func (p *RunPlugins) work(one plugin.Plugin) (func(*execute.Member) (string, func(context.Context) error), error) {
	switch one.Type {
	case plugin.Hostname:
		names, err := one.Hostnames()
		return func(m *execute.Member) (string, func(context.Context) error) {
			name := names[m.Host.Address]
			if name == "" {
				return "", nil
			}
			return "name the host " + name, func(ctx context.Context) error { return p.hostname(ctx, m, name) }
		}, err
	case plugin.Shell:
		return func(m *execute.Member) (string, func(context.Context) error) {
			return "run its script", func(ctx context.Context) error { return p.shell(ctx, m, one.Data) }
		}, nil
	case plugin.Label:
		changes, err := one.Labels()
		return func(m *execute.Member) (string, func(context.Context) error) {
			if len(changes[m.Host.Address]) == 0 {
				return "", nil
			}
			return fmt.Sprintf("label the node %v", changes[m.Host.Address]),
				func(ctx context.Context) error {
					return p.Kube().ChangeNode(ctx, m.Name, nil, changes[m.Host.Address], nil)
				}
		}, err
	case plugin.Taint:
		changes, err := one.Taints()
		return func(m *execute.Member) (string, func(context.Context) error) {
			if len(changes[m.Host.Address]) == 0 {
				return "", nil
			}
			return fmt.Sprintf("taint the node %v", changes[m.Host.Address]),
				func(ctx context.Context) error {
					return p.Kube().ChangeNode(ctx, m.Name, nil, nil, changes[m.Host.Address])
				}
		}, err
	case plugin.ClusterCheck:
		timeout, err := one.Timeout()
		return func(*execute.Member) (string, func(context.Context) error) {
			return "wait until nodes, system pods and DNS are ready", func(ctx context.Context) error { return p.Works(ctx, timeout) }
		}, err
	}
	return nil, fmt.Errorf("type %s", one.Type)
}

// HostnameFile has the name that a host gets at every boot.
const HostnameFile = "/etc/hostname"

// hostname names a host, now and after every boot.
func (p *RunPlugins) hostname(ctx context.Context, m *execute.Member, name string) error {
	if _, err := m.WriteFile(ctx, HostnameFile, 0o644, []byte(name+"\n")); err != nil {
		return err
	}
	_, err := m.Ask(ctx, "hostname", name)
	return err
}

// ShellScript runs the script on its standard input, in bash where there is one or in what its first line says. It is in a file
// meanwhile, because what a script reads must not be its own text, and no process list shows it. That file is not executed itself, since
// hardened hosts forbid that in /tmp.
const ShellScript = `umask 077
script=$(mktemp) && trap 'rm -f "$script"' EXIT && cat > "$script" || exit 1
umask 022
read -r first < "$script" || :
if [ "$(head -c 2 "$script")" = '#!' ]; then set -f; ${first#??} "$script" < /dev/null
elif command -v bash > /dev/null; then bash "$script" < /dev/null
else sh "$script" < /dev/null; fi`

// shell runs a plugin's script in the rootfs, with what it prints for everybody to see.
func (p *RunPlugins) shell(ctx context.Context, m *execute.Member, script string) error {
	env := environment.Merge(p.Environment(m), toolEnv(m))
	cmd := host.Command{
		Argv: []string{"sh", "-c", ShellScript}, Env: env.Variables(),
		Stdin: bytes.NewReader(env.Substitute([]byte(script))), Limit: cmp.Or(p.Limit, DefaultLimit),
	}
	if p.Action != plugin.PostClean {
		return p.ExecTo(ctx, m, cmd, p.Report.ShownOutput(m.String()))
	}
	out := p.Report.ShownOutput(m.String()) // the directory of the cluster is gone, and its lock with it
	defer out.Close()
	cmd.Root, cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Shown = true, "/", out, out, true
	return m.Conn.Run(ctx, cmd)
}

// toolEnv lets commands find the programs of image and cluster, and a master's kubectl the cluster.
func toolEnv(m *execute.Member) environment.Set {
	env := environment.Set{
		"PATH": {m.Rootfs("bin") + ":" + m.Path("rootfs", "bin") + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	}
	if m.IsMaster() {
		env["KUBECONFIG"], env["KUBECACHEDIR"] = environment.Value{execute.AdminConfig}, environment.Value{m.Path(execute.KubectlCache)}
	}
	return env
}

// WarnMissed names the plugins whose moment is over on hosts that are in the cluster, and that never ran there.
func (p *RunPlugins) WarnMissed(ctx context.Context) error {
	for _, one := range plugin.Order(*p.Plugins, p.Action) {
		if one.Type == plugin.ClusterCheck || one.Type == plugin.Hostname {
			continue
		}
		missed := make([]bool, len(p.Members))
		err := p.Each(ctx, p.Targets(), func(ctx context.Context, m *execute.Member) error {
			if !m.Joined || !one.On.Selects(p.PluginHost(m)) || m == p.First() && p.Action != plugin.PreInit {
				return nil
			}
			due, done, err := p.dueAndDone(ctx, one, m)
			missed[m.Index] = err == nil && !due && !done
			return err
		})
		if err != nil {
			return err
		}
		var on []string
		for _, m := range p.Members {
			if missed[m.Index] {
				on = append(on, m.String())
			}
		}
		if len(on) > 0 {
			p.Report.Printf("warning: %s does not run on %s, where %s is over\n", one, strings.Join(on[:min(len(on), report.ManyHosts)], ", "), p.Action)
		}
	}
	return nil
}
