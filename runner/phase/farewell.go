package phase

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/plugin"
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
func (p *siteFiles) farewell(ctx context.Context, m *member) error {
	if p.App != "" {
		return nil
	}
	content := farewell{Env: p.environment(m), Roles: m.site.Roles}
	for _, one := range p.plugins {
		if one.Runs(plugin.PreClean) || one.Runs(plugin.PostClean) {
			content.Plugins = append(content.Plugins, one)
		}
	}
	data, err := json.Marshal(content)
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if !m.isNew {
		same, err := m.same(ctx, file{path: m.path(farewellFile), mode: secretMode, content: data})
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
		_, err := m.WriteFile(ctx, m.path(farewellFile), secretMode, data)
		return err
	})
}

// readFarewell returns it; empty when the host was not brought that far.
func readFarewell(ctx context.Context, m *member) (farewell, error) {
	var noted farewell
	data, err := m.read(ctx, m.path(farewellFile))
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
	all := make([]farewell, len(p.members))
	failed := p.each(ctx, p.members, func(ctx context.Context, m *member) (err error) {
		all[m.index], err = readFarewell(ctx, m)
		return err
	})
	for i, m := range p.members {
		noted := all[i]
		m.site.Env = environment.Merge(m.site.Env, noted.Env)
		m.site.Roles = slices.Concat(m.site.Roles, noted.Roles)
		for _, one := range noted.Plugins {
			same := func(other plugin.Plugin) bool { return other.Key() == one.Key() }
			if !slices.ContainsFunc(p.plugins, same) {
				p.plugins = append(p.plugins, one)
			}
		}
	}
	p.plugins = append(p.plugins, p.Site.Plugins...)
	if p.SkipPlugins {
		p.plugins = nil
		return nil // nothing that is broken keeps the cluster from being removed
	}
	var err error
	p.kubeadm, err = p.configured(ctx) // a check of the cluster asks its DNS
	return errors.Join(failed, err)
}
