package environment

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree makes a rootfs of these files.
func tree(t *testing.T, files map[string]string) *os.Root {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func read(t *testing.T, root *os.Root, name string) string {
	t.Helper()
	content, err := root.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestRender(t *testing.T) {
	root := tree(t, map[string]string{
		"etc/app.yaml.tmpl":      "ip: {{ .HOST_IP }}\ndir: {{ .docker_dir }}\n",
		"scripts/deep/x.sh.tmpl": `echo {{ .NAME | upper | quote }}`,
		"manifests/plain.yaml":   "{{ .untouched }}",
		"statics/no.tmpl":        "{{ .untouched }}",
	})
	env := Set{"HOST_IP": "10.0.0.1", "docker-dir": "/d", "NAME": "x"}
	changed, err := Render(t.Context(), root, env, false)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(changed)
	if want := []string{"etc/app.yaml", "scripts/deep/x.sh"}; !slices.Equal(changed, want) {
		t.Errorf("changed %v, want %v", changed, want)
	}
	if got := read(t, root, "etc/app.yaml"); got != "ip: 10.0.0.1\ndir: /d\n" {
		t.Errorf("etc/app.yaml is %q", got)
	}
	if got := read(t, root, "scripts/deep/x.sh"); got != `echo "X"` {
		t.Errorf("scripts/deep/x.sh is %q", got)
	}
	if info, err := root.Stat("etc/app.yaml"); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the rendered file has not its template's mode: %v, %v", info, err)
	}
	if got := read(t, root, "etc/app.yaml.tmpl"); !strings.Contains(got, "HOST_IP") {
		t.Errorf("the template became %q", got)
	}
	if changed, err := Render(t.Context(), root, env, false); err != nil || len(changed) != 0 {
		t.Errorf("a second time changed %v, %v", changed, err)
	}
}

func TestRenderErrors(t *testing.T) {
	cases := []struct{ name, template, want string }{
		{"missing value", "line\n{{ .MISSING }}", "-e NAME=VALUE"},
		{"syntax", "{{ if }}", "etc/bad.tmpl"},
		{"unknown function", "{{ shout . }}", "shout"},
		{"own environment", `{{ env "HOME" }}`, "env"},
		{"network", `{{ getHostByName "x" }}`, "getHostByName"},
		{"too much", `{{ $x := repeat 1048576 "x" }}{{ range until 20 }}{{ $x }}{{ end }}`, "more than"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			root := tree(t, map[string]string{"etc/bad.tmpl": c.template, "etc/good.tmpl": "x"})
			_, err := Render(t.Context(), root, Set{}, false)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "etc/bad.tmpl") {
				t.Fatalf("error is %v, want etc/bad.tmpl and %q", err, c.want)
			}
			if _, err := root.Stat("etc/good"); err == nil {
				t.Error("another template was rendered although one is bad")
			}
		})
	}
}

func TestCheckWritesNothing(t *testing.T) {
	root := tree(t, map[string]string{"etc/a.tmpl": "x"})
	if changed, err := Render(t.Context(), root, Set{}, true); err != nil || len(changed) != 0 {
		t.Fatalf("changed %v, %v", changed, err)
	}
	if _, err := root.Stat("etc/a"); err == nil {
		t.Error("etc/a was written")
	}
}

func TestRenderStaysInside(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(outside, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	root := tree(t, map[string]string{"etc/link.tmpl": "overwritten"})
	if err := root.Symlink(outside, "etc/link"); err != nil {
		t.Fatal(err)
	}
	if _, err := Render(t.Context(), root, Set{}, false); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(outside); err != nil || string(content) != "kept" {
		t.Errorf("a link led outside: %q, %v", content, err)
	}
	if got := read(t, root, "etc/link"); got != "overwritten" {
		t.Errorf("the rendered file is %q", got)
	}
	if err := root.Symlink(filepath.Dir(outside), "manifests"); err != nil {
		t.Fatal(err)
	}
	if _, err := Render(t.Context(), root, Set{}, false); err == nil {
		t.Error("a folder that leads outside was searched")
	}
}

func FuzzRender(f *testing.F) {
	for _, seed := range []string{"{{ .A }}", "{{ range .A }}", `{{ "x" | repeat 3 }}`, "{{ index . \"docker-dir\" }}", "{{/* */}}", "\x00{{"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, template string) {
		if len(template) > 200 || strings.Contains(template, "repeat") || strings.Contains(template, "until") || strings.Contains(template, "seq") {
			return // what takes long by design is bounded by the size of what is written, not by time
		}
		root := tree(t, map[string]string{"etc/x.tmpl": template})
		if _, err := Render(t.Context(), root, Set{"A": "1", "docker-dir": "/d"}, false); err == nil {
			read(t, root, "etc/x")
		}
	})
}
