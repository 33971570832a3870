package discovery

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// localised returns a kustomization without what is not in the rootfs, and in today's spelling: of older ones kustomize warns on standard
// error.
func (f *kustomizeFS) localised(one *kustomization) ([]byte, error) {
	lists := map[string][]*yaml.Node{}
	root := &yaml.Node{Kind: yaml.MappingNode}
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
		case "resources", "bases":
			lists["resources"] = append(lists["resources"], value.Content...)
		case "patchesStrategicMerge", "patches", "patchesJson6902":
			lists[key.Value] = patches(value.Content)
		case "commonLabels":
			lists["labels"] = append(lists["labels"], mapping("pairs", value, "includeSelectors", &yaml.Node{Kind: yaml.ScalarNode, Value: "true"}))
		case "labels":
			lists["labels"] = append(lists["labels"], value.Content...)
		default:
			root.Content = append(root.Content, key, value)
		}
	}
	for i, chart := range one.charts {
		f.made[within(one.dir, inflatedFile(i))] = chart.rendered
		lists["resources"] = append(lists["resources"], text(inflatedFile(i)))
	}
	// The order in which kustomize applies them.
	lists["patches"] = slices.Concat(lists["patchesStrategicMerge"], lists["patches"], lists["patchesJson6902"])
	for _, key := range []string{"resources", "patches", "labels"} {
		if len(lists[key]) > 0 {
			root.Content = append(root.Content, text(key), &yaml.Node{Kind: yaml.SequenceNode, Content: lists[key]})
		}
	}
	if len(lists["resources"]) == 0 { // or it could be empty, which kustomize takes for an error
		root.Content = append(root.Content, text("namePrefix"), text("a-"))
	}
	return yaml.Marshal(root)
}

// present returns a list of files and directories without what is not in the rootfs.
func (f *kustomizeFS) present(one *kustomization, list *yaml.Node) *yaml.Node {
	kept := *list
	kept.Content = slices.DeleteFunc(slices.Clone(list.Content), func(entry *yaml.Node) bool {
		_, err := f.c.local(one.dir, entry.Value)
		return err != nil && entry.Kind == yaml.ScalarNode && !strings.Contains(entry.Value, "\n")
	})
	return &kept
}

// patches returns entries of a list of patches as those of today: of a strategic merge patch the older one has nothing but the file, or the
// text.
func patches(entries []*yaml.Node) []*yaml.Node {
	var list []*yaml.Node
	for _, entry := range entries {
		switch {
		case entry.Kind != yaml.ScalarNode:
		case strings.Contains(entry.Value, "\n"):
			entry = mapping("patch", entry)
		default:
			entry = mapping("path", entry)
		}
		list = append(list, entry)
	}
	return list
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
