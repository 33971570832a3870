package clusterfile

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// Env is an environment: the values of each name. A repeated name has several values.
type Env map[string][]string

// UnmarshalYAML reads a map from names to values or lists of values, a list of NAME=VALUE, or one NAME=VALUE.
func (e *Env) UnmarshalYAML(node *yaml.Node) error {
	pairs, err := readEnv(node)
	if err != nil {
		return err
	}
	set := Env{}
	for _, p := range pairs {
		set[p.name] = append(set[p.name], p.value)
	}
	if node.Kind == yaml.MappingNode { // an empty list of values is not in the pairs
		for i := 0; i < len(node.Content); i += 2 {
			if name := node.Content[i].Value; set[name] == nil {
				set[name] = []string{}
			}
		}
	}
	*e = set
	return nil
}

// MarshalYAML writes a map.
func (e Env) MarshalYAML() (any, error) {
	written := map[string]any{}
	for name, value := range e {
		if written[name] = value; len(value) == 1 {
			written[name] = value[0]
		}
	}
	return written, nil
}

// pair is one variable with its position.
type pair struct {
	node        *yaml.Node
	name, value string
}

// envError is an error in an environment, with its position.
type envError struct {
	node *yaml.Node
	text string
}

func (e *envError) Error() string { return e.text }

// readEnv returns the variables up to the first invalid one.
func readEnv(node *yaml.Node) (pairs []pair, failed *envError) {
	items := []*yaml.Node{node}
	switch node.Kind {
	case yaml.MappingNode:
		return readEnvMap(node)
	case yaml.SequenceNode:
		items = node.Content
	}
	for _, item := range items {
		name, value, ok := strings.Cut(item.Value, "=")
		if !ok || item.Kind != yaml.ScalarNode {
			return pairs, &envError{item, "it is a map from names to values, or a list of NAME=VALUE"}
		}
		pairs = append(pairs, pair{item, name, value})
	}
	return pairs, nil
}

func readEnvMap(node *yaml.Node) (pairs []pair, failed *envError) {
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if strings.Contains(key.Value, "=") {
			return pairs, &envError{key, "a name has no =: write NAME: VALUE"}
		}
		items := []*yaml.Node{value}
		if value.Kind == yaml.SequenceNode {
			items = value.Content
		}
		for _, item := range items {
			if item.Kind != yaml.ScalarNode {
				return pairs, &envError{item, shown(key.Value) + " is a value or a list of values"}
			}
			pairs = append(pairs, pair{key, key.Value, textOf(item)})
		}
	}
	return pairs, nil
}

// textOf returns the text of a value; null has an empty text.
func textOf(node *yaml.Node) string {
	if isNull(node) {
		return ""
	}
	return node.Value
}
