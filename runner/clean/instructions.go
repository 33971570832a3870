package clean

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/unit"
)

// InstructionsFile has the [Instructions], in the cluster's directory.
const InstructionsFile = "farewell.json"

// Instructions are what a removal has to know of a host: it happens without image and Clusterfile, perhaps years later. They are a secret:
// variables may be.
type Instructions struct {
	Env     environment.Set `json:"env"`
	Roles   []string        `json:"roles,omitempty"` // beyond master and node
	Plugins []plugin.Plugin `json:"plugins"`         // those that run when the host is cleaned
}

// WriteInstructions writes those of a host, if it does not have them. Of the plugins, only those are kept that run when the host is cleaned.
func WriteInstructions(ctx context.Context, s *execute.Session, m *execute.Member, env environment.Set, plugins []plugin.Plugin) error {
	content := Instructions{Env: env, Roles: m.Site.Roles, Plugins: forRemoval(plugins)}
	var names []string
	for _, one := range content.Plugins {
		names = append(names, fmt.Sprintf("%q", one.Name))
	}
	data, err := json.Marshal(content)
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if !m.IsNew {
		same, err := unit.File{Path: m.Path(InstructionsFile), Mode: unit.SecretMode, Content: data}.IsOn(ctx, m)
		if err != nil || same {
			return err
		}
	}
	what := "note the environment for the removal"
	if len(names) > 0 {
		what += ", and the plugins " + strings.Join(names, ", ")
	}
	return s.Do(ctx, m, what, func(ctx context.Context) error {
		_, err := m.WriteFile(ctx, m.Path(InstructionsFile), unit.SecretMode, data)
		return err
	})
}

// forRemoval keeps the plugins that a removal runs. It forgets where a Clusterfile has them: one in which a line moved, or that is in another
// directory, specifies the same plugins.
func forRemoval(all []plugin.Plugin) (kept []plugin.Plugin) {
	for _, one := range all {
		if !one.Runs(plugin.PreClean) && !one.Runs(plugin.PostClean) {
			continue
		}
		if !one.FromImage {
			one.Where = InstructionsFile
		}
		kept = append(kept, one)
	}
	return kept
}

// readInstructions returns them; empty when the host was not brought that far.
func readInstructions(ctx context.Context, m *execute.Member) (Instructions, error) {
	var noted Instructions
	data, err := m.Read(ctx, m.Path(InstructionsFile))
	if err == nil && len(data) > 0 {
		err = json.Unmarshal(data, &noted)
	}
	if err != nil {
		return noted, fmt.Errorf("%s: reading %s: %w", m, InstructionsFile, err)
	}
	return noted, nil
}

// LoadInstructions reads what the hosts know of their own removal. Plugins of a Clusterfile that is given now run, too.
type LoadInstructions struct {
	*execute.Session
	// Given are the plugins of the Clusterfile. Skip leaves out all plugins.
	Given []plugin.Plugin
	Skip  bool
	// Plugins get those of the hosts and of the Clusterfile, and Kubeadm what kubeadm was configured with.
	Plugins *[]plugin.Plugin
	Kubeadm *kubeadm.Documents
}

// Title says what the phase does, for a person.
func (*LoadInstructions) Title() string { return "Load the cleanup plugins" }

// Run adds variables and roles to what the site says of the hosts.
func (p *LoadInstructions) Run(ctx context.Context) error {
	all := make([]Instructions, len(p.Members))
	failed := p.Each(ctx, p.Members, func(ctx context.Context, m *execute.Member) (err error) {
		all[m.Index], err = readInstructions(ctx, m)
		return err
	})
	var plugins []plugin.Plugin
	for i, m := range p.Members {
		noted := all[i]
		m.Site.Env = environment.Merge(m.Site.Env, noted.Env)
		m.Site.Roles = slices.Concat(m.Site.Roles, noted.Roles)
		for _, one := range noted.Plugins {
			same := func(other plugin.Plugin) bool { return other.Key() == one.Key() }
			if !slices.ContainsFunc(plugins, same) {
				plugins = append(plugins, one)
			}
		}
	}
	if p.Skip {
		*p.Plugins = nil
		return nil // nothing that is broken keeps the cluster from being removed
	}
	*p.Plugins = append(plugins, p.Given...)
	var err error
	*p.Kubeadm, err = p.Configured(ctx) // a check of the cluster asks its DNS
	return errors.Join(failed, err)
}
