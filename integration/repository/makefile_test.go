package repository

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	phonyLine  = regexp.MustCompile(`(?m)^\.PHONY:(.*)$`)
	targetLine = regexp.MustCompile(`(?m)^([a-z0-9-]+):`)
	helpLine   = regexp.MustCompile(`(?m)^([a-z0-9-]+):.*## (\S.*)$`) // as in help.awk
	makeName   = regexp.MustCompile(`\b[A-Z][A-Z0-9_]*\b`)
)

// makefile is what can be asked for on a command line of make.
type makefile struct {
	targets   []string
	variables []string // any name in capitals, of make or of what it calls
	text      string
}

func readMakefile(t *testing.T) makefile {
	t.Helper()
	text := read(t, filepath.Join(repositoryRoot(t), "Makefile"))
	m := makefile{text: text, variables: makeName.FindAllString(text, -1)}
	for _, match := range targetLine.FindAllStringSubmatch(text, -1) {
		m.targets = append(m.targets, match[1])
	}
	if len(m.targets) < 15 {
		t.Fatalf("only %d targets seen in the Makefile: %q", len(m.targets), m.targets)
	}
	return m
}

// TestHelpHasEveryTarget compares the targets that the Makefile declares as phony with those that a bare make prints.
func TestHelpHasEveryTarget(t *testing.T) {
	m := readMakefile(t)
	var declared, helped []string
	for _, match := range phonyLine.FindAllStringSubmatch(m.text, -1) {
		declared = append(declared, strings.Fields(match[1])...)
	}
	for _, match := range helpLine.FindAllStringSubmatch(m.text, -1) {
		helped = append(helped, match[1])
	}
	for _, target := range m.targets {
		if !slices.Contains(declared, target) {
			t.Errorf("target %s: no .PHONY line declares it", target)
		}
		if !slices.Contains(helped, target) {
			t.Errorf("target %s: make does not print it; add a text after ##", target)
		}
	}
	for _, target := range declared {
		if !slices.Contains(m.targets, target) {
			t.Errorf(".PHONY declares %s, which is not a target", target)
		}
	}
	if first := strings.Index(m.text, "\n## "); first > strings.Index(m.text, "\nbuild:") {
		t.Error("the help has no title above its first targets")
	}
}

// checkMake returns what is wrong with the words after "make" on a command line.
func (m makefile) checkMake(words []string) (problems []string) {
	for _, word := range words {
		if name, _, ok := strings.Cut(word, "="); ok {
			if !slices.Contains(m.variables, name) {
				problems = append(problems, "the Makefile has no variable "+name)
			}
			continue
		}
		if !strings.HasPrefix(word, "-") && !slices.Contains(m.targets, word) {
			problems = append(problems, "there is no make target "+word)
		}
	}
	return problems
}

func TestCheckMake(t *testing.T) {
	m := makefile{targets: []string{"soak", "down"}, variables: []string{"SOAK"}}
	for line, want := range map[string]string{
		"soak SOAK=1s down":  "",
		"-n soak":            "",
		"soak SEED=1":        "the Makefile has no variable SEED",
		"up down":            "there is no make target up",
		"up soak SEED=1 SO=": "there is no make target up, the Makefile has no variable SEED, the Makefile has no variable SO",
	} {
		if got := strings.Join(m.checkMake(strings.Fields(line)), ", "); got != want {
			t.Errorf("make %s: got %q, want %q", line, got, want)
		}
	}
}
