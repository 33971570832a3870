package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"
)

// secretData reads the map of base64 values that is put into a Secret. Values are in no message.
func secretData(data string) (*yaml.Node, error) {
	values, err := onlyMap([]byte(data))
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(values.Content); i += 2 {
		key, value := values.Content[i], values.Content[i+1]
		if problems := validation.IsConfigMapKey(key.Value); len(problems) > 0 {
			return nil, fmt.Errorf("%q cannot be a key of a Secret: %s", key.Value, strings.Join(problems, ", "))
		}
		if value.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("%s: %s, where toSecret takes text in base64: write process: value|toJson|toBase64|toSecret", key.Value, kind(value))
		}
		if _, err := base64.StdEncoding.DecodeString(value.Value); err != nil || value.ShortTag() == "!!null" {
			return nil, fmt.Errorf("%s: not base64, which toSecret takes: write process: value|toBase64|toSecret", key.Value)
		}
		key.SetString(key.Value)
		value.SetString(value.Value)
	}
	return values, nil
}

// secret puts data into the manifest of a Secret, or makes one.
func (c Config) secret(old []byte, data string) ([]byte, error) {
	values, err := secretData(data)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	documents, err := c.parse(old)
	if err != nil {
		return nil, err
	}
	targets := filled(documents)
	if len(targets) == 0 {
		manifest := fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata:\n  name: %q\ntype: Opaque\n", c.Name)
		if documents, err = parse([]byte(manifest)); err != nil {
			return nil, err
		}
		documents[0].json = c.isJSON()
		targets = documents
	}
	d, err := c.findSecret(targets)
	if err != nil {
		return nil, err
	}
	// stringData wins over data where it has the same key.
	if stringData := get(d.value(), "stringData"); stringData != nil && stringData.Kind == yaml.MappingNode {
		for i := 0; i < len(values.Content); i += 2 {
			d.changed = remove(stringData, values.Content[i].Value) || d.changed
		}
	}
	over := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	key := new(yaml.Node)
	key.SetString("data")
	over.Content = []*yaml.Node{key, values}
	d.changed = mergeMaps(d.value(), over) || d.changed
	return join(documents)
}

// findSecret finds the only Secret, or of several the one with the Config's name.
func (c Config) findSecret(documents []*document) (*document, error) {
	var all, named []*document
	for _, d := range documents {
		if d.value().Kind == yaml.MappingNode && text(get(d.value(), "kind")) == "Secret" {
			all = append(all, d)
			if objectOf(d.value()).name == c.Name {
				named = append(named, d)
			}
		}
	}
	switch {
	case len(all) == 0:
		return nil, errors.New("toSecret puts data into a manifest of kind Secret, and there is none in it")
	case len(all) == 1:
		return all[0], nil
	case len(named) == 1:
		return named[0], nil
	}
	return nil, fmt.Errorf("%d Secrets in it: name the Config as the one that is meant: %s", len(all), list(all))
}

// remove deletes a key of a map.
func remove(n *yaml.Node, key string) bool {
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content = slices.Delete(n.Content, i, i+2)
			return true
		}
	}
	return false
}
