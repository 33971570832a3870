package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const changelog = "CHANGELOG.md"

// writeNotes writes the section of the changelog about the version.
func (r *release) writeNotes() error {
	data, err := os.ReadFile(filepath.Join(r.root, changelog))
	if err != nil {
		return err
	}
	notes, section, err := cutNotes(string(data), r.version)
	if err != nil {
		return fmt.Errorf("%s: %w", changelog, err)
	}
	if section == unreleased {
		fmt.Fprintf(os.Stderr, "release notes: %s has no section [%s], so they are its section [%s]\n", changelog, strings.TrimPrefix(r.version, "v"), section)
	}
	return r.write("RELEASE-NOTES.md", []byte(forRelease(notes, r.version)))
}

var (
	heading = regexp.MustCompile(`^## \[?([^\]\s]+)\]?`)
	// link is a definition at the end of the file: [0.1.0]: https://…
	link = regexp.MustCompile(`^\[[^\]]+\]: `)
	// relative is a link to a file of the repository.
	relative = regexp.MustCompile(`\]\(([\w.][^):\s]*)\)`)
	// starts is a line that continues no other: a heading, an item, a row of a table, a quotation, a fence.
	starts = regexp.MustCompile("^\\s*(#|[-*+] |\\d+[.)] |\\||>|```)")
	// ends is a line that no other continues.
	ends = regexp.MustCompile("^\\s*(#|\\||```|$)")
)

// unreleased is the section for what the next version will have.
const unreleased = "Unreleased"

// forRelease returns notes as the text of a GitHub release, where each line break inside a paragraph shows, and where links need a whole
// address. Code stays as it is.
func forRelease(notes, version string) string {
	var lines []string
	fenced, previous := false, ""
	for line := range strings.Lines(notes) {
		line = strings.TrimRight(line, "\n")
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		code := fenced || fence || strings.HasPrefix(line, "    ") && (previous == "" || strings.HasPrefix(previous, "    "))
		if fence {
			fenced = !fenced
		}
		if !code {
			line = relative.ReplaceAllString(line, "]("+project+"/blob/"+version+"/$1)")
		}
		if code || len(lines) == 0 || starts.MatchString(line) || ends.MatchString(line) || ends.MatchString(previous) {
			lines = append(lines, line)
		} else {
			lines[len(lines)-1] += " " + strings.TrimSpace(line)
		}
		previous = line
	}
	return strings.Join(lines, "\n") + "\n"
}

// cutNotes returns the section "## [0.1.0]" or "## [v0.1.0]" of a changelog as keepachangelog.com describes it, or the section
// "## [Unreleased]" if the version has none yet, and which of them it is.
func cutNotes(text, version string) (notes, section string, err error) {
	sections, name := map[string][]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if match := heading.FindStringSubmatch(line); match != nil {
			name = match[1]
			continue
		}
		if !link.MatchString(line) {
			sections[name] = append(sections[name], line)
		}
	}
	for _, section := range []string{strings.TrimPrefix(version, "v"), version, unreleased} {
		if notes := strings.TrimSpace(strings.Join(sections[section], "\n")); notes != "" {
			return notes + "\n", section, nil
		}
	}
	return "", "", errors.New("no section [" + strings.TrimPrefix(version, "v") + "] and nothing in [Unreleased]: describe the release there")
}
