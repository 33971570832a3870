package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Secret is a Secret of the API (core/v1). An empty version means that there is none yet.
type Secret struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   SecretMetadata    `json:"metadata"`
	Data       map[string][]byte `json:"data"`
}

// SecretMetadata is what identifies a Secret, and its version.
type SecretMetadata struct {
	Name            string `json:"name"`
	Namespace       string `json:"namespace"`
	ResourceVersion string `json:"resourceVersion,omitempty"`
}

// Secret reads a Secret. Of one that is not there only the names are set.
func (k Kubectl) Secret(ctx context.Context, namespace, name string) (Secret, error) {
	s := Secret{APIVersion: "v1", Kind: "Secret", Metadata: SecretMetadata{Name: name, Namespace: namespace}}
	out, err := k(ctx, nil, "get", "secret", name, "--namespace", namespace, "-o", "json", "--ignore-not-found", "--request-timeout=10s")
	if err != nil || len(bytes.TrimSpace(out)) == 0 {
		return s, err
	}
	var found Secret
	if err := json.Unmarshal(out, &found); err != nil {
		return s, fmt.Errorf("reading the Secret %s/%s: %w", namespace, name, err)
	}
	s.Metadata.ResourceVersion, s.Data = found.Metadata.ResourceVersion, found.Data
	return s, nil
}

// WriteSecret replaces the version of a Secret that was read, or makes the one that was missing, and returns the new version. If it was written
// or removed since it was read, the error is [ErrChanged].
func (k Kubectl) WriteSecret(ctx context.Context, s Secret) (version string, err error) {
	manifest, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	verb := "replace"
	if s.Metadata.ResourceVersion == "" {
		verb = "create"
	}
	out, err := k(ctx, manifest, verb, "-f", "-", "-o", "jsonpath={.metadata.resourceVersion}")
	if changed(err) {
		return "", ErrChanged
	}
	return strings.TrimSpace(string(out)), err
}
