package check

import (
	"fmt"
	"strings"

	"github.com/docker/go-units"
)

// Listed is how many things of one kind a message names.
const Listed = 5

// List names a few things for a person, and how many more there are.
func List(words []string) string {
	if len(words) > Listed {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:Listed], ", "), len(words)-Listed)
	}
	return strings.Join(words, ", ")
}

// Size is a number of bytes for a person.
func Size(n uint64) string { return units.HumanSizeWithPrecision(float64(n), 3) }

// oneLine is a text without line breaks: what a host says cannot look like lines of the report.
func oneLine(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("\n\v\f\r\u0085\u2028\u2029", r) })
	return strings.Join(lines, "; ")
}
