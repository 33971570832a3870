package phase

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/config"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/state"
)

// commands runs the image's commands on the first master, in order. Each runs once for an image and for what the site gives it.
type commands struct {
	*Cluster
	stage stage
}

// stage divides the commands: first those that make the nodes ready, then those that need ready nodes.
type stage string

const (
	network stage = "network"
	guests  stage = "guests"
)

func (p *commands) Title() string {
	if p.stage == network {
		return "Start the network"
	}
	return "Run the image's commands"
}

func (p *commands) Run(ctx context.Context) error {
	m := p.First()
	site, err := p.siteKey()
	if err != nil {
		return err
	}
	equal := map[string]int{}
	for _, command := range p.chosen() {
		text := fmt.Sprintf("%q %q", command.Shell, command.Exec)
		n := equal[text]
		equal[text]++
		if p.network(command.App) != (p.stage == network) {
			continue
		}
		key := state.CommandKey(p.Artifact.Digest, n, command) + site(command)
		if p.State.Ran(key) {
			continue
		}
		err := p.Do(ctx, m, "run "+command.String(), func(ctx context.Context) error {
			if err := p.command(ctx, m, command); err != nil {
				return err
			}
			p.State.Record(key)
			return p.Save(ctx, &p.Session)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// network reports whether an application of the image is its network plugin.
func (c *Cluster) network(app string) bool {
	return app != "" && c.role(app) == imagespec.RoleCNI
}

func (c *Cluster) role(app string) string {
	for _, a := range c.Artifact.Description.Apps {
		if a.Name == app {
			return a.Role
		}
	}
	return ""
}

// chosen are the image's commands as the site wants them. The site's commands replace those of CMD; of the applications those run
// that it names, with network and storage in any case; and an application is started as it says.
func (p *commands) chosen() []imagespec.Command {
	site := p.Site.Cluster
	var chosen []imagespec.Command
	replaced := map[string]bool{}
	for _, command := range p.Artifact.Description.Commands {
		app := command.App
		switch own := site.Apps[app].Cmds; {
		case app == "" && site.Cmd != nil:
			// replaced by what follows the loop
		case app != "" && site.AppNames != nil && p.role(app) == "" && !slices.Contains(site.AppNames, app):
			// not wanted
		case app != "" && own != nil:
			if !replaced[app] {
				chosen = append(chosen, shells(app, own)...)
			}
			replaced[app] = true
		default:
			chosen = append(chosen, command)
		}
	}
	return append(chosen, shells("", site.Cmd)...)
}

// shells are commands for a shell.
func shells(app string, lines []string) []imagespec.Command {
	var commands []imagespec.Command
	for _, line := range lines {
		commands = append(commands, imagespec.Command{Shell: line, App: app})
	}
	return commands
}

// arguments are what the site says to this command only.
func (p *commands) arguments(command imagespec.Command) environment.Set {
	return environment.Merge(p.Site.Cluster.Apps[command.App].Env, p.Site.Cluster.CmdArgs)
}

// siteKey returns a key for all that the site gives a command in addition to the image: its arguments, the environment of the cluster, and
// the Configs for the image. It does not depend on which master is the first.
func (p *commands) siteKey() (func(imagespec.Command) string, error) {
	configs := slices.DeleteFunc(p.configs(), func(c config.Config) bool { return c.File() == kubeadmFile })
	for i := range configs {
		configs[i].Where = "" // a Config is the same when its line moved
	}
	given, err := json.Marshal([]any{configs, p.clusterEnvironment()})
	return func(command imagespec.Command) string {
		arguments, err := json.Marshal(p.arguments(command))
		if err != nil {
			panic(err) // strings can be encoded
		}
		return "-" + digest.FromBytes(slices.Concat(given, arguments)).Encoded()[:16]
	}, err
}

func (p *commands) command(ctx context.Context, m *execute.Member, command imagespec.Command) error {
	env := environment.Merge(p.environment(m), p.toolEnv(m), p.arguments(command).Exported())
	argv := command.Exec
	if command.Shell != "" {
		argv = []string{"sh", "-c", string(env.Substitute([]byte(command.Shell)))} // its author wrote it for a shell
	}
	return p.Exec(ctx, m, host.Command{
		Argv: argv, Env: env.Variables(), Dir: path.Join(m.Rootfs(), p.Artifact.Description.WorkingDir), Limit: p.commandLimit(),
	})
}
