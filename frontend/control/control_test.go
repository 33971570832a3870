package control

import (
	"errors"
	"os"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
)

var amd64, arm64 = ocispec.Platform{OS: "linux", Architecture: "amd64"}, ocispec.Platform{OS: "linux", Architecture: "arm64"}

const whole = `images:
  add:
  - image: busybox:1.36
    reason: started by the operator
  ignore:
  - image: quay.io/lab/debug
    reason: only for developers
  - {image: "docker.io/*-windows:*", reason: no Windows here}
  - image: quay.io/lab/old:1
    reason: not built for it
    platforms: [linux/arm64]
  rewrite:
  - {from: docker.io/library/, to: registry.example.com/hub/}
  - {from: docker.io/, to: "registry.example.com/Bad:"}
charts:
- path: charts/web
  sets:
  - values: [etc/a.yaml]
    set: [a=b]
    namespace: n
classes:
  maybe: error
  strong: warn
layers: 12
`

func parse(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFile(t *testing.T) {
	f := parse(t, whole)
	if err := f.Arguments(map[string]string{AddArg: "a:1, quay.io/b:2", IgnoreArg: "quay.io/c", LayersArg: "20"}); err != nil {
		t.Fatal(err)
	}
	var added []string
	for _, a := range f.Images.Add {
		ref, finding := a.Finding()
		added = append(added, ref+" "+finding.File)
		if finding.Class != imagespec.ClassCertain {
			t.Errorf("%s is %s", ref, finding.Class)
		}
	}
	if got := strings.Join(added, ", "); got != "docker.io/library/busybox:1.36 .kubefile.yaml, docker.io/library/a:1 KUBEFILE_IMAGES_ADD, quay.io/b:2 KUBEFILE_IMAGES_ADD" {
		t.Errorf("added %s", got)
	}
	for ref, want := range map[string]int{
		"quay.io/lab/debug:1": 0, "quay.io/lab/debug@sha256:" + strings.Repeat("0", 64): 0, "quay.io/lab/debugger:1": -1,
		"docker.io/library/x-windows:1": 1, "quay.io/x-windows:1": -1, "quay.io/lab/old:1": 2, "quay.io/lab/old:2": -1, "quay.io/c:9": 3,
	} {
		if got := f.Ignored(ref, arm64); got != want {
			t.Errorf("%s is ignored by %d, want %d", ref, got, want)
		}
	}
	if f.Ignored("quay.io/lab/old:1", amd64) >= 0 {
		t.Error("a rule for one platform holds on another")
	}
	if place := f.Images.Ignore[2].Place(); place != ".kubefile.yaml:9" {
		t.Errorf("the third stands at %s", place)
	}
	if f.Layers != 20 || f.Strictness(imagespec.ClassCertain) != Fail || f.Strictness(imagespec.ClassStrong) != Warn || f.Strictness(imagespec.ClassMaybe) != Fail {
		t.Errorf("%+v", f)
	}
	if parse(t, "").Strictness(imagespec.ClassMaybe) != Warn {
		t.Error("what may be an image is warned of by default")
	}
}

// TestDocumented: the example of the reference is what this package reads.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/kubefile.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	example, _, _ := strings.Cut(rest, "```")
	f := parse(t, example)
	if len(f.Images.Add) != 1 || len(f.Images.Ignore) != 1 || len(f.Images.Rewrite) != 1 || len(f.Charts) != 1 || f.Layers != 64 {
		t.Errorf("%+v", f)
	}
	for class, want := range map[imagespec.Class]Strictness{imagespec.ClassCertain: Fail, imagespec.ClassStrong: Fail, imagespec.ClassMaybe: Warn} {
		if f.Strictness(class) != want || parse(t, "").Strictness(class) != want {
			t.Errorf("class %s: the example has no defaults", class)
		}
	}
}

func TestSource(t *testing.T) {
	f := parse(t, whole)
	for from, want := range map[string]string{
		"docker.io/library/nginx:1": "registry.example.com/hub/nginx:1",
		"quay.io/x:1":               "quay.io/x:1",
		"docker.io/library/nginx@sha256:" + strings.Repeat("0", 64): "registry.example.com/hub/nginx@sha256:" + strings.Repeat("0", 64),
		"docker.io/lab/x:1": "",
	} {
		ref, err := imagespec.ParseReference(from)
		if err != nil {
			t.Fatal(err)
		}
		source, err := f.Source(ref)
		if want == "" {
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), ".kubefile.yaml:14") {
				t.Errorf("%s: %v", from, err)
			}
			continue
		}
		if err != nil || source.String() != want {
			t.Errorf("%s comes from %v (%v), want %s", from, source, err, want)
		}
	}
}

func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		"image: {}\n":                        ".kubefile.yaml:1: invalid control file: unknown field image: did you mean images?",
		"images:\n  ignored: []\n":           ".kubefile.yaml:2: invalid control file: unknown field ignored: did you mean ignore?",
		"images:\n  add: x\n":                ".kubefile.yaml:2: invalid control file: `x` has the wrong type",
		"layers: many\n":                     ".kubefile.yaml:1: invalid control file: `many` has the wrong type",
		"layers: -1\n":                       "layers: -1",
		"a: b: c\n":                          "mapping values",
		"images:\n  add:\n  - image: A\n":    ".kubefile.yaml:3: invalid control file: image reference",
		"images:\n  ignore:\n  - image: a\n": ".kubefile.yaml:3: invalid control file: an ignored image needs",
		"images:\n  rewrite:\n  - from: a\n": ".kubefile.yaml:3: invalid control file: a rewrite needs",
		"images:\n  ignore: [{image: a, reason: b, platforms: [x/y/z/w]}]\n": ".kubefile.yaml:2: invalid control file: platform",
		"charts:\n- path: x\n":         ".kubefile.yaml:2: invalid control file: a chart needs",
		"classes: {maybe: never}\n":    "classes: maybe: \"never\" is not valid",
		"layers: 1\n---\nlayers: 2\n":  "more than one document",
		"layers: 1\nlayers: 2\n":       ".kubefile.yaml:2: invalid control file",
		strings.Repeat("#", MaxSize+1): "more than",
	} {
		_, err := Parse([]byte(text))
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %s", text, err, want)
		}
	}
	for name, value := range map[string]string{AddArg: "A", LayersArg: "0"} {
		if err := parse(t, "").Arguments(map[string]string{name: value}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add("images: &a\n  add: [{image: x}]\ncharts: [*a]\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse([]byte(text))
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("%v", err)
			}
			return
		}
		for _, a := range file.Images.Add {
			a.Finding()
		}
		file.Ignored("docker.io/library/x:1", amd64)
	})
}
