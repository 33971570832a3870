package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
)

// ConfigMap is a ConfigMap of the API (core/v1), with all that the API has of it.
type ConfigMap struct {
	Namespace, Name string
	Data            map[string]string

	object map[string]any
}

// ConfigMap reads a ConfigMap; nil when there is none.
func (k Kubectl) ConfigMap(ctx context.Context, namespace, name string) (*ConfigMap, error) {
	out, err := k(ctx, nil, "get", "configmap", name, "--namespace", namespace, "-o", "json", "--ignore-not-found")
	if err != nil || len(bytes.TrimSpace(out)) == 0 {
		return nil, err
	}
	c := ConfigMap{Namespace: namespace, Name: name}
	var found struct {
		Data map[string]string `json:"data"`
	}
	if err := json.Unmarshal(out, &found); err != nil {
		return nil, fmt.Errorf("reading the ConfigMap %s/%s: %w", namespace, name, err)
	}
	if err := json.Unmarshal(out, &c.object); err != nil {
		return nil, fmt.Errorf("reading the ConfigMap %s/%s: %w", namespace, name, err)
	}
	c.Data = found.Data
	return &c, nil
}

// ReplaceConfigMap writes one text of a ConfigMap that was read. If it was written or removed since then, the error is [ErrChanged].
func (k Kubectl) ReplaceConfigMap(ctx context.Context, c *ConfigMap, key, text string) error {
	data, _ := c.object["data"].(map[string]any)
	if data == nil {
		data = map[string]any{}
		c.object["data"] = data
	}
	data[key] = text
	manifest, err := json.Marshal(c.object)
	if err != nil {
		return err
	}
	_, err = k(ctx, manifest, "replace", "-f", "-")
	if changed(err) {
		return fmt.Errorf("the ConfigMap %s/%s: %w", c.Namespace, c.Name, ErrChanged)
	}
	return err
}
