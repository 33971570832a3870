package command

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/adapt"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/config"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/store"
)

// RunCommands runs the image's commands on the first master, in order. Each runs once for an image and for what the site gives it.
type RunCommands struct {
	*execute.Session
	Stage    Stage
	Artifact *source.Artifact
	Site     *clusterfile.Clusterfile
	Store    *store.Store // notes which have run
	// Variables returns what the environment on hosts is made of.
	Variables func() adapt.Variables
	// Limit is how long each command may run; default [DefaultLimit].
	Limit time.Duration
}

// Stage divides the commands.
type Stage string

const (
	// Network has the commands that make the nodes ready.
	Network Stage = "network"
	// Guests has those that need ready nodes.
	Guests Stage = "guests"
)

// Title says what the phase does, for a person.
func (p *RunCommands) Title() string {
	if p.Stage == Network {
		return "Start the network"
	}
	return "Run the image's commands"
}

// Run does it.
func (p *RunCommands) Run(ctx context.Context) error {
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
		if IsNetwork(p.apps(), command.App) != (p.Stage == Network) {
			continue
		}
		key := state.CommandKey(p.Artifact.Digest, n, command) + site(command)
		if p.Store.State.Ran(key) {
			continue
		}
		err := p.Do(ctx, m, "run "+command.String(), func(ctx context.Context) error {
			if err := p.command(ctx, m, command); err != nil {
				return err
			}
			p.Store.State.Record(key)
			return p.Store.Save(ctx, p.Session)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// IsNetwork reports whether an application of an image is its network plugin.
func IsNetwork(apps []imagespec.App, name string) bool {
	return name != "" && role(apps, name) == imagespec.RoleCNI
}

func role(apps []imagespec.App, name string) string {
	for _, a := range apps {
		if a.Name == name {
			return a.Role
		}
	}
	return ""
}

func (p *RunCommands) apps() []imagespec.App { return p.Artifact.Description.Apps }

// chosen are the image's commands as the site wants them. The site's commands replace those of CMD; of the applications those run
// that it names, with network and storage in any case; and an application is started as it says.
func (p *RunCommands) chosen() []imagespec.Command {
	site := p.Site.Cluster
	var chosen []imagespec.Command
	replaced := map[string]bool{}
	for _, command := range p.Artifact.Description.Commands {
		app := command.App
		switch own := site.Apps[app].Cmds; {
		case app == "" && site.Cmd != nil:
			// replaced by what follows the loop
		case app != "" && site.AppNames != nil && role(p.apps(), app) == "" && !slices.Contains(site.AppNames, app):
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
func (p *RunCommands) arguments(command imagespec.Command) environment.Set {
	return environment.Merge(p.Site.Cluster.Apps[command.App].Env, p.Site.Cluster.CmdArgs)
}

// siteKey returns a key for all that the site gives a command in addition to the image: its arguments, the environment of the cluster, and
// the Configs for the image. It does not depend on which master is the first.
func (p *RunCommands) siteKey() (func(imagespec.Command) string, error) {
	configs := slices.DeleteFunc(adapt.Configs(p.Site, p.Artifact.Description), func(c config.Config) bool { return c.File() == adapt.KubeadmFile })
	for i := range configs {
		configs[i].Where = "" // a Config is the same when its line moved
	}
	given, err := json.Marshal([]any{configs, p.Variables().Everywhere()})
	return func(command imagespec.Command) string {
		arguments, err := json.Marshal(p.arguments(command))
		if err != nil {
			panic(err) // strings can be encoded
		}
		return "-" + digest.FromBytes(slices.Concat(given, arguments)).Encoded()[:16]
	}, err
}

func (p *RunCommands) command(ctx context.Context, m *execute.Member, command imagespec.Command) error {
	env := environment.Merge(p.Variables().On(m), toolEnv(m), p.arguments(command).Exported())
	argv := command.Exec
	if command.Shell != "" {
		argv = []string{"sh", "-c", string(env.Substitute([]byte(command.Shell)))} // its author wrote it for a shell
	}
	return p.Exec(ctx, m, host.Command{
		Argv: argv, Env: env.Variables(), Dir: path.Join(m.Rootfs(), p.Artifact.Description.WorkingDir), Limit: cmp.Or(p.Limit, DefaultLimit),
	})
}
