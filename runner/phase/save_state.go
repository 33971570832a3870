package phase

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/state"
)

// saveState writes what the cluster is made of to every master and, for those who have only kubectl, to a Secret.
type saveState struct{ *Cluster }

func (*saveState) Title() string { return "Save the cluster's state" }

const stateSecret = "kubefile-state"

func (p *saveState) Run(ctx context.Context) error {
	if p.App == "" {
		p.state.Image, p.state.Digest = p.Artifact.Name, p.Artifact.Digest
		p.state.KubernetesVersion = p.Artifact.Description.KubernetesVersion
	} else {
		p.state.Apps = slices.DeleteFunc(p.state.Apps, func(a state.App) bool { return a.Dir == p.App })
		p.state.Apps = append(p.state.Apps, state.App{Dir: p.App, Image: p.Artifact.Name, Digest: p.Artifact.Digest})
		slices.SortFunc(p.state.Apps, func(a, b state.App) int { return cmp.Compare(a.Dir, b.Dir) })
	}
	hosts := p.others()
	for _, m := range p.members {
		hosts = append(hosts, state.Host{Address: m.host.Address, Name: m.name, Role: string(m.host.Role)})
	}
	slices.SortFunc(hosts, func(a, b state.Host) int { return cmp.Or(cmp.Compare(a.Role, b.Role), a.Address.Compare(b.Address)) })
	p.state.Hosts = hosts
	data, err := p.state.Encode()
	if err != nil {
		return err
	}
	changed := p.unsaved
	for _, m := range p.masters() {
		same, err := m.has(ctx, m.path(stateFile), digest.FromBytes(data))
		if err != nil {
			return err
		}
		changed = changed || !same
	}
	if !changed {
		return nil
	}
	return p.Do(ctx, p.first(), "save the state on the masters and in Secret kube-system/"+stateSecret, func(ctx context.Context) error {
		p.state.Revision++
		if data, err = p.state.Encode(); err != nil {
			return err
		}
		if err := p.secret(ctx, data); err != nil {
			return err
		}
		return p.write(ctx, data)
	})
}

// save notes the state on the masters after every command, so that an interrupted run knows what ran.
func (c *Cluster) save(ctx context.Context) error {
	c.unsaved = true
	c.state.Revision++
	data, err := c.state.Encode()
	if err != nil {
		return err
	}
	return c.write(ctx, data)
}

func (c *Cluster) write(ctx context.Context, data []byte) error {
	return c.each(ctx, c.masters(), func(ctx context.Context, m *member) error {
		_, err := m.WriteFile(ctx, m.path(stateFile), 0o600, data)
		return err
	})
}

func (p *saveState) secret(ctx context.Context, data []byte) error {
	manifest, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]string{"name": stateSecret, "namespace": "kube-system"},
		"data":     map[string][]byte{stateFile: bytes.TrimSpace(data)},
	})
	if err != nil {
		return err
	}
	_, err = p.kubectlInput(ctx, manifest, "apply", "-f", "-")
	return err
}
