//go:build cases

// Package discovery measures what is found in real projects whose images are known: see README.md.
package discovery

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kubefile/kubefile/frontend/discovery"
)

// truth is an expected.yaml.
type truth struct {
	Render   string
	Commands []string
	Images   []struct{ Ref, Kind, Via string }
}

var renderVersion = regexp.MustCompile(`--kube-version (\S+?)[\s);,]`)

// score counts images by how they are referred to.
type score struct{ found, wanted int }

// TestCases wants every required image and at least 99 % of what is found to be right, over all cases of the directories in KUBEFILE_CASES,
// or of this one.
func TestCases(t *testing.T) {
	var files []string
	for _, dir := range filepath.SplitList(cmp.Or(os.Getenv("KUBEFILE_CASES"), ".")) {
		found, err := filepath.Glob(filepath.Join(dir, "*", "expected.yaml"))
		if err != nil || len(found) == 0 {
			t.Fatalf("no case in %s (%v)", dir, err)
		}
		files = append(files, found...)
	}
	byVia := map[string]*score{}
	right, wrong := 0, 0
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			r, w := measure(t, filepath.Dir(file), byVia)
			right, wrong = right+r, wrong+w
		})
	}
	for _, via := range slices.Sorted(maps.Keys(byVia)) {
		t.Logf("%-70s %3d of %3d", via, byVia[via].found, byVia[via].wanted)
	}
	t.Logf("%d right, %d wrong", right, wrong)
	if wrong*100 > right+wrong {
		t.Error("more than one in a hundred is wrong")
	}
}

// input is next to the truth, or in inputs/ next to the cases.
func input(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(filepath.Join(dir, "input"))
	if err != nil {
		root, err = os.OpenRoot(filepath.Join(filepath.Dir(dir), "inputs", filepath.Base(dir)))
	}
	if err != nil {
		t.Fatalf("%v\nThe inputs are not part of the repository: README.md says where they come from", err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func measure(t *testing.T, dir string, byVia map[string]*score) (right, wrong int) {
	data, err := os.ReadFile(filepath.Join(dir, "expected.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var want truth
	if err := yaml.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	opts := discovery.Options{Commands: want.Commands}
	if match := renderVersion.FindStringSubmatch(want.Render + " "); match != nil {
		opts.KubernetesVersion = match[1]
	}
	started := time.Now()
	result, err := discovery.Discover(t.Context(), input(t, dir).FS(), opts)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(started)
	lines := result.Lines()
	known := map[string]bool{}
	for _, image := range want.Images {
		found := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !matches(line, image.Ref) })
		for _, line := range found {
			known[line] = true
		}
		via := cmp.Or(image.Via, "unknown")
		switch image.Kind {
		case "optional":
			continue
		case "hidden":
			via = "hidden: " + via
		}
		if byVia[via] == nil {
			byVia[via] = &score{}
		}
		byVia[via].wanted++
		if len(found) > 0 {
			byVia[via].found++
		} else if image.Kind == "required" {
			t.Errorf("missed: %s (%s)", image.Ref, via)
		}
	}
	for _, line := range lines {
		if !known[line] {
			wrong++
			t.Logf("not expected: %s", line)
		}
	}
	t.Logf("%d found in %v", len(lines), took.Round(time.Millisecond))
	for _, p := range result.Problems {
		t.Logf("%s:%d fatal=%v %s", p.File, p.Line, p.Fatal, p.Message)
	}
	return len(lines) - wrong, wrong
}

// matches compares with a reference of the truth, in which a trailing * is any end.
func matches(line, ref string) bool {
	if prefix, ok := strings.CutSuffix(ref, "*"); ok {
		return strings.HasPrefix(line, prefix)
	}
	return line == ref
}
