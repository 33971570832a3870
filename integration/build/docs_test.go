//go:build lab

package build

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"
)

// example is a Kubefile of a document: a block "```dockerfile ARGUMENTS", and the commands of its image if a block "```commands" follows.
var example = regexp.MustCompile("(?s)```dockerfile([^\n]*)\n(.*?)```\n(?:\n```commands\n(.*?)```\n)?")

// documented are the files that the examples name.
func documented(t *testing.T) files { return filesOf(t, "testdata/docs") }

// filesOf reads the files of a directory.
func filesOf(t *testing.T, dir string) files {
	t.Helper()
	content, root := files{}, os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, name)
		content[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// onExample makes FROM kubernetes:v1.34.4 the image of examples/kubernetes in the lab's registry.
func onExample(t *testing.T) []string {
	t.Helper()
	base := kubernetes(t)
	return []string{"--build-context", "kubernetes:v1.34.4=docker-image://" + base}
}

// TestDocumentsBuild builds every example of the reference, in a context with the files that they name, on the base of
// examples/kubernetes.
func TestDocumentsBuild(t *testing.T) {
	t.Parallel()
	base := onExample(t)
	text, err := os.ReadFile("../../docs/kubefile.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := example.FindAllStringSubmatch(string(text), -1)
	if len(examples) < 9 {
		t.Fatalf("only %d examples: the pattern no longer fits the document", len(examples))
	}
	site := chartSite(t, "store", chart(t, "store", "docker.io/kubefile/store:1"))
	context := documented(t)
	for n, e := range examples {
		t.Run(fmt.Sprint(n+1), func(t *testing.T) {
			arguments, kubefile, commands := e[1], e[2], e[3]
			own := maps.Clone(context)
			own["Kubefile"] = strings.ReplaceAll(kubefile, "helm://charts.example.com/", "helm+"+site+"/")
			dir := own.write(t)
			ref := newName(t)
			args := append([]string{"-t", ref, "--push"}, base...)
			for _, word := range strings.Fields(arguments) {
				args = append(args, strings.ReplaceAll(word, "src=", "src="+dir+"/"))
			}
			if output, err := buildx(t, dir, args...); err != nil {
				t.Fatalf("%v\n%s\n%s", err, own["Kubefile"], output)
			}
			if commands == "" {
				return
			}
			if got := strings.Join(commandsOf(t, ref), "\n") + "\n"; got != commands {
				t.Errorf("%s\nruns\n%s\nnot\n%s", own["Kubefile"], got, commands)
			}
		})
	}
}
