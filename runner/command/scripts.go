// Package command runs on hosts what images and sites bring: scripts, plugins and commands, each once, with the variables of the host.
package command

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/kubefile/kubefile/runner/adapt"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
)

// RunScripts runs the base image's hooks on every host: all checks first, then the installation.
type RunScripts struct {
	*execute.Session
	Image *adapt.Image
	// Environment is what the scripts see on a host.
	Environment func(*execute.Member) environment.Set
}

// Title says what the phase does, for a person.
func (*RunScripts) Title() string { return "Prepare the hosts" }

const (
	preCheckScript = "scripts/pre-check.sh"
	initScript     = "scripts/init.sh"
	// ScriptsMarker says for what the scripts of the image have run on a host.
	ScriptsMarker = "scripts.done"

	// Older images have these in place of init.sh, of the runtimes the one that they bring. Their init-registry.sh would start a
	// registry where the cluster's own listens.
	initKubeScript     = "scripts/init-kube.sh"
	initRegistryScript = "scripts/init-registry.sh"
)

// oldRuntimes are the container runtimes that older images have a script for, scripts/NAME.sh.
var oldRuntimes = [...]string{"containerd", "docker"}

// Run does it.
func (p *RunScripts) Run(ctx context.Context) error {
	if p.Image.Has(p.First(), initRegistryScript) && !p.Image.Has(p.First(), initScript) {
		p.Report.Printf("warning: %s of the image is left out: the cluster has a registry of its own\n", initRegistryScript)
	}
	stale := make([]bool, len(p.Members))
	err := p.Each(ctx, p.Targets(), func(ctx context.Context, m *execute.Member) error {
		done, err := m.Marked(ctx, ScriptsMarker, p.key(m))
		stale[m.Index] = !done
		return err
	})
	if err != nil {
		return err
	}
	members := slices.DeleteFunc(slices.Clone(p.Targets()), func(m *execute.Member) bool { return !stale[m.Index] })
	err = p.Each(ctx, members, func(ctx context.Context, m *execute.Member) error { return p.hooks(ctx, m, preCheckScript) })
	if err != nil {
		return err
	}
	return p.Each(ctx, members, func(ctx context.Context, m *execute.Member) error {
		if err := p.hooks(ctx, m, p.installation(m)...); err != nil || p.DryRun {
			return err
		}
		return m.Mark(ctx, ScriptsMarker, p.key(m))
	})
}

// installation are the scripts that make a host ready for kubeadm.
func (p *RunScripts) installation(m *execute.Member) []string {
	if p.Image.Has(m, initScript) {
		return []string{initScript}
	}
	for _, runtime := range oldRuntimes {
		if script := "scripts/" + runtime + ".sh"; p.Image.Has(m, script) {
			return []string{script, initKubeScript}
		}
	}
	return []string{initKubeScript}
}

// hooks runs those of the scripts that are there, in order.
func (p *RunScripts) hooks(ctx context.Context, m *execute.Member, scripts ...string) error {
	for _, script := range scripts {
		if !p.Image.Has(m, script) {
			continue
		}
		err := p.Do(ctx, m, "run "+script, func(ctx context.Context) error {
			return p.Exec(ctx, m, host.Command{Argv: []string{"sh", "-c", execute.RunScript, "sh", script}, Env: p.Environment(m).Variables(), Limit: execute.ScriptLimit})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// key is a digest of everything that the scripts depend on.
func (p *RunScripts) key(m *execute.Member) string {
	hash := sha256.New()
	fmt.Fprintln(hash, p.Image.Rootfs)
	// The keys of a map are sorted, so the same environment and the same files have the same bytes.
	if err := json.NewEncoder(hash).Encode([]any{p.Environment(m), p.Image.Overlays[m]}); err != nil {
		panic(err) // strings and bytes can be encoded
	}
	return hex.EncodeToString(hash.Sum(nil))
}
