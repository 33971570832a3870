package repository

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// calques are phrases of the word list in docs/developing.md that no sentence needs.
var calques = []*regexp.Regexp{
	regexp.MustCompile(`\bmend(s|ed|ing)?\b`),
	regexp.MustCompile(`\banew\b`),
	regexp.MustCompile(`\bany more\b`),
	regexp.MustCompile(`\bbeside\b`),
	regexp.MustCompile(`\bat hand\b`),
	regexp.MustCompile(`\bwhichever\b`),
	regexp.MustCompile(`\bnobody\b`),
	regexp.MustCompile(`\b(that|this|it|which|they) (is|are) no [a-z]+[,;:.]`),
	regexp.MustCompile(`\bmay stand\b`),
	regexp.MustCompile(`\bstands? (in|there|several)\b`),
	regexp.MustCompile(`\b(takes?|took) the place of\b`),
	regexp.MustCompile(`\bso that [a-z]+ can\b`),
	regexp.MustCompile(`, for (it|they|there|he) [a-z ]*\b(is|are|has|have|was|were)\b`),
}

// TestEnglish looks for the phrases in the prose of pages and templates.
func TestEnglish(t *testing.T) {
	root := repositoryRoot(t)
	for _, name := range documents(t, root) {
		for _, phrase := range findCalques(read(t, filepath.Join(root, name))) {
			t.Errorf("%s: %q; the word list is in docs/developing.md", name, phrase)
		}
	}
}

// findCalques returns the phrases in the prose of a page, with lines joined where a phrase may be broken. Tables are left alone, since the
// word list is one, and so is code.
func findCalques(text string) (found []string) {
	var prose strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		if !strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "    ") {
			prose.WriteString(strings.TrimSpace(line) + " ")
		}
	}
	for _, calque := range calques {
		found = append(found, calque.FindAllString(prose.String(), -1)...)
	}
	return found
}

func TestFindCalques(t *testing.T) {
	for text, want := range map[string]int{
		"It is fixed, and no one has to do it again.":            0,
		"The fields are\nin the table below.":                    0,
		"| mend | fix |\n    mend it":                            0,
		"Mend it? Then mend\nit anew.":                           2,
		"A flag may\nstand many times.":                          1,
		"that is no tag.":                                        1,
		"It waits, for it is not ready.":                         1,
		"This takes the place of that, so that you can go on.":   2,
		"Ask for the file, for a user, or for the time of night": 0,
	} {
		if got := findCalques(text); len(got) != want {
			t.Errorf("%q: got %q, want %d phrases", text, got, want)
		}
	}
}
