package discovery

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// localised returns a kustomization without what is not in the rootfs. Everything else stays as it is written, old fields too: those that
// replace them are applied at other times.
func (f *kustomizeFS) localised(one *kustomization) ([]byte, error) {
	root, resources := mapping(), &yaml.Node{Kind: yaml.SequenceNode}
	for i := 0; i+1 < len(one.root.Content); i += 2 {
		key, value := one.root.Content[i], one.root.Content[i+1]
		if slices.Contains(pathKeys, key.Value) && value.Kind == yaml.SequenceNode {
			value = f.present(one, value)
		} else if err := loads(key.Value, value); err != nil {
			f.refused = fmt.Errorf("%s: %w", one.file, err)
			return nil, f.refused
		}
		switch key.Value {
		case "helmCharts", "helmGlobals", "helmChartInflationGenerator", "apiVersion":
		case "resources":
			if list := resolve(value); list.Kind == yaml.SequenceNode || list.Tag == "!!null" {
				resources.Content = append(resources.Content, list.Content...)
				value = resources
			}
			root.Content = append(root.Content, key, value)
		case "patches":
			root.Content = append(root.Content, key, patches(value))
		default:
			root.Content = append(root.Content, key, value)
		}
	}
	for i, chart := range one.charts {
		f.made[within(one.dir, inflatedFile(i))] = chart.rendered
		resources.Content = append(resources.Content, text(inflatedFile(i)))
	}
	if len(one.charts)+len(one.absent) > 0 && !hasKey(root, "resources") {
		// Charts go into it. An empty list will do for a kustomization of which nothing is left, which kustomize takes for an error.
		root.Content = append(root.Content, text("resources"), resources)
	}
	return yaml.Marshal(root)
}

func hasKey(m *yaml.Node, key string) bool {
	return (&searcher{budget: maxSteps}).lookup(m, key) != nil
}

// present returns a list of files and directories without what is not in the rootfs.
func (f *kustomizeFS) present(one *kustomization, list *yaml.Node) *yaml.Node {
	kept := *list
	kept.Content = slices.DeleteFunc(slices.Clone(list.Content), func(entry *yaml.Node) bool {
		_, err := f.c.local(one.dir, entry.Value)
		return err != nil && entry.Kind == yaml.ScalarNode && !isInline(entry.Value)
	})
	return &kept
}

// isInline reports whether an entry in a list of files is the content of a file.
func isInline(entry string) bool {
	return strings.Contains(entry, "\n") || strings.HasPrefix(strings.TrimSpace(entry), "{")
}

// patches returns a list of patches without plain file names, which kubectl before 1.21 takes.
func patches(list *yaml.Node) *yaml.Node {
	changed := *list
	changed.Content = slices.Clone(list.Content)
	for i, entry := range list.Content {
		switch {
		case list.Kind != yaml.SequenceNode || entry.Kind != yaml.ScalarNode:
		case isInline(entry.Value):
			changed.Content[i] = mapping("patch", entry)
		default:
			changed.Content[i] = mapping("path", entry)
		}
	}
	return &changed
}

func text(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
}

// mapping returns a map of keys and nodes, given in turns.
func mapping(pairs ...any) *yaml.Node {
	m := &yaml.Node{Kind: yaml.MappingNode}
	for _, p := range pairs {
		n, ok := p.(*yaml.Node)
		if !ok {
			n = text(p.(string))
		}
		m.Content = append(m.Content, n)
	}
	return m
}

// loads refuses a field that makes kustomize load from the network.
func loads(key string, value *yaml.Node) (err error) {
	if key == "path" || key == "files" || key == "envs" || key == "env" {
		visitScalars(value, func(n *yaml.Node) {
			if strings.Contains(n.Value, "://") {
				err = fmt.Errorf("line %d: %s: %w", n.Line, n.Value, errNotInRootfs)
			}
		})
		return err
	}
	if value.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(value.Content) && err == nil; i += 2 {
			err = loads(value.Content[i].Value, value.Content[i+1])
		}
		return err
	}
	for _, child := range value.Content {
		err = cmp.Or(err, loads("", child))
	}
	return err
}
