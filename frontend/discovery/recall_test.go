package discovery

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// sharedCases are real projects with the truth about their images. They lie beside the repository, not in it.
const sharedCases = "../../../shared/cases/discovery"

// complete are the cases in which every required image has to be found; the others are measured.
var complete = []string{"dashboard-v2.2.0"}

type truth struct {
	Render string
	Images []struct{ Ref, Kind, Via string }
}

var renderVersion = regexp.MustCompile(`--kube-version (\S+?)[\s);,]`)

// TestRecall measures what is found in real projects. Without them nothing is measured, and the log says so.
func TestRecall(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(sharedCases, "*", "expected.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Logf("not measured: no cases in %s", sharedCases)
	}
	total := map[string]*recall{}
	for _, file := range files {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) { measure(t, dir, total) })
	}
	for _, via := range slices.Sorted(maps.Keys(total)) {
		t.Logf("%-60s %3d of %3d", via, total[via].found, total[via].wanted)
	}
}

type recall struct{ found, wanted int }

func measure(t *testing.T, dir string, total map[string]*recall) {
	data, err := os.ReadFile(filepath.Join(dir, "expected.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var want truth
	if err := yaml.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(filepath.Join(dir, "input"))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var opts Options
	if match := renderVersion.FindStringSubmatch(want.Render + " "); match != nil {
		opts.KubernetesVersion = match[1]
	}
	started := time.Now()
	result, err := Discover(t.Context(), root.FS(), opts)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(started)
	lines := result.Lines()
	known := map[string]bool{}
	all := recall{}
	var missed []string
	for _, image := range want.Images {
		found := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !matches(line, image.Ref) })
		for _, line := range found {
			known[line] = true
		}
		if image.Kind != "required" {
			continue
		}
		via := cmp.Or(image.Via, "unknown")
		if total[via] == nil {
			total[via] = &recall{}
		}
		total[via].wanted++
		all.wanted++
		if len(found) == 0 {
			missed = append(missed, fmt.Sprintf("%s (%s)", image.Ref, via))
			continue
		}
		total[via].found++
		all.found++
	}
	wrong := slices.DeleteFunc(lines, func(line string) bool { return known[line] })
	t.Logf("%d of %d in %v\nmissed:\n  %s\nnot expected:\n  %s", all.found, all.wanted, took.Round(time.Millisecond),
		strings.Join(missed, "\n  "), strings.Join(wrong, "\n  "))
	for _, p := range result.Problems {
		t.Logf("%s:%d fatal=%v %s", p.File, p.Line, p.Fatal, p.Message)
	}
	if slices.Contains(complete, filepath.Base(dir)) && (len(missed) > 0 || len(wrong) > 0) {
		t.Error("this case has to be complete")
	}
}

// matches compares with a reference of the truth, in which a trailing * is any end.
func matches(line, ref string) bool {
	if prefix, ok := strings.CutSuffix(ref, "*"); ok {
		return strings.HasPrefix(line, prefix)
	}
	return line == ref
}
