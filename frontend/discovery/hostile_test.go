package discovery

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// one returns the only problem, or fails.
func one(t *testing.T, r *Result) Problem {
	t.Helper()
	if len(r.Problems) != 1 {
		t.Fatalf("problems: %+v", r.Problems)
	}
	return r.Problems[0]
}

func TestHostileDocumentsEndInAProblem(t *testing.T) {
	var aliases strings.Builder
	aliases.WriteString("a0: &a0 {x: y}\n")
	for i := 1; i < 40; i++ {
		fmt.Fprintf(&aliases, "a%d: &a%d\n  <<: [*a%d, *a%d]\n", i, i, i-1, i-1)
	}
	aliases.WriteString("containers:\n- <<: *a39\n")
	for name, test := range map[string]struct {
		file, data string
		message    string
		fatal      bool
	}{
		"aliases":      {"a.yaml", aliases.String(), "aliases", true},
		"own parent":   {"a.yaml", "a: &a {<<: *a}\ncontainers: [*a]\n", "nested too deeply", true},
		"deep":         {"a.yaml", strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "nested too deeply", true},
		"very deep":    {"a.yaml", strings.Repeat("[", 100_000), "not valid YAML", false},
		"deep JSON":    {"a.json", strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), "not valid YAML", false},
		"many values":  {"a.yaml", strings.Repeat("a,", maxNodes/2+1) + strings.Repeat(":\n", maxNodes/4), "more than", true},
		"many in JSON": {"a.json", "[" + strings.Repeat("1,", maxNodes+1) + "1]", "more than", true},
		"large":        {"a.yaml", strings.Repeat("#", maxFile+1), "more than the 8 MiB", true},
		"large JSON":   {"a.json", strings.Repeat(" ", maxFile+1), "more than the 8 MiB", false},
		"large list":   {"imageList", strings.Repeat("#", maxFile+1), "more than the 8 MiB", true},
	} {
		t.Run(name, func(t *testing.T) {
			p := one(t, discover(t, fstest.MapFS{test.file: {Data: []byte(test.data)}}))
			if p.Fatal != test.fatal || !strings.Contains(p.Message, test.message) {
				t.Errorf("problem: %+v", p)
			}
		})
	}
}

type entry struct {
	name, data string
	kind       byte
}

func tgz(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.data)), Typeflag: e.kind}
		if e.kind == tar.TypeSymlink {
			header.Linkname, header.Size, e.data = e.data, 0, ""
		}
		if err := tw.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(e.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tw.Close(), zw.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestHostileChartArchives(t *testing.T) {
	metadata := entry{"web/Chart.yaml", "{apiVersion: v2, name: web, version: 0.1.0}", tar.TypeReg}
	pod := `spec: {containers: [{image: "example.com/pod:1"}]}`
	whole := tgz(t, metadata, entry{"web/templates/pod.yaml", pod, tar.TypeReg})
	for name, test := range map[string]struct {
		data     []byte
		findings int
		message  string // of a problem; empty for none
		fatal    bool
	}{
		"whole":          {whole, 1, "", false},
		"./ before":      {tgz(t, entry{"./web/Chart.yaml", metadata.data, tar.TypeReg}), 0, "", false},
		"metadata last":  {tgz(t, entry{"web/", "", tar.TypeDir}, entry{"web/templates/pod.yaml", pod, tar.TypeReg}, metadata), 1, "", false},
		"parent":         {tgz(t, metadata, entry{"web/../../evil.yaml", pod, tar.TypeReg}), 0, "parent directory", true},
		"absolute":       {tgz(t, metadata, entry{"web//etc/evil.yaml", pod, tar.TypeReg}), 0, "absolute", true},
		"link":           {tgz(t, metadata, entry{"web/templates/a.yaml", "/etc/passwd", tar.TypeSymlink}), 0, "", false},
		"bomb":           {tgz(t, metadata, entry{"web/zeros", strings.Repeat("\x00", maxChart+1), tar.TypeReg}), 0, "larger than", true},
		"large no chart": {tgz(t, entry{"bin/zeros", strings.Repeat("\x00", maxChart+1), tar.TypeReg}, metadata), 0, "", false},
		"binaries":       {tgz(t, entry{"./", "", tar.TypeDir}, entry{"./bridge", "\x7fELF", tar.TypeReg}, metadata), 0, "", false},
		"cut off":        {whole[:len(whole)-40], 0, "cannot be unpacked", true},
		"no gzip":        {[]byte("PK"), 0, "cannot be unpacked", false},
		"empty":          {nil, 0, "cannot be unpacked", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := discover(t, fstest.MapFS{"charts/web-1.tgz": {Data: test.data}})
			if len(r.Findings) != test.findings {
				t.Errorf("findings: %+v", r.Findings)
			}
			if test.message == "" {
				if len(r.Problems) > 0 {
					t.Errorf("problems: %+v", r.Problems)
				}
				return
			}
			if p := one(t, r); p.Fatal != test.fatal || p.File != "charts/web-1.tgz" || !strings.Contains(p.Message, test.message) {
				t.Errorf("problem: %+v", p)
			}
		})
	}
}

func chartFS(template string) fstest.MapFS {
	return fstest.MapFS{
		"web/Chart.yaml":         {Data: []byte("{apiVersion: v2, name: web, version: 0.1.0}")},
		"web/templates/pod.yaml": {Data: []byte(template)},
	}
}

func TestTemplatesThatCallThemselvesEndInAProblem(t *testing.T) {
	for _, template := range []string{
		`{{ define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}`,
		`{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}`,
	} {
		if p := one(t, discover(t, chartFS(template))); !p.Fatal || p.File != "web/templates/pod.yaml" || p.Line != 1 {
			t.Errorf("%s: problem %+v", template, p)
		}
	}
}

func TestTemplatesThatDoNotEndAreLeftWhenTheContextEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := Discover(ctx, chartFS("{{ range 20000000 }}{{ end }}"), Options{})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "chart web") {
		t.Errorf("error: %v", err)
	}
}

func TestHostileKustomizations(t *testing.T) {
	var aliases strings.Builder
	aliases.WriteString("kind: A\napiVersion: v1\nmetadata: {name: a}\na0: &a0 [x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&aliases, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i-1, i-1, i-1, i-1, i-1, i-1)
	}
	for name, test := range map[string]struct {
		kustomization string
		message       string
	}{
		"aliases":           {"resources: [bomb.yaml]", "aliases and merge keys"},
		"itself":            {"resources: [../a]", "cycle"},
		"parent":            {"resources: [../../../..]", "cycle"},
		"outside":           {"resources: [../../../../etc/passwd]", "not in the rootfs"},
		"file on the net":   {"configMapGenerator: [{name: a, files: ['http://127.0.0.1:1/a']}]", "not in the rootfs"},
		"patch on the net":  {"patches: [{path: 'https://127.0.0.1:1/a'}]", "not in the rootfs"},
		"git":               {"resources: ['git@example.com:a/b']", "not in the rootfs"},
		"program":           {"generators: [program.yaml]", "cannot be built"},
		"builtin generator": {"generators: [builtin.yaml]", "not in the rootfs"},
		"wrong type":        {"resources: {a: b}", "cannot be built"},
	} {
		t.Run(name, func(t *testing.T) {
			r := discover(t, fstest.MapFS{
				"a/kustomization.yaml": {Data: []byte(test.kustomization)},
				"a/bomb.yaml":          {Data: []byte(aliases.String())},
				"a/program.yaml":       {Data: []byte("apiVersion: example.com/v1\nkind: Run\nmetadata: {name: run, annotations: {config.kubernetes.io/function: 'exec: {path: /bin/sh}'}}")},
				"a/builtin.yaml":       {Data: []byte("apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: a}\nfiles: ['http://127.0.0.1:1/a']")},
			})
			if len(r.Findings) > 0 || len(r.Problems) == 0 || !strings.Contains(r.Problems[0].Message, test.message) {
				t.Errorf("found %v, problems %v", r.Findings, r.Problems)
			}
		})
	}
}

func TestLinks(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "secret.yaml")
	write := func(name, data string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(data), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	write(outside, `spec: {containers: [{image: "example.com/outside:1"}]}`)
	write(filepath.Join(dir, "library/Chart.yaml"), "{apiVersion: v2, name: library, version: 0.1.0, type: library}")
	write(filepath.Join(dir, "library/templates/_pod.tpl"), `{{ define "pod" }}spec: {containers: [{image: "example.com/linked:1"}]}{{ end }}`)
	for _, name := range []string{"web", "loop", "leaving"} {
		write(filepath.Join(dir, name, "Chart.yaml"), "{apiVersion: v2, name: "+name+", version: 0.1.0}")
		write(filepath.Join(dir, name, "charts/.keep"), "")
		write(filepath.Join(dir, name, "templates/_empty.tpl"), "")
	}
	write(filepath.Join(dir, "web/templates/pod.yaml"), `{{ include "pod" . }}`)
	link("../../library", "web/charts/library")
	link(".", "loop/templates/again")
	link(outside, "leaving/templates/secret.yaml")
	link(outside, "secret.yaml")
	link("library", "alias")

	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	r := discover(t, root.FS())
	if got := strings.Join(r.Lines(), " "); got != "example.com/linked:1" {
		t.Errorf("found %s", got)
	}
	if len(r.Problems) != 2 || r.Problems[0].File != "leaving" || r.Problems[1].File != "loop" {
		t.Errorf("problems: %+v", r.Problems)
	}
}

func TestUnreadableDirectoryEndsTheSearch(t *testing.T) {
	_, err := Discover(t.Context(), brokenFS{fstest.MapFS{"dir/a.yaml": {}}}, Options{})
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "dir") {
		t.Errorf("error: %v", err)
	}
}

type brokenFS struct{ fstest.MapFS }

func (b brokenFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if name == "dir" {
		return nil, fs.ErrPermission
	}
	return b.MapFS.ReadDir(name)
}

func TestKubernetesVersionThatIsNone(t *testing.T) {
	if _, err := Discover(t.Context(), fstest.MapFS{}, Options{KubernetesVersion: "newest"}); err == nil || !strings.Contains(err.Error(), `"newest"`) {
		t.Errorf("error: %v", err)
	}
}
