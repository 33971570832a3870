package join

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/plugin"
)

// LabelNodes gives every node the labels and taints that the Clusterfile says it has, and a label for each of its roles.
type LabelNodes struct{ *execute.Session }

// Title says what the phase does, for a person.
func (*LabelNodes) Title() string { return "Label the nodes" }

// Run marks the nodes of all hosts that the run prepares.
func (p *LabelNodes) Run(ctx context.Context) error {
	nodes := map[string]kube.Node{}
	if p.First().Joined {
		var err error
		if nodes, err = p.Kube().Nodes(ctx); err != nil {
			return err
		}
	}
	return p.Each(ctx, p.Targets(), func(ctx context.Context, m *execute.Member) error {
		var known *kube.Node
		n, there := nodes[m.Name]
		switch {
		case p.DryRun && !m.Joined: // it becomes a new node
			n = kube.Node{}
		case there:
			known = &n
		}
		return p.mark(ctx, m, n, known)
	})
}

// mark gives one node what it lacks. known is nil when the list does not have the node, which may have come since.
func (p *LabelNodes) mark(ctx context.Context, m *execute.Member, n kube.Node, known *kube.Node) error {
	labels := m.LabelChanges()
	var words []string
	for _, label := range labels {
		if !maps.Equal(n.WithLabels([]plugin.LabelChange{label}), n.Metadata.Labels) {
			words = append(words, label.String())
		}
	}
	for _, taint := range m.Site.Taints {
		if !slices.Equal(n.WithTaints([]plugin.TaintChange{taint}), n.Spec.Taints) {
			words = append(words, taint.String())
		}
	}
	if len(words) == 0 {
		return nil
	}
	return p.Do(ctx, m, "mark the node with "+strings.Join(words, ", "), func(ctx context.Context) error {
		return p.Kube().ChangeNode(ctx, m.Name, known, labels, m.Site.Taints)
	})
}
