// Package deliver brings an image to its hosts: the agent, the layers that they do not have, and the files of the rootfs that are the site's; and
// takes away what no image needs any longer.
package deliver

import (
	"context"
	"errors"
	"os"

	"github.com/kubefile/kubefile/runner/agent/client"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/store"
)

// InstallAgent copies the image's own runner to every host.
type InstallAgent struct {
	*execute.Session
	Artifact *source.Artifact
	Store    *store.Store // gets the hosts
}

// Title says what the phase does, for a person.
func (*InstallAgent) Title() string { return "Install the agent" }

// Run does it.
func (p *InstallAgent) Run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "sealer-run-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file, sum, size, err := p.Artifact.Runner(ctx, dir)
	if err != nil {
		return err
	}
	install := func(ctx context.Context, m *execute.Member) error {
		there, err := m.Has(ctx, wire.Path, sum)
		if err != nil || (there && !m.IsNew) {
			return errors.Join(err, p.ClaimHost(ctx, m, p.Store.State.ID))
		}
		m.NewAgent = true
		return p.Do(ctx, m, "copy the runner to "+wire.Path, func(ctx context.Context) error {
			if _, err := m.Ensure(ctx, client.Binary{File: file, Digest: sum, Size: size}); err != nil {
				return err
			}
			return p.ClaimHost(ctx, m, p.Store.State.ID)
		})
	}
	// The masters know of every host before there is anything on it.
	if err := p.Each(ctx, p.Targeted(p.Masters()), install); err != nil {
		return err
	}
	if err := p.Store.Enroll(ctx, p.Session); err != nil {
		return err
	}
	return p.Each(ctx, p.Targeted(p.Nodes()), install)
}
