package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"sigs.k8s.io/yaml"
)

// podSpec is what of a pod comes from a manifest of kubeadm's, and what the API does not add to.
type podSpec struct {
	Spec struct {
		Containers []struct {
			Image        string     `json:"image"`
			Command      []string   `json:"command"`
			Args         []string   `json:"args"`
			Env          []variable `json:"env"`
			VolumeMounts []mount    `json:"volumeMounts"`
		} `json:"containers"`
		Volumes []volume `json:"volumes"`
	} `json:"spec"`
}

type variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type mount struct {
	Name      string `json:"name"`
	MountPath string `json:"mountPath"`
	ReadOnly  bool   `json:"readOnly"`
}

type volume struct {
	Name     string `json:"name"`
	HostPath struct {
		Path string `json:"path"`
	} `json:"hostPath"`
}

// RunsManifest reports whether the static pod of a node runs as its manifest says, and is ready. The kubelet makes the API's copy of the pod again
// when the manifest changes. why is what is not so yet.
func (k Kubectl) RunsManifest(ctx context.Context, component, node string, manifest []byte) (runs bool, why string, err error) {
	name := component + "-" + node
	out, err := k(ctx, nil, "get", "pod", name, "--namespace", "kube-system", "-o", "json", "--ignore-not-found")
	if err != nil {
		return false, "", err
	}
	if len(bytes.TrimSpace(out)) == 0 {
		return false, "there is no pod " + name, nil
	}
	var want, have podSpec
	var pod struct {
		Status struct {
			Conditions []NodeCondition `json:"conditions"`
		} `json:"status"`
	}
	if err := yaml.Unmarshal(manifest, &want); err != nil {
		return false, "", fmt.Errorf("reading the manifest of %s: %w", component, err)
	}
	for _, into := range []any{&have, &pod} {
		if err := json.Unmarshal(out, into); err != nil {
			return false, "", fmt.Errorf("reading the pod %s: %w", name, err)
		}
	}
	if !reflect.DeepEqual(have, want) {
		return false, "the pod " + name + " does not run with the new manifest", nil
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == "Ready" && c.Status == "True" {
			return true, "", nil
		}
	}
	return false, "the pod " + name + " is not ready", nil
}

// heartbeatQuery prints whether a node is ready, and when its kubelet said so last.
const heartbeatQuery = `jsonpath={.status.conditions[?(@.type=="Ready")].status}{"\t"}{.status.conditions[?(@.type=="Ready")].lastHeartbeatTime}{"\n"}`

// Heartbeat reports whether a node is ready, and when its kubelet said so last, as the API writes it.
func (k Kubectl) Heartbeat(ctx context.Context, node string) (ready bool, at string, err error) {
	rows, err := k.Rows(ctx, 2, "get", "node", node, "-o", heartbeatQuery)
	if err != nil {
		return false, "", err
	}
	if len(rows) != 1 {
		return false, "", fmt.Errorf("asking for node %s: %w: %q", node, ErrUnexpected, rows)
	}
	return rows[0][0] == "True", rows[0][1], nil
}
