package phase

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/plugin"
)

// labelNodes gives every node the labels and taints that the Clusterfile says it has, and a label for each of its roles.
type labelNodes struct{ *Cluster }

func (*labelNodes) Title() string { return "Label the nodes" }

func (p *labelNodes) Run(ctx context.Context) error {
	nodes := map[string]node{}
	if p.first().joined {
		var err error
		if nodes, err = p.nodesByName(ctx); err != nil {
			return err
		}
	}
	for _, m := range p.members {
		labels := p.labelChanges(m)
		n := nodes[m.name]
		var words []string
		for _, label := range labels {
			if !maps.Equal(n.withLabels([]plugin.LabelChange{label}), n.Metadata.Labels) {
				words = append(words, label.String())
			}
		}
		for _, taint := range m.site.Taints {
			if !slices.Equal(n.withTaints([]plugin.TaintChange{taint}), n.Spec.Taints) {
				words = append(words, taint.String())
			}
		}
		if len(words) == 0 {
			continue
		}
		err := p.Do(ctx, m, "mark the node with "+strings.Join(words, ", "), func(ctx context.Context) error {
			return p.changeNode(ctx, m, labels, m.site.Taints)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// labelChanges are the labels that are the site's to give.
func (p *labelNodes) labelChanges(m *member) []plugin.LabelChange {
	labels := p.labels(m)
	delete(labels, "kubernetes.io/hostname")
	delete(labels, controlPlaneLabel)
	var changes []plugin.LabelChange
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		changes = append(changes, plugin.LabelChange{Key: key, Value: labels[key]})
	}
	return changes
}
