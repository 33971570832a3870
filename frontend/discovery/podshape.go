package discovery

import (
	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/imagespec"
)

// rulePodSpec finds images by the shape of a pod: a map with lists of containers, whatever the kind around it, so that custom
// resources with a pod inside are found as well (Kubernetes API, core/v1 PodSpec). Image volumes: KEP-4639.
const rulePodSpec = "pod-spec"

// podShapes visits every map below root once and reports the images of the containers in it.
func podShapes(root *yaml.Node, where func(*yaml.Node) imagespec.Finding, report func(string, imagespec.Finding)) error {
	p := podSearch{where: where, report: report, budget: maxNodes}
	return p.visit(root)
}

type podSearch struct {
	where  func(*yaml.Node) imagespec.Finding
	report func(string, imagespec.Finding)
	budget int
}

// visit does not follow aliases: what they stand for is visited where its anchor is.
func (p *podSearch) visit(n *yaml.Node) error {
	if p.budget--; p.budget < 0 {
		return errBudget
	}
	if n.Kind == yaml.MappingNode {
		if err := p.pod(n); err != nil {
			return err
		}
	}
	for _, child := range n.Content {
		if err := p.visit(child); err != nil {
			return err
		}
	}
	return nil
}

func (p *podSearch) pod(n *yaml.Node) error {
	for _, key := range []string{"containers", "initContainers", "ephemeralContainers"} {
		if err := p.items(n, key, func(container *yaml.Node) { p.scalar(p.lookup(container, "image")) }); err != nil {
			return err
		}
	}
	return p.items(n, "volumes", func(volume *yaml.Node) {
		if image := p.lookup(volume, "image"); image != nil {
			p.scalar(p.lookup(image, "reference"))
		}
	})
}

// items calls each for the maps in the list that n has under key.
func (p *podSearch) items(n *yaml.Node, key string, each func(*yaml.Node)) error {
	list := p.lookup(n, key)
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	for _, item := range list.Content {
		if p.budget--; p.budget < 0 {
			return errBudget
		}
		if item = resolve(item); item.Kind == yaml.MappingNode {
			each(item)
		}
	}
	return nil
}

func (p *podSearch) scalar(n *yaml.Node) {
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return
	}
	f := p.where(n)
	f.Rule, f.Class = rulePodSpec, imagespec.ClassCertain
	p.report(n.Value, f)
}

// lookup returns the value of a key, its own or merged in by "<<" (YAML 1.1 merge keys), with aliases resolved; nil if there is none.
func (p *podSearch) lookup(n *yaml.Node, key string) *yaml.Node {
	n = resolve(n)
	if p.budget--; p.budget < 0 || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return resolve(n.Content[i+1])
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			continue
		}
		merged := resolve(n.Content[i+1])
		parents := []*yaml.Node{merged}
		if merged.Kind == yaml.SequenceNode {
			parents = merged.Content
		}
		for _, parent := range parents {
			if value := p.lookup(parent, key); value != nil {
				return value
			}
		}
	}
	return nil
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}
