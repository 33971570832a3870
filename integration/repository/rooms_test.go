// Package repository holds the checks of the repository itself: which room may
// import which, and that what the documents say is run somewhere.
package repository

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/kubefile/kubefile"

// rooms lists for each top-level directory the others that it may import (docs/architecture.md, "Packages"). A nil list means none, "*"
// means all.
var rooms = map[string][]string{
	"version":       nil,
	"imagespec":     nil,
	"llb":           {"imagespec"},
	"frontend":      {"llb", "imagespec", "version"},
	"registryproxy": {"imagespec"},
	"runner":        {"imagespec", "registryproxy"},
	"cmd":           {"*"},
	"integration":   {"*"},
}

// insideRunner lists for packages of runner the others there that they may import: arrows go in one direction, from the work to what it is done
// with. Go refuses circles.
var insideRunner = map[string][]string{
	"runner/agent":              {"runner/agent/journal", "runner/agent/layers", "runner/agent/wire"},
	"runner/agent/client":       {"runner/agent/hostrecord", "runner/agent/wire", "runner/host", "runner/source"},
	"runner/agent/clusterdir":   {"runner/agent/hostrecord", "runner/agent/wire"},
	"runner/agent/hostrecord":   {"runner/agent/wire"},
	"runner/agent/journal":      {"runner/agent/clusterdir", "runner/agent/hostrecord", "runner/agent/wire"},
	"runner/agent/layers":       {"runner/agent/clusterdir", "runner/agent/wire", "runner/source/layerfs"},
	"runner/agent/wire":         {"runner/source/layerfs"},
	"runner/check":              {"runner/host"},
	"runner/check/checklist":    {"runner/check", "runner/check/machine", "runner/check/network"},
	"runner/check/machine":      {"runner/check", "runner/host"},
	"runner/check/network":      {"runner/check", "runner/host"},
	"runner/host":               {},
	"runner/host/login":         {"runner/host", "runner/host/stream", "runner/inputfile"},
	"runner/host/stream":        {},
	"runner/kubeadm":            {"runner/kubeadm/schema"},
	"runner/kubeadm/difference": {"runner/kubeadm"},
	"runner/kubeadm/schema":     {},
	"runner/source":             {"runner/source/layerfs", "runner/source/remote"},
	"runner/source/audit":       {"runner/source", "runner/source/layerfs"},
	"runner/source/layerfs":     {},
	"runner/source/remote":      {},

	"runner/report": {"runner/host"},
	"runner/execute": {"runner/agent/client", "runner/agent/hostrecord", "runner/agent/wire", "runner/clusterfile", "runner/host",
		"runner/kube", "runner/kubeadm", "runner/plugin", "runner/report"},
	"runner/store":  {"runner/agent/hostrecord", "runner/execute", "runner/host", "runner/kube", "runner/plugin", "runner/state"},
	"runner/ask":    {"runner/execute", "runner/host", "runner/kube", "runner/report", "runner/store"},
	"runner/status": {"runner/ask", "runner/execute", "runner/kube", "runner/kubeadm", "runner/store"},
	"runner/reach": {"runner/agent/client", "runner/agent/wire", "runner/ask", "runner/clusterfile", "runner/execute", "runner/host",
		"runner/plugin", "runner/store"},
	"runner/fingerprint": {"runner/clusterfile", "runner/config", "runner/environment", "runner/registry", "runner/report", "runner/state"},
	"runner/network":     {"runner/execute", "runner/host", "runner/kubeadm", "runner/unit"},
	"runner/reconfigure": {"runner/clusterfile", "runner/environment", "runner/execute", "runner/health", "runner/host", "runner/kube",
		"runner/kubeadm", "runner/kubeadm/difference", "runner/kubelet", "runner/report", "runner/state", "runner/store",
		"runner/unit"},
	"runner/registry": {"runner/agent/wire", "runner/check", "runner/execute", "runner/host", "runner/source", "runner/store",
		"runner/unit"},
	"runner/membership": {"runner/execute", "runner/host", "runner/kube", "runner/kubeadm", "runner/store"},
	"runner/clean": {"runner/agent/client", "runner/agent/hostrecord", "runner/command", "runner/environment", "runner/execute",
		"runner/host", "runner/kubeadm", "runner/plugin", "runner/report", "runner/store", "runner/unit"},
	"runner/leave": {"runner/agent/hostrecord", "runner/agent/wire", "runner/balancer", "runner/clean", "runner/execute",
		"runner/health", "runner/host", "runner/kube", "runner/plugin", "runner/reach", "runner/registry", "runner/report",
		"runner/state", "runner/store", "runner/unit"},
	"runner/join": {"runner/agent/hostrecord", "runner/agent/wire", "runner/balancer", "runner/clusterfile", "runner/command",
		"runner/environment", "runner/execute", "runner/fingerprint", "runner/health", "runner/host", "runner/kube",
		"runner/kubeadm", "runner/kubeadm/difference", "runner/kubelet", "runner/membership", "runner/plugin",
		"runner/reconfigure", "runner/registry", "runner/report", "runner/source", "runner/state", "runner/store",
		"runner/unit"},
	"runner/adapt": {"runner/clusterfile", "runner/config", "runner/environment", "runner/execute", "runner/kubeadm", "runner/plugin",
		"runner/registry", "runner/source", "runner/source/layerfs", "runner/state", "runner/unit"},
	"runner/deliver": {"runner/adapt", "runner/agent/client", "runner/agent/wire", "runner/ask", "runner/execute", "runner/report",
		"runner/source", "runner/source/layerfs", "runner/state", "runner/store"},
	"runner/command": {"runner/adapt", "runner/clusterfile", "runner/config", "runner/environment", "runner/execute", "runner/host", "runner/plugin",
		"runner/report", "runner/source", "runner/state", "runner/store"},
	"runner/unit":    {"runner/agent/wire", "runner/execute", "runner/host", "runner/report"},
	"runner/health":  {"runner/agent/wire", "runner/execute", "runner/host", "runner/kube", "runner/kubeadm", "runner/report"},
	"runner/kubelet": {"runner/agent/wire", "runner/execute", "runner/host", "runner/report", "runner/unit"},
}

// forbidden lists import path prefixes that a folder must not know.
var forbidden = map[string][]string{
	"imagespec":          {"github.com/moby/buildkit"},
	"frontend/discovery": {"github.com/moby/buildkit"},
	"registryproxy":      {"github.com/moby/buildkit"},
	"runner":             {"github.com/moby/buildkit"},
	"cmd/sealer-run":     {"github.com/moby/buildkit"},
}

func TestImportsStayInTheirRooms(t *testing.T) {
	root := repositoryRoot(t)
	files := 0
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skipped(root, name) {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, ".go") {
			files++
			checkImports(t, root, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Fatalf("only %d Go files seen under %s: the walk does not see the project", files, root)
	}
}

// skipped leaves out hidden and generated folders and modules of their own.
func skipped(root, dir string) bool {
	if dir == root {
		return false
	}
	base := filepath.Base(dir)
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func checkImports(t *testing.T, root, name string) {
	t.Helper()
	rel, err := filepath.Rel(root, name)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.ToSlash(filepath.Dir(rel))
	room, _, _ := strings.Cut(dir, "/")
	allowed, known := rooms[room]
	if !known {
		t.Errorf("%s: folder %q is no room of docs/architecture.md", rel, room)
		return
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if own, ok := strings.CutPrefix(imported, module+"/"); ok {
			to, _, _ := strings.Cut(own, "/")
			if to != room && !slices.Contains(allowed, to) && !slices.Contains(allowed, "*") {
				t.Errorf("%s imports %s: room %s may import only %v", rel, imported, room, allowed)
			}
			if inside, listed := insideRunner[dir]; listed && to == "runner" && !slices.Contains(inside, own) && !strings.HasSuffix(name, "_test.go") {
				t.Errorf("%s imports %s: %s may import only %v of runner", rel, imported, dir, inside)
			}
		}
		for folder, prefixes := range forbidden {
			if dir != folder && !strings.HasPrefix(dir, folder+"/") {
				continue
			}
			for _, prefix := range prefixes {
				if imported == prefix || strings.HasPrefix(imported, prefix+"/") {
					t.Errorf("%s imports %s: %s is free of it", rel, imported, folder)
				}
			}
		}
	}
}

// repositoryRoot finds the folder of the project's go.mod above this test.
func repositoryRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir = filepath.ToSlash(dir); dir != path.Dir(dir); dir = path.Dir(dir) {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(content), "module "+module+"\n") {
			return dir
		}
	}
	t.Fatal("no go.mod of " + module + " above the test")
	return ""
}

// maxLines is how many lines of production code a package of runner may have: more than that has more than one idea.
const maxLines = 1500

func TestPackagesOfRunnerHaveOneIdea(t *testing.T) {
	root := repositoryRoot(t)
	lines := map[string]int{}
	err := filepath.WalkDir(filepath.Join(root, "runner"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(name))
		lines[filepath.ToSlash(rel)] += strings.Count(string(content), "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range slices.Sorted(maps.Keys(lines)) {
		if lines[dir] > maxLines {
			t.Errorf("%s has %d lines of production code, want at most %d: divide it", dir, lines[dir], maxLines)
		}
	}
}
