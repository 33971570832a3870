package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// TestTableMatchesModules: every row is pinned by its go.mod, every tool line of every go.mod has a row.
func TestTableMatchesModules(t *testing.T) {
	built := map[string][]string{} // module directory to the packages that the table builds there
	for _, p := range programs {
		built[p.dir] = append(built[p.dir], p.packages...)
	}
	for dir, packages := range built {
		mod := readModule(t, dir)
		var declared []string
		for _, tool := range mod.Tool {
			declared = append(declared, tool.Path)
			if !slices.Contains(packages, tool.Path) {
				t.Errorf("%s/go.mod has the tool %s, which no row of the table builds", dir, tool.Path)
			}
		}
		for _, pkg := range packages {
			if !strings.HasPrefix(pkg, "./") && !slices.Contains(declared, pkg) {
				t.Errorf("%s/go.mod has no tool line for %s", dir, pkg)
			}
		}
	}
	modules, err := filepath.Glob("*/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range modules {
		if dir := filepath.Dir(file); built[dir] == nil {
			t.Errorf("%s pins tools that no row of the table builds", file)
		}
	}
}

// TestVersions: what a tool is called in the cache and what is stamped into it is the version in the go.mod that builds it.
func TestVersions(t *testing.T) {
	all, err := tools(".")
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range programs {
		var want string
		mod := readModule(t, p.dir)
		for _, r := range mod.Require {
			if r.Mod.Path == p.module {
				want = r.Mod.Version
			}
		}
		for _, r := range mod.Replace {
			if r.Old.Path == p.module {
				want = r.New.Version
			}
		}
		if got := all[i].version; want == "" || got != want {
			t.Errorf("%s: version %q, %s/go.mod requires %s %q", p.name, got, p.dir, p.module, want)
		}
		ldflags := strings.Join(p.command(want), " ")
		if strings.ContainsAny(ldflags, "{}") || strings.Count(ldflags, want) < min(1, len(p.set)) {
			t.Errorf("%s: the version is not stamped by %q", p.name, ldflags)
		}
	}
}

func TestBinaryNamesAreUnique(t *testing.T) {
	all, err := tools(".")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, tool := range all {
		for _, name := range tool.binaries {
			if other, ok := seen[name]; ok {
				t.Errorf("%s and %s both make %s", other, tool.name, name)
			}
			seen[name] = tool.name
		}
	}
}

// TestDependenciesOfKubernetes: the modules of Kubernetes' release have the versions of that release, whatever the other programs of
// the module require.
func TestDependenciesOfKubernetes(t *testing.T) {
	list := func(args ...string) []string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-mod=readonly", "-m"}, args...)...)
		cmd.Dir, cmd.Env = "cluster", append(os.Environ(), "GOWORK=off", "GOFLAGS=")
		output, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", cmd, err)
		}
		return strings.Fields(string(output))
	}
	file := list("-f", "{{.GoMod}}", "k8s.io/kubernetes")[0]
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	release, err := modfile.Parse(file, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]string{}
	for _, selected := range list("-f", "{{.Path}}@{{with .Replace}}{{.Version}}{{else}}{{.Version}}{{end}}", "all") {
		name, version, _ := strings.Cut(selected, "@")
		ours[name] = version
	}
	for _, r := range release.Require {
		staged := r.Mod.Version == "v0.0.0"                  // published as v0.X.Y with Kubernetes v1.X.Y
		etcd := strings.HasPrefix(r.Mod.Path, "go.etcd.io/") // kubeadm asks for another patch release
		if got := ours[r.Mod.Path]; got != "" && got != r.Mod.Version && !staged && !etcd {
			t.Errorf("%s is %s; run: go -C integration/tools/cluster mod edit -replace=%[1]s=%[1]s@%[3]s", r.Mod.Path, got, r.Mod.Version)
		}
	}
}

// The frontend discovers images with Helm's library and sites install with Helm's command: both must render alike.
func TestHelmIsTheFrontends(t *testing.T) {
	versions := map[string]string{}
	for _, dir := range []string{"helm", "../.."} {
		for _, r := range readModule(t, dir).Require {
			if r.Mod.Path == "helm.sh/helm/v4" {
				versions[dir] = r.Mod.Version
			}
		}
	}
	if versions["helm"] == "" || versions["helm"] != versions["../.."] {
		t.Errorf("helm is %q here and %q in the frontend", versions["helm"], versions["../.."])
	}
}

func TestChoose(t *testing.T) {
	all := []tool{{name: "b", binaries: []string{"b"}}, {name: "k", binaries: []string{"k1", "k2"}}, {name: "c", binaries: []string{"c"}}}
	for _, test := range []struct {
		names []string
		want  string // or the error
	}{
		{nil, "b k c"},
		{[]string{"c", "b"}, "b c"},
		{[]string{"k2", "k1"}, "k"},
		{[]string{"k"}, "k"},
		{[]string{"b", "x"}, `no tool or binary is called "x"; there are: b k c`},
	} {
		chosen, err := choose(all, test.names)
		got := strings.Join(toolNames(chosen), " ")
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("choose(%q) = %s, want %s", test.names, got, test.want)
		}
	}
}

func readModule(t *testing.T, dir string) *modfile.File {
	t.Helper()
	file := filepath.Join(dir, "go.mod")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse(file, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return mod
}
