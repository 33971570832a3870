package discovery

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

var update = flag.Bool("update", false, "write what is found to the expected.txt of every case")

// TestCases runs every directory of testdata: input is a rootfs, input/commands.txt the commands if there is one, and expected.txt what
// is found in it.
func TestCases(t *testing.T) {
	cases, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if !c.IsDir() || c.Name() == "fuzz" {
			continue
		}
		t.Run(c.Name(), func(t *testing.T) {
			dir := filepath.Join("testdata", c.Name())
			got := describe(discover(t, os.DirFS(filepath.Join(dir, "input"))))
			expected := filepath.Join(dir, "expected.txt")
			if *update {
				if err := os.WriteFile(expected, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(expected)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("found:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func discover(t testing.TB, fsys fs.FS) *Result {
	t.Helper()
	opts := Options{KubernetesVersion: "v1.34.4"}
	if data, err := fs.ReadFile(fsys, "commands.txt"); err == nil {
		opts.Commands = strings.Split(strings.TrimSpace(string(data)), "\n")
	}
	result, err := Discover(context.Background(), fsys, opts)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func describe(r *Result) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s %s %s:%d %s %q\n", f.Class, f.Rule, f.File, f.Line, f.Reference, f.Chain)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "problem fatal=%v %s:%d %s\n", p.Fatal, p.File, p.Line, p.Message)
	}
	return b.String()
}

func TestChartArchiveIsReadAsItsDirectory(t *testing.T) {
	chart := os.DirFS("testdata/chart/input/charts")
	packed := fstest.MapFS{"charts/web-1.2.3.tgz": {Data: pack(t, chart)}}
	dir, archive := discover(t, os.DirFS("testdata/chart/input")), discover(t, packed)
	if got, want := archive.Lines(), dir.Lines(); len(want) == 0 || strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("archive: %v\ndirectory: %v", got, want)
	}
	for _, f := range archive.Findings {
		if !strings.HasPrefix(f.File, "charts/web-1.2.3.tgz!web/") {
			t.Errorf("finding of %s is in %s", f.Reference, f.File)
		}
	}
}

func TestArchiveThatIsNoChartIsLeftAlone(t *testing.T) {
	other := fstest.MapFS{"dir/file.yaml": {Data: []byte("spec: {containers: [{image: nginx}]}")}}
	result := discover(t, fstest.MapFS{"a.tgz": {Data: pack(t, other)}, "b.tgz": {Data: []byte("no gzip")}})
	if len(result.Findings) != 0 {
		t.Errorf("found %v", result.Findings)
	}
	if len(result.Problems) != 1 || result.Problems[0].File != "b.tgz" || result.Problems[0].Fatal {
		t.Errorf("problems: %+v", result.Problems)
	}
}

func pack(t *testing.T, fsys fs.FS) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	if err := tw.AddFS(fsys); err != nil {
		t.Fatal(err)
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestFormatsAndWhy(t *testing.T) {
	result := discover(t, os.DirFS("testdata/pod-shapes/input"))
	for format, want := range map[string]string{
		"lines": "docker.io/library/nginx:1.27\n",
		"table": "pods.yaml:9",
		"json":  `"reference": "docker.io/library/nginx:1.27"`,
	} {
		var out strings.Builder
		if err := result.Write(&out, format); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s:\n%s\nhas no %q", format, out.String(), want)
		}
	}
	if err := result.Write(&strings.Builder{}, "xml"); err == nil {
		t.Error("format xml is accepted")
	}
	var why strings.Builder
	if err := result.Why(&why, "nginx:1.27"); err != nil || !strings.Contains(why.String(), "pod-spec") {
		t.Errorf("why: %q, %v", why.String(), err)
	}
	if err := result.Why(&why, "nginx:1.28"); err == nil {
		t.Error("an image that was not found has a reason")
	}
}

func TestDiscoverStopsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Discover(ctx, os.DirFS("testdata"), Options{}); err == nil {
		t.Error("no error after cancellation")
	}
}

func TestChartsWithinAChartAreReadThroughIt(t *testing.T) {
	metadata := func(name string) string { return "{apiVersion: v2, name: " + name + ", version: 0.1.0}" }
	sub := fstest.MapFS{
		"packed/Chart.yaml":         {Data: []byte(metadata("packed"))},
		"packed/templates/pod.yaml": {Data: []byte(`spec: {containers: [{image: "example.com/packed:1"}]}`)},
	}
	for _, outer := range []string{"web/", ""} {
		fsys := fstest.MapFS{
			outer + "Chart.yaml":                {Data: []byte(metadata("web"))},
			outer + "ABC/Chart.yaml":            {Data: []byte(metadata("unused"))},
			outer + "ABC/templates/pod.yaml":    {Data: []byte(`spec: {containers: [{image: "example.com/unused:1"}]}`)},
			outer + "charts/packed-0.1.0.tgz":   {Data: pack(t, sub)},
			outer + "templates/not/a/pod.yaml":  {Data: []byte(`a: {{ .Release.Namespace }}`)},
			outer + "examples/application.yaml": {Data: []byte(`spec: {containers: [{image: "example.com/example:1"}]}`)},
		}
		r := discover(t, fsys)
		if got := strings.Join(r.Lines(), " "); got != "example.com/packed:1" {
			t.Errorf("found %s", got)
		}
		if len(r.Problems) > 0 {
			t.Errorf("problems: %+v", r.Problems)
		}
	}
}

// TestUninstalled: charts that nothing installs are named, unless something was not understood that may install them.
func TestUninstalled(t *testing.T) {
	const chart = "apiVersion: v2\nname: x\nversion: 1.0.0\n"
	for name, tt := range map[string]struct{ command, script, want string }{
		"none":            {"kubectl apply -f x", "", "charts/one charts/two"},
		"by a command":    {"helm upgrade -i one charts/one", "", "charts/two"},
		"by a script":     {"bash run.sh", "for c in one two; do helm upgrade -i $c charts/$c; done", ""},
		"by nobody knows": {"bash run.sh", "helm upgrade -i one $1", ""},
		"by another tool": {"helmfile sync", "", ""},
		"of a repository": {"helm upgrade -i three stable/three", "", "charts/one charts/two"},
		"no shell":        {"bash run.sh", "if then", ""},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{
				"charts/one/Chart.yaml": {Data: []byte(chart)}, "charts/one/charts/sub/Chart.yaml": {Data: []byte(chart)}, "charts/two/Chart.yaml": {Data: []byte(chart)},
				"lib/Chart.yaml": {Data: []byte(chart + "type: library\n")},
				"commands.txt":   {Data: []byte(tt.command)}, "run.sh": {Data: []byte(tt.script)},
			}
			if got := strings.Join(discover(t, fsys).Uninstalled, " "); got != tt.want {
				t.Errorf("uninstalled %q, want %q", got, tt.want)
			}
		})
	}
}
