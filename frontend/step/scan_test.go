package step

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestScan(t *testing.T) {
	in := t.TempDir()
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(in, "a.yaml"), "spec:\n  containers:\n  - image: nginx:1\n")
	if err := os.Symlink("/etc/passwd", filepath.Join(in, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(in, "registry/docker/registry"), 0o755); err != nil {
		t.Fatal(err)
	}
	request := filepath.Join(t.TempDir(), "request.json")
	write(request, `{"discovery":{"kubernetesVersion":"v1.34.4"},"application":{"steps":[{"command":{"shell":"kubectl run b --image=busybox:1"}}]}}`)
	answer := scan(t, request, in)
	found := answer.Discovery.Findings
	if len(found) != 2 || found[0].Reference != "docker.io/library/busybox:1" || found[1].Reference != "docker.io/library/nginx:1" || found[1].Line != 3 {
		t.Errorf("%+v", answer)
	}
	if len(answer.Application.Commands) != 1 {
		t.Errorf("commands %+v", answer.Application.Commands)
	}
	if len(answer.Discovery.Problems) > 0 {
		t.Errorf("problems %+v", answer.Discovery.Problems)
	}
}

func scan(t *testing.T, request, in string) Scanned {
	t.Helper()
	out := t.TempDir()
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
	return answer
}

func TestTheStoreIsNotForKubefiles(t *testing.T) {
	for _, name := range []string{"registry/blobs/sha256/x", "registry/refs/x", "registry/oci-layout", "registry/images.lock.json"} {
		in := t.TempDir()
		if err := os.MkdirAll(filepath.Join(in, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(in, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		for text, want := range map[string]int{`{}`: 1, `{"baseStore":true}`: 0} {
			request := filepath.Join(t.TempDir(), "request.json")
			if err := os.WriteFile(request, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			problems := scan(t, request, in).Discovery.Problems
			if len(problems) != want || want == 1 && (!problems[0].Fatal || !strings.HasPrefix(name, problems[0].File)) {
				t.Errorf("%s, %s: %+v", name, text, problems)
			}
		}
	}
}
