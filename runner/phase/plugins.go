package phase

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/plugin"
)

// plugins runs the plugins of one action, one after the other, each on all of its hosts at once and on every host once. A host on which
// the moment of the action is over, because it was installed before the plugin was written, is left out.
type plugins struct {
	*Cluster
	action plugin.Action
}

func (p *plugins) Title() string { return fmt.Sprintf("Run the plugins of %s", p.action) }

func (p *plugins) Run(ctx context.Context) error {
	for _, one := range plugin.Order(p.Cluster.plugins, p.action) {
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
func (p *plugins) wayOut() string {
	if !p.cleaning() {
		return ""
	}
	return "\n(delete --skip-plugins removes the cluster without its plugins)"
}

// selected are the hosts on which a plugin runs now.
func (p *plugins) selected(ctx context.Context, one plugin.Plugin) ([]*execute.Member, error) {
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
func (p *plugins) dueAndDone(ctx context.Context, one plugin.Plugin, m *execute.Member) (due, done bool, err error) {
	image := m.OfImage()
	marker, err := image.Read(ctx, image.Path(p.marker(one)))
	if err != nil {
		return false, false, err
	}
	says := strings.TrimSpace(string(marker))
	if m.Again && p.action == plugin.PostJoin && p.DryRun { // a run has written that
		says = joinsAgain
	}
	due, err = p.due(ctx, one, m, says)
	return due, says == p.doneFor(one), err
}

// due reports whether a plugin concerns a host, and the moment of the action is not over for it. says is what the host's marker of it says.
func (p *plugins) due(ctx context.Context, one plugin.Plugin, m *execute.Member, says string) (bool, error) {
	if p.cleaning() && (m.IsNew || p.dirty[m]) {
		return false, nil // one that was interrupted has cleaned it before, or this one could not
	}
	if one.Type == plugin.ClusterCheck {
		return m.IsMaster() && m == p.First(), nil // it is about the cluster, once
	}
	switch p.action {
	case plugin.PreInit:
		prepared, err := m.Read(ctx, m.Path(scriptsMarker))
		return len(prepared) == 0 && !m.Joined, err
	case plugin.PreJoin:
		return !m.Joined && m != p.First(), nil
	case plugin.PostJoin:
		// The master that was made by kubeadm init does not join; but its node is new, and a plugin for nodes says itself which it means.
		joins := m != p.First() || m.Marker == execute.JoinMarker
		return (!p.known(m.Host.Address) || says == joinsAgain) && (joins || one.Type != plugin.Shell), nil
	}
	return true, nil
}

// cleaning says that the hosts are being taken out of the cluster.
func (p *plugins) cleaning() bool { return p.action == plugin.PreClean || p.action == plugin.PostClean }

// matching are the members that a plugin selects.
func (p *plugins) matching(ctx context.Context, one plugin.Plugin) ([]*execute.Member, error) {
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
		h := p.pluginHost(m)
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
func (p *plugins) nodeLabels(ctx context.Context, on plugin.On) (map[string]map[string]string, error) {
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

// marker says that a plugin has run on a host.
func (p *plugins) marker(one plugin.Plugin) string {
	return "plugin-" + string(p.action) + "-" + one.Key() + ".done"
}

// doneFor is what the marker says: for a check of the cluster, of which hosts it was.
func (p *plugins) doneFor(one plugin.Plugin) string {
	if one.Type != plugin.ClusterCheck {
		return execute.Finished
	}
	var names []string
	for _, address := range p.addresses() {
		names = append(names, address.String())
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// plugin runs one plugin on its hosts.
func (p *plugins) plugin(ctx context.Context, one plugin.Plugin, members []*execute.Member) error {
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
			return m.OfImage().Mark(ctx, p.marker(one), p.doneFor(one))
		})
	})
}

// work returns what a plugin does on a host, in words and in deeds; no words for nothing.
func (p *plugins) work(one plugin.Plugin) (func(*execute.Member) (string, func(context.Context) error), error) {
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
			return "wait until nodes, system pods and DNS are ready", func(ctx context.Context) error { return p.works(ctx, timeout, true) }
		}, err
	}
	return nil, fmt.Errorf("type %s", one.Type)
}

const hostnamePath = "/etc/hostname"

// hostname names a host, now and after every boot.
func (p *plugins) hostname(ctx context.Context, m *execute.Member, name string) error {
	if _, err := m.WriteFile(ctx, hostnamePath, 0o644, []byte(name+"\n")); err != nil {
		return err
	}
	_, err := m.Ask(ctx, "hostname", name)
	return err
}

// shellScript runs the script on its standard input, in bash where there is one or in what its first line says. It is in a file
// meanwhile, because what a script reads must not be its own text, and no process list shows it. That file is not executed itself, since
// hardened hosts forbid that in /tmp.
const shellScript = `umask 077
script=$(mktemp) && trap 'rm -f "$script"' EXIT && cat > "$script" || exit 1
umask 022
read -r first < "$script" || :
if [ "$(head -c 2 "$script")" = '#!' ]; then set -f; ${first#??} "$script" < /dev/null
elif command -v bash > /dev/null; then bash "$script" < /dev/null
else sh "$script" < /dev/null; fi`

// shell runs a plugin's script in the rootfs, with what it prints for everybody to see.
func (p *plugins) shell(ctx context.Context, m *execute.Member, script string) error {
	env := environment.Merge(p.environment(m), p.toolEnv(m))
	cmd := host.Command{
		Argv: []string{"sh", "-c", shellScript}, Env: env.Variables(),
		Stdin: bytes.NewReader(env.Substitute([]byte(script))), Limit: p.commandLimit(),
	}
	if p.action != plugin.PostClean {
		return p.ExecTo(ctx, m, cmd, p.Report.ShownOutput(m.String()))
	}
	out := p.Report.ShownOutput(m.String()) // the directory of the cluster is gone, and its lock with it
	defer out.Close()
	cmd.Root, cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Shown = true, "/", out, out, true
	return m.Conn.Run(ctx, cmd)
}

// toolEnv lets commands find the programs of image and cluster, and a master's kubectl the cluster.
func (c *Cluster) toolEnv(m *execute.Member) environment.Set {
	env := environment.Set{
		"PATH": {m.Rootfs("bin") + ":" + m.Path("rootfs", "bin") + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	}
	if m.IsMaster() {
		env["KUBECONFIG"], env["KUBECACHEDIR"] = environment.Value{execute.AdminConfig}, environment.Value{m.Path(execute.KubectlCache)}
	}
	return env
}
