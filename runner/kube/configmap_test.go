package kube

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestConfigMap(t *testing.T) {
	k, calls := answering(`{"metadata":{"name":"c","namespace":"n","resourceVersion":"7","annotations":{"a":"b"}},"data":{"one":"1","two":"2"},"new":true}`, "")
	c, err := k.ConfigMap(t.Context(), "n", "c")
	if err != nil || c.Data["one"] != "1" {
		t.Fatalf("got %v, %v", c, err)
	}
	if err := k.ReplaceConfigMap(t.Context(), c, "one", "other"); err != nil {
		t.Fatal(err)
	}
	write := (*calls)[1]
	if want := `{"data":{"one":"other","two":"2"},"metadata":{"annotations":{"a":"b"},"name":"c","namespace":"n","resourceVersion":"7"},"new":true}`; write.input != want || write.args != "replace -f -" {
		t.Errorf("wrote %s by %s, want %s", write.input, write.args, want)
	}
}

func TestConfigMapThatIsNotThere(t *testing.T) {
	k, _ := answering("\n")
	if c, err := k.ConfigMap(t.Context(), "n", "c"); c != nil || err != nil {
		t.Errorf("got %v, %v", c, err)
	}
	k, _ = answering("{")
	if _, err := k.ConfigMap(t.Context(), "n", "c"); err == nil || !strings.Contains(err.Error(), "n/c") {
		t.Errorf("got %v, want an error that names it", err)
	}
	k, _ = answering("{}", "error: Operation cannot be fulfilled on configmaps: the object has been modified")
	c, err := k.ConfigMap(t.Context(), "n", "c")
	if err != nil {
		t.Fatal(err)
	}
	if err := k.ReplaceConfigMap(t.Context(), c, "one", "1"); !errors.Is(err, ErrChanged) {
		t.Errorf("got %v, want ErrChanged", err)
	}
}

const manifest = `apiVersion: v1
kind: Pod
metadata: {name: kube-apiserver, namespace: kube-system}
spec:
  containers:
  - name: kube-apiserver
    image: registry.k8s.io/kube-apiserver:v1.34.4
    command: [kube-apiserver, --profiling=false]
    env: [{name: A, value: b}]
    volumeMounts: [{name: pki, mountPath: /etc/kubernetes/pki, readOnly: true}]
  volumes: [{name: pki, hostPath: {path: /etc/kubernetes/pki, type: DirectoryOrCreate}}]
`

// podOf is the API's copy of that manifest's pod, with what the API adds.
func podOf(t *testing.T, ready string) string {
	t.Helper()
	container := map[string]any{"name": "kube-apiserver", "image": "registry.k8s.io/kube-apiserver:v1.34.4", "command": []string{"kube-apiserver", "--profiling=false"},
		"env": []any{map[string]string{"name": "A", "value": "b"}}, "imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log",
		"volumeMounts": []any{map[string]any{"name": "pki", "mountPath": "/etc/kubernetes/pki", "readOnly": true}}}
	text, err := json.Marshal(map[string]any{
		"spec": map[string]any{"nodeName": "h1", "containers": []any{container},
			"volumes": []any{map[string]any{"name": "pki", "hostPath": map[string]string{"path": "/etc/kubernetes/pki", "type": "DirectoryOrCreate"}}}},
		"status": map[string]any{"conditions": []any{map[string]string{"type": "Initialized", "status": "True"}, map[string]string{"type": "Ready", "status": ready}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRunsManifest(t *testing.T) {
	ready := podOf(t, "True")
	for _, tt := range []struct {
		name, pod string
		runs      bool
		why       string
	}{
		{"it runs", ready, true, ""},
		{"no pod", "", false, "there is no pod kube-apiserver-h1"},
		{"not ready", podOf(t, "False"), false, "is not ready"},
		{"another argument", strings.Replace(ready, "--profiling=false", "--profiling=true", 1), false, "new manifest"},
		{"another image", strings.Replace(ready, "v1.34.4", "v1.34.3", 1), false, "new manifest"},
		{"another variable", strings.Replace(ready, `"value":"b"`, `"value":"c"`, 1), false, "new manifest"},
		{"another volume", strings.Replace(ready, `"path":"/etc/kubernetes/pki"`, `"path":"/pki"`, 1), false, "new manifest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, _ := answering(tt.pod)
			runs, why, err := k.RunsManifest(t.Context(), "kube-apiserver", "h1", []byte(manifest))
			if err != nil || runs != tt.runs || !strings.Contains(why, tt.why) {
				t.Errorf("got %t, %q, %v, want %t, %q", runs, why, err, tt.runs, tt.why)
			}
		})
	}
	for _, texts := range [][2]string{{"{", manifest}, {ready, "spec: ["}} {
		k, _ := answering(texts[0])
		if _, _, err := k.RunsManifest(t.Context(), "kube-apiserver", "h1", []byte(texts[1])); err == nil {
			t.Errorf("%q is read", texts)
		}
	}
}

func TestHeartbeat(t *testing.T) {
	k, _ := answering("True\t2026-01-02T03:04:05Z\n")
	if ready, at, err := k.Heartbeat(t.Context(), "h1"); err != nil || !ready || at != "2026-01-02T03:04:05Z" {
		t.Errorf("got %t, %q, %v", ready, at, err)
	}
	k, _ = answering("Unknown\t\n")
	if ready, _, err := k.Heartbeat(t.Context(), "h1"); err != nil || ready {
		t.Errorf("got %t, %v", ready, err)
	}
	k, _ = answering("")
	if _, _, err := k.Heartbeat(t.Context(), "h1"); !errors.Is(err, ErrUnexpected) {
		t.Errorf("got %v, want ErrUnexpected", err)
	}
}
