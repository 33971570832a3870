package discovery

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/kubefile/kubefile/imagespec"
)

// valid fails for findings that nobody could use.
func valid(t *testing.T, r *Result) {
	t.Helper()
	for _, f := range r.Findings {
		if ref, err := imagespec.ParseReference(f.Reference); err != nil || ref.String() != f.Reference {
			t.Errorf("%q is no full reference: %v", f.Reference, err)
		}
		if f.File == "" || f.Rule == "" || f.Line < 0 || rank(f.Class) < 0 {
			t.Errorf("finding %+v", f)
		}
	}
	for _, p := range r.Problems {
		if p.File == "" || p.Message == "" || p.Line < 0 {
			t.Errorf("problem %+v", p)
		}
	}
}

// seed adds the files of testdata whose names end so.
func seed(f *testing.F, endings ...string) {
	for _, ending := range endings {
		files, err := filepath.Glob("testdata/*/input/*" + ending)
		if err != nil || len(files) == 0 {
			f.Fatalf("no file ends in %s: %v", ending, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
}

func FuzzDocuments(f *testing.F) {
	seed(f, ".yaml", ".yml")
	f.Add([]byte("a: &a {<<: *a}\ncontainers: [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := discover(t, fstest.MapFS{"f.yaml": {Data: data}})
		valid(t, r)
		lines := bytes.Count(data, []byte("\n")) + 1
		for _, found := range r.Findings {
			if found.Line < 1 || found.Line > lines+bytes.Count(data, []byte("\r")) {
				t.Errorf("%s is in line %d of %d", found.Reference, found.Line, lines)
			}
		}
	})
}

func FuzzJSON(f *testing.F) {
	seed(f, ".json")
	f.Fuzz(func(t *testing.T, data []byte) {
		valid(t, discover(t, fstest.MapFS{"f.json": {Data: data}}))
	})
}

func FuzzImageList(f *testing.F) {
	seed(f, "imageList", ".txt")
	f.Fuzz(func(t *testing.T, data []byte) {
		valid(t, discover(t, fstest.MapFS{"imageList": {Data: data}}))
	})
}

func FuzzCommands(f *testing.F) {
	seed(f, "commands.txt")
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Discover(t.Context(), fstest.MapFS{}, Options{Commands: strings.Split(string(data), "\n")})
		if err != nil {
			t.Fatal(err)
		}
		valid(t, r)
	})
}

// FuzzScripts follows a script that is called and one that is not, beside a chart that they may install.
func FuzzScripts(f *testing.F) {
	seed(f, ".sh", "commands.txt")
	f.Add([]byte(`f() { f; f; }; f; for i in {1..9999999} $((2**99)); do a=$a$a$i; done; helm install x web --set "$a"`))
	f.Fuzz(func(t *testing.T, data []byte) {
		fsys := chartFS("spec: {containers: [{image: example.com/web:1}]}")
		fsys["called.sh"] = &fstest.MapFile{Data: data}
		fsys["alone.sh"] = &fstest.MapFile{Data: data}
		r, err := Discover(t.Context(), fsys, Options{Commands: []string{"bash called.sh a b"}})
		if err != nil {
			t.Fatal(err)
		}
		valid(t, r)
	})
}

func FuzzKustomizations(f *testing.F) {
	seed(f, "/kustomization.yaml")
	f.Add([]byte("resources: [web.yaml]\nimages: [{name: example.com/web, newTag: '1'}]\nconfigMapGenerator: [{name: a, files: [web.yaml]}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		valid(t, discover(t, fstest.MapFS{
			"kustomization.yaml":   {Data: data},
			"web.yaml":             {Data: []byte("{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: web, image: 'example.com/web:raw'}]}}")},
			"b/kustomization.yaml": {Data: []byte("namePrefix: b-")},
		}))
	})
}

// FuzzChartArchive mutates the archive below its compression, where it would get nowhere.
func FuzzChartArchive(f *testing.F) {
	for _, dir := range []string{"testdata/chart/input/charts", "testdata/chart-subcharts/input", "testdata/chart-failing/input"} {
		var unpacked bytes.Buffer
		tw := tar.NewWriter(&unpacked)
		if err := tw.AddFS(os.DirFS(dir)); err != nil {
			f.Fatal(err)
		}
		if err := tw.Close(); err != nil {
			f.Fatal(err)
		}
		f.Add(unpacked.Bytes())
	}
	f.Fuzz(func(t *testing.T, unpacked []byte) {
		var packed bytes.Buffer
		zw := gzip.NewWriter(&packed)
		if _, err := zw.Write(unpacked); err != nil {
			t.Fatal(err)
		}
		if err := zw.Close(); err != nil {
			t.Fatal(err)
		}
		valid(t, discover(t, fstest.MapFS{"c.tgz": {Data: packed.Bytes()}}))
	})
}
