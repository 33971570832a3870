package clusterfile

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// No message shows a value: it may be a password that YAML reads as something else.

// textLine matches the beginning of an error of the YAML libraries about a line.
var textLine = regexp.MustCompile(`(?m)^(?:yaml: )?(?:unmarshal errors:\n)?\s*line (\d+): `)

// unknownAnchor matches an error of the YAML library that has no line.
var unknownAnchor = regexp.MustCompile(`unknown anchor '(.*)' referenced`)

// explanations map errors of the YAML library to messages for users.
var explanations = []struct {
	says    *regexp.Regexp
	meaning string
}{
	{unknownAnchor, `YAML reads a value that begins with * as an alias, and nothing has that name: put the value in quotes`},
	{regexp.MustCompile(`(?s)anchor '.*' value contains itself`), `an alias is inside of what it names`},
	{regexp.MustCompile(`found character that cannot start any token`),
		"a value begins with a tab, @, % or `: indent with spaces, and put such a value in quotes"},
	{regexp.MustCompile(`(?s)cannot (?:unmarshal|decode) !!?(\w*) .*? (?:into|as) .*`), `a value of another type is wanted here`},
	{regexp.MustCompile(`mapping key ".*" already defined at`), `this field is already defined at`},
	{regexp.MustCompile("(?s)`.*`|'.*'|\".*\""), `…`},
}

// Explain returns a message for an error of the YAML library, without the values that the library quotes.
func Explain(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var explained []string
	for line := range strings.SplitSeq(text, "\n") {
		for _, e := range explanations {
			line = e.says.ReplaceAllLiteralString(line, e.meaning)
			if strings.Contains(line, e.meaning) {
				break
			}
		}
		explained = append(explained, line)
	}
	return errors.New(strings.TrimPrefix(strings.Join(explained, "\n"), "unmarshal errors:\n"))
}

// secretFields are the names of fields that hold passwords.
var secretFields = []string{"passwd", "pkPasswd", "password"}

// lost reports whether YAML reads an intended password as a comment or an anchor.
func lost(key, value *yaml.Node) bool {
	return slices.Contains(secretFields, key.Value) && isNull(value) && value.Value == "" &&
		(value.Anchor != "" || key.LineComment != "" || value.LineComment != "" || value.HeadComment != "")
}

// halved reports whether a value may have had a comma, so that its second half is a field without a value: {passwd: a,b}.
func halved(value *yaml.Node) bool { return isNull(value) && value.Value == "" }
