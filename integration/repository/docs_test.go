package repository

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents returns the pages of the repository: every tracked place for text, but not what tests read.
func documents(t *testing.T, root string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() && name != root && base != ".github" && (strings.HasPrefix(base, ".") || slices.Contains([]string{"_out", "bin", "dist", "testdata", "inputs"}, base)) {
			return filepath.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(base, ".md") {
			rel, err := filepath.Rel(root, name)
			if err != nil {
				return err
			}
			names = append(names, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 30 {
		t.Fatalf("only %d documents seen: %q", len(names), names)
	}
	return names
}

var (
	makeCommand   = regexp.MustCompile("(?m)(?:^    |`|&& )make ([a-zA-Z=][^`\n]*)")
	testLine      = regexp.MustCompile("(?m)(?:^    |`)((?:[A-Z_]+=\\S+ )*go (?:-C \\S+ )?test [^`\n]*)")
	runnerCommand = regexp.MustCompile("(?m)(?:^    |`)sealer-run ([^`\n]*)")
	relativeLink  = regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)
	headingLine   = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInAnAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestDocumentsNameWhatExists checks every make target, every test, every command and flag of sealer-run, and every link of the documents.
func TestDocumentsNameWhatExists(t *testing.T) {
	root := repositoryRoot(t)
	targets := readMakefile(t)
	help := helpTexts{binary: filepath.Join(t.TempDir(), "sealer-run"), texts: map[string]string{}}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", help.binary, module+"/cmd/sealer-run").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	checked := map[string]int{}
	for _, name := range documents(t, root) {
		text := read(t, filepath.Join(root, name))
		for _, match := range makeCommand.FindAllStringSubmatch(text, -1) {
			checked["make"]++
			for _, problem := range targets.checkMake(commandWords(match[1])) {
				t.Errorf("%s: make %s: %s", name, match[1], problem)
			}
		}
		for _, match := range testLine.FindAllStringSubmatch(text, -1) {
			checked["go test"]++
			command, err := parseTestCommand(commandWords(match[1]))
			if err != nil {
				t.Errorf("%s: %s: %v", name, match[1], err)
				continue
			}
			for _, problem := range command.check(t, root) {
				t.Errorf("%s: %s: %s", name, match[1], problem)
			}
		}
		for _, match := range runnerCommand.FindAllStringSubmatch(text, -1) {
			checked["sealer-run"]++
			help.checkCommand(t, name, match[1])
		}
		for _, match := range relativeLink.FindAllStringSubmatch(text, -1) {
			checked["link"]++
			checkLink(t, root, name, match[1], match[2])
		}
	}
	for what, least := range map[string]int{"make": 15, "go test": 8, "sealer-run": 40, "link": 60} {
		if checked[what] < least {
			t.Errorf("only %d of %s seen, want %d: the patterns no longer fit the documents", checked[what], what, least)
		}
	}
}

// checkLink looks for the file that a page links to, and for the heading in it.
func checkLink(t *testing.T, root, name, target, anchor string) {
	t.Helper()
	file := filepath.Join(root, name)
	if target != "" {
		file = filepath.Join(root, filepath.Dir(name), target)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if anchor == "" || !strings.HasSuffix(file, ".md") {
		return
	}
	for _, match := range headingLine.FindAllStringSubmatch(read(t, file), -1) {
		if anchor == strings.ReplaceAll(notInAnAnchor.ReplaceAllString(strings.ToLower(match[1]), ""), " ", "-") {
			return
		}
	}
	t.Errorf("%s: %s has no heading #%s", name, target, anchor)
}

// word is a part of a command line between blanks that are not inside quotes.
var word = regexp.MustCompile(`(?:"[^"]*"|'[^']*'|[^\s"'])+`)

// commandWords are the words of a command line up to a comment or the next command.
func commandWords(line string) []string {
	words := word.FindAllString(line, -1)
	end := slices.IndexFunc(words, func(w string) bool {
		return strings.HasPrefix(w, "#") || slices.Contains([]string{"&&", "||", "|", ";", ">"}, w)
	})
	if end >= 0 {
		words = words[:end]
	}
	return words
}

// helpTexts are what a program prints for --help, by command.
type helpTexts struct {
	binary string
	texts  map[string]string
}

var runnerCommands = regexp.MustCompile(`^(apply|check|plan|gen|join|delete|status|kubeconfig|inspect|images|version|verify)$`)

func (h helpTexts) of(t *testing.T, command string) string {
	t.Helper()
	if h.texts[command] == "" {
		out, err := exec.CommandContext(t.Context(), h.binary, command, "--help").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		h.texts[command] = string(out)
	}
	return h.texts[command]
}

// checkCommand asks the program itself which flags the command has.
func (h helpTexts) checkCommand(t *testing.T, document, line string) {
	t.Helper()
	line, _, _ = strings.Cut(line, "#")
	words := strings.Fields(line)
	command := "run"
	switch {
	case len(words) == 0:
		return
	case runnerCommands.MatchString(words[0]):
		command = words[0]
	}
	help := h.of(t, command)
	for _, word := range words {
		if regexp.MustCompile(`^--?[a-z]`).MatchString(word) && !regexp.MustCompile(`(^|[\s,])`+regexp.QuoteMeta(word)+`[\s,=]`).MatchString(help) {
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
