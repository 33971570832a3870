package step

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/kubefile/kubefile/frontend/discovery"
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
	write(request, `{"commands":["kubectl apply -f a.yaml"],"kubernetesVersion":"v1.34.4"}`)
	if err := Scan(t.Context(), request, in, out); err != nil {
		t.Fatal(err)
	}
	dt, err := os.ReadFile(filepath.Join(out, Findings))
	if err != nil {
		t.Fatal(err)
	}
	var result discovery.Result
	if err := json.Unmarshal(dt, &result); err != nil {
		t.Fatal(err)
	}
	if len(result.Findings) != 1 || result.Findings[0].Reference != "docker.io/library/nginx:1" || result.Findings[0].Line != 3 {
		t.Errorf("%+v", result)
	}
}
