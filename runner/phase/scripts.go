package phase

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
)

// scripts runs the base image's hooks on every host: all checks first, then the installation.
type scripts struct{ *Cluster }

func (*scripts) Title() string { return "Prepare the hosts" }

const (
	preCheckScript = "scripts/pre-check.sh"
	initScript     = "scripts/init.sh"
	cleanScript    = "scripts/clean.sh"
	scriptsMarker  = "scripts.done"

	// Older images have these in place of init.sh and clean.sh, of the runtimes the one that they bring. Their init-registry.sh would start a
	// registry where the cluster's own listens.
	initKubeScript     = "scripts/init-kube.sh"
	initRegistryScript = "scripts/init-registry.sh"
)

// oldRuntimes are the container runtimes that older images have a script for: scripts/NAME.sh, and scripts/uninstall-NAME.sh.
var oldRuntimes = [...]string{"containerd", "docker"}

func (p *scripts) Run(ctx context.Context) error {
	if p.has(p.First(), initRegistryScript) && !p.has(p.First(), initScript) {
		p.Report.Printf("warning: %s of the image is left out: the cluster has a registry of its own\n", initRegistryScript)
	}
	stale := make([]bool, len(p.Members))
	err := p.Each(ctx, p.Targets(), func(ctx context.Context, m *execute.Member) error {
		done, err := m.Marked(ctx, scriptsMarker, p.key(m))
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
		return m.Mark(ctx, scriptsMarker, p.key(m))
	})
}

// installation are the scripts that make a host ready for kubeadm.
func (p *scripts) installation(m *execute.Member) []string {
	if p.has(m, initScript) {
		return []string{initScript}
	}
	for _, runtime := range oldRuntimes {
		if script := "scripts/" + runtime + ".sh"; p.has(m, script) {
			return []string{script, initKubeScript}
		}
	}
	return []string{initKubeScript}
}

// has reports whether the rootfs of a host has the file.
func (p *scripts) has(m *execute.Member, name string) bool {
	_, ofImage := p.files[name]
	_, ofSite := p.overlays[m][name]
	return ofImage || ofSite
}

// byItself runs the script $1 as its first line says, for files lose their mode on some ways, or by sh. What it writes others can read,
// whatever the umask of a hardened host is.
const byItself = `umask 022
read -r first < "$1" || :
case $first in "#!"*) exec ${first#??} "$1" ;; *) exec sh "$1" ;; esac`

// hooks runs those of the scripts that are there, in order.
func (p *scripts) hooks(ctx context.Context, m *execute.Member, scripts ...string) error {
	for _, script := range scripts {
		if !p.has(m, script) {
			continue
		}
		err := p.Do(ctx, m, "run "+script, func(ctx context.Context) error {
			return p.Exec(ctx, m, host.Command{Argv: []string{"sh", "-c", byItself, "sh", script}, Env: p.environment(m).Variables(), Limit: scriptLimit})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// key is a digest of everything that the scripts depend on.
func (c *Cluster) key(m *execute.Member) string {
	hash := sha256.New()
	fmt.Fprintln(hash, c.rootfsKey())
	// The keys of a map are sorted, so the same environment and the same files have the same bytes.
	if err := json.NewEncoder(hash).Encode([]any{c.environment(m), c.overlays[m]}); err != nil {
		panic(err) // strings and bytes can be encoded
	}
	return hex.EncodeToString(hash.Sum(nil))
}
