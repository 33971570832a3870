package phase

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

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
)

func (p *scripts) Run(ctx context.Context) error {
	for _, script := range []string{preCheckScript, initScript} {
		err := p.each(ctx, p.members, func(ctx context.Context, m *member) error { return p.script(ctx, m, script) })
		if err != nil {
			return err
		}
	}
	return nil
}

// ifThere runs the script $1 if the image has it.
const ifThere = `[ ! -e "$1" ] || exec sh "$1"`

// script runs one hook on one host, if it is there and has not run for the same rootfs and environment.
func (p *scripts) script(ctx context.Context, m *member, script string) error {
	key := p.key(m)
	done, err := m.marked(ctx, scriptsMarker, key)
	if err != nil || done {
		return err
	}
	return p.Do(ctx, m, "run "+script, func(ctx context.Context) error {
		if err := p.run(ctx, m, host.Command{Argv: []string{"sh", "-c", ifThere, "sh", script}}); err != nil || script != initScript {
			return err
		}
		return m.mark(ctx, scriptsMarker, key)
	})
}

// key stands for everything that the scripts depend on.
func (c *Cluster) key(m *member) string {
	hash := sha256.New()
	fmt.Fprintln(hash, c.rootfsKey())
	// The keys of a map are sorted, so the same environment and the same files have the same bytes.
	if err := json.NewEncoder(hash).Encode([]any{c.environment(m), m.overlay}); err != nil {
		panic(err) // strings and bytes can be encoded
	}
	return hex.EncodeToString(hash.Sum(nil))
}
