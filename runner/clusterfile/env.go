package clusterfile

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/runner/environment"
)

// Env is an environment as a Clusterfile has it.
type Env environment.Set

// UnmarshalYAML reads a map from names to values or lists of values, or a list of NAME=VALUE. What is checked is what [checker.env] let
// pass.
func (e *Env) UnmarshalYAML(node *yaml.Node) error {
	set, err := readEnv(node)
	*e = Env(set)
	return err
}

// MarshalYAML writes a map.
func (e Env) MarshalYAML() (any, error) {
	written := map[string]any{}
	for name, value := range e {
		if written[name] = []string(value); len(value) == 1 {
			written[name] = value[0]
		}
	}
	return written, nil
}

func (c *checker) env(node *yaml.Node, name string) {
	if c.nodes += len(node.Content); c.nodes > maxNodes {
		c.fail(node, "%s has more than %d values", name, maxNodes)
		return
	}
	if node.Kind == yaml.MappingNode {
		c.unique(node)
	}
	if _, err := readEnv(node); err != nil {
		c.fail(node, "%s: %w", name, err)
	}
}

func readEnv(node *yaml.Node) (environment.Set, error) {
	switch node.Kind {
	case yaml.SequenceNode:
		var pairs []string
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return nil, fmt.Errorf("line %d: write it as NAME=VALUE", item.Line)
			}
			pairs = append(pairs, item.Value)
		}
		return environment.Parse(pairs)
	case yaml.MappingNode:
		return readEnvMap(node)
	case yaml.ScalarNode:
		if node.Tag == "!!null" {
			return nil, nil
		}
	}
	return nil, fmt.Errorf("it is a map, or a list of NAME=VALUE")
}

func readEnvMap(node *yaml.Node) (environment.Set, error) {
	set := environment.Set{}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		for value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		items := []*yaml.Node{value}
		if value.Kind == yaml.SequenceNode {
			items = value.Content
		}
		list := environment.Value{}
		for _, item := range items {
			if item.Kind != yaml.ScalarNode || key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
				return nil, fmt.Errorf("line %d: %s is a value or a list of values", item.Line, key.Value)
			}
			text := item.Value
			if item.Tag == "!!null" {
				text = ""
			}
			if err := environment.Check(key.Value, text); err != nil {
				return nil, fmt.Errorf("line %d: %w", key.Line, err)
			}
			list = append(list, text)
		}
		set[key.Value] = list
	}
	return set, nil
}
