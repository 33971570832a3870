package step

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func TestScan(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(in, "a.yaml"), "spec:\n  containers:\n  - image: nginx:1\n")
	if err := os.Symlink("/etc/passwd", filepath.Join(in, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	request := filepath.Join(t.TempDir(), "request.json")
	write(request, `{"discovery":{"kubernetesVersion":"v1.34.4"},"application":{"steps":[{"command":{"shell":"kubectl run b --image=busybox:1"}}]}}`)
	if err := Scan(t.Context(), request, in, out); err != nil {
		t.Fatal(err)
	}
	dt, err := os.ReadFile(filepath.Join(out, Findings))
	if err != nil {
		t.Fatal(err)
	}
	var answer Scanned
	if err := json.Unmarshal(dt, &answer); err != nil {
		t.Fatal(err)
	}
	found := answer.Discovery.Findings
	if len(found) != 2 || found[0].Reference != "docker.io/library/busybox:1" || found[1].Reference != "docker.io/library/nginx:1" || found[1].Line != 3 {
		t.Errorf("%+v", answer)
	}
	if len(answer.Application.Commands) != 1 {
		t.Errorf("commands %+v", answer.Application.Commands)
	}
}
