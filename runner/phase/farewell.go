package phase

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/unit"
)

// farewellFile is what a removal has to know of the host, when image and Clusterfile are gone.
const farewellFile = "farewell.json"

// farewell is the content of farewellFile. It is a secret: variables may be.
type farewell struct {
	Env     environment.Set `json:"env"`
	Roles   []string        `json:"roles,omitempty"` // beyond master and node
	Plugins []plugin.Plugin `json:"plugins"`         // those that run when the host is cleaned
}

// farewell writes what a removal has to know: it happens without the image, perhaps years later.
func (p *Cluster) farewell(ctx context.Context, m *execute.Member) error {
	if p.App != "" {
		return nil
	}
	content := farewell{Env: p.environment(m), Roles: m.Site.Roles}
	for _, one := range p.image.Plugins {
		if one.Runs(plugin.PreClean) || one.Runs(plugin.PostClean) {
			content.Plugins = append(content.Plugins, one)
		}
	}
	data, err := json.Marshal(content)
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if !m.IsNew {
		same, err := unit.File{Path: m.Path(farewellFile), Mode: unit.SecretMode, Content: data}.IsOn(ctx, m)
		if err != nil || same {
			return err
		}
	}
	var names []string
	for _, one := range content.Plugins {
		names = append(names, fmt.Sprintf("%q", one.Name))
	}
	what := "note the environment for the removal"
	if len(names) > 0 {
		what += ", and the plugins " + strings.Join(names, ", ")
	}
	return p.Do(ctx, m, what, func(ctx context.Context) error {
		_, err := m.WriteFile(ctx, m.Path(farewellFile), unit.SecretMode, data)
		return err
	})
}

// readFarewell returns it; empty when the host was not brought that far.
func readFarewell(ctx context.Context, m *execute.Member) (farewell, error) {
	var noted farewell
	data, err := m.Read(ctx, m.Path(farewellFile))
	if err == nil && len(data) > 0 {
		err = json.Unmarshal(data, &noted)
	}
	if err != nil {
		return noted, fmt.Errorf("%s: reading %s: %w", m, farewellFile, err)
	}
	return noted, nil
}

// recallFarewell reads what the hosts know of their own removal. Plugins of a Clusterfile that is given now run, too.
type recallFarewell struct{ *Cluster }

func (*recallFarewell) Title() string { return "Load the cleanup plugins" }

func (p *recallFarewell) Run(ctx context.Context) error {
	all := make([]farewell, len(p.Members))
	failed := p.Each(ctx, p.Members, func(ctx context.Context, m *execute.Member) (err error) {
		all[m.Index], err = readFarewell(ctx, m)
		return err
	})
	for i, m := range p.Members {
		noted := all[i]
		m.Site.Env = environment.Merge(m.Site.Env, noted.Env)
		m.Site.Roles = slices.Concat(m.Site.Roles, noted.Roles)
		for _, one := range noted.Plugins {
			same := func(other plugin.Plugin) bool { return other.Key() == one.Key() }
			if !slices.ContainsFunc(p.image.Plugins, same) {
				p.image.Plugins = append(p.image.Plugins, one)
			}
		}
	}
	p.image.Plugins = append(p.image.Plugins, p.Site.Plugins...)
	if p.SkipPlugins {
		p.image.Plugins = nil
		return nil // nothing that is broken keeps the cluster from being removed
	}
	var err error
	p.kubeadm, err = p.configured(ctx) // a check of the cluster asks its DNS
	return errors.Join(failed, err)
}
