//go:build corpus

// Package corpus reads Kubefiles that other people wrote: see README.md.
package corpus

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/frontend/application"
	"github.com/kubefile/kubefile/frontend/kubefile"
	"github.com/kubefile/kubefile/frontend/lint"
)

// buildFiles returns every second build file of a repository by sorted path.
func buildFiles(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (d.Name() == "Kubefile" || d.Name() == "Dockerfile") {
			all = append(all, name)
		}
		return err
	})
	if err != nil {
		t.Fatalf("%v\nThe inputs are not part of the repository: integration/corpus/fetch.sh fetches them", err)
	}
	slices.Sort(all)
	var second []string
	for i := 0; i < len(all); i += 2 {
		second = append(second, all[i])
	}
	return second
}

// anyImage is a registry that has every image, with an empty config.
type anyImage struct{}

func (anyImage) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config, err := json.Marshal(ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	return ref, digest.FromString(ref), config, err
}

func TestBuildFiles(t *testing.T) {
	for repository, atLeast := range map[string]int{"labring-actions/cluster-image": 130, "sealerio/applications": 18} {
		files := buildFiles(t, filepath.Join("inputs", repository))
		if len(files) < atLeast {
			t.Errorf("%s: only %d files", repository, len(files))
		}
		for _, name := range files {
			t.Run(strings.TrimPrefix(name, "inputs/"), func(t *testing.T) { read(t, name) })
		}
	}
}

func read(t *testing.T, name string) {
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	file, err := kubefile.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	definition, err := llb.Scratch().Marshal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	source := llb.NewSourceMap(nil, "Kubefile", "Kubefile", data)
	source.Definition = definition
	opt := dockerfile2llb.ConvertOpt{MetaResolver: anyImage{}, SourceMap: source}
	if _, err := dockerfile2llb.DockerfileLint(t.Context(), file.Dockerfile(), opt); err != nil {
		t.Errorf("lint: %v", err)
	}
	if _, err := dockerfile2llb.Dockerfile2Outline(t.Context(), file.Dockerfile(), opt); err != nil {
		t.Errorf("outline: %v", err)
	}
	scope := kubefile.Scope{IsReplaced: func(string) bool { return false }}
	rules, err := lint.New(data, nil, func(string, string, string, string, []parser.Range) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := rules.File(file, scope); err != nil {
		t.Errorf("rules for Kubefiles: %v", err)
	}
	content, err := file.Content(scope)
	if err != nil {
		t.Fatal(err)
	}
	want, env := meant(t, data)
	r := application.Request{Env: env}
	for _, s := range content.Steps {
		r.Steps = append(r.Steps, application.Step{Command: s.Command})
	}
	planned, err := application.Plan(os.DirFS(t.TempDir()), r)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range planned.Commands {
		got = append(got, c.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("commands\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// meant reads the commands of the last stage off the syntax tree, and the variables that the file sets.
func meant(t *testing.T, data []byte) (commands, env []string) {
	t.Helper()
	tree, err := parser.Parse(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, node := range tree.AST.Children {
		switch strings.ToUpper(node.Value) {
		case "FROM":
			commands = nil
		case "ENV":
			for n := node.Next; n != nil && n.Next != nil; n = n.Next.Next.Next {
				names = append(names, n.Value)
				env = append(env, n.Value+"="+n.Next.Value)
			}
		case "CMD":
			var words []string
			for n := node.Next; n != nil; n = n.Next {
				words = append(words, n.Value)
			}
			if node.Attributes["json"] && len(words) > 0 && !strings.Contains(words[0], " ") {
				words = []string{strings.Join(words, " ")}
			}
			commands = append(commands, words...)
		}
	}
	for i, line := range commands {
		for _, name := range names {
			line = regexp.MustCompile(`\$\(`+name+`\)`).ReplaceAllLiteralString(line, "${"+name+"}")
		}
		commands[i] = line
	}
	return commands, env
}
