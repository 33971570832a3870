package repository

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documents are those whose command lines a reader types.
var documents = []string{
	"README.md", "docs/operations.md", "docs/troubleshooting.md", "docs/kubefile.md", "docs/clusterfile.md", "docs/plugins.md", "docs/discovery.md",
	"docs/rules/README.md", "examples/kubernetes/README.md", "examples/dashboard/README.md", "examples/redis/README.md",
	"examples/mysql-cluster/README.md", "examples/web/README.md",
}

// TestDocumentsNameWhatExists checks every make target, every command and flag of sealer-run, and every link of the documents.
func TestDocumentsNameWhatExists(t *testing.T) {
	root := repositoryRoot(t)
	makefile := read(t, filepath.Join(root, "Makefile"))
	binary := filepath.Join(t.TempDir(), "sealer-run")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, module+"/cmd/sealer-run").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	checked := 0
	for _, name := range documents {
		text := read(t, filepath.Join(root, name))
		for _, match := range regexp.MustCompile("(?m)(?:^    |`)make ([a-z-]+)").FindAllStringSubmatch(text, -1) {
			checked++
			if !regexp.MustCompile(`(?m)^` + match[1] + `:`).MatchString(makefile) {
				t.Errorf("%s: there is no make target %s", name, match[1])
			}
		}
		for _, match := range regexp.MustCompile("(?m)(?:^    |`)sealer-run ([^`\n]*)").FindAllStringSubmatch(text, -1) {
			checked++
			checkCommand(t, name, binary, match[1])
		}
		for _, match := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(text, -1) {
			checked++
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(name), match[1])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if checked < 25 {
		t.Errorf("only %d commands and links seen: the patterns no longer fit the documents", checked)
	}
}

// checkCommand asks the program itself which flags the command has.
func checkCommand(t *testing.T, document, binary, line string) {
	t.Helper()
	line, _, _ = strings.Cut(line, "#")
	words := strings.Fields(line)
	command := "run"
	switch {
	case len(words) == 0:
		return
	case regexp.MustCompile(`^(apply|plan|gen|delete|status|kubeconfig|inspect|images)$`).MatchString(words[0]):
		command = words[0]
	}
	help, err := exec.CommandContext(t.Context(), binary, command, "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, help)
	}
	for _, word := range words {
		if regexp.MustCompile(`^--?[a-z]`).MatchString(word) && !regexp.MustCompile(`(^|[\s,])`+regexp.QuoteMeta(word)+`[\s,=]`).Match(help) {
			t.Errorf("%s: sealer-run %s has no flag %s", document, command, word)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
