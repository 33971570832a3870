package discovery

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/imagespec"
)

// ruleText finds images in texts that are neither YAML nor JSON, by a name before them: scripts, templates, properties.
const ruleText = "text"

// maxNesting bounds documents within strings of documents.
const maxNesting = 4

// nesting is the place of a document that is a string in another one.
type nesting struct {
	node  *yaml.Node // of the outermost document
	line  int        // of it, before the first line of the string
	depth int
	chain []string
}

// inside searches a string that is a document itself, or some other text.
func (s *searcher) inside(n *yaml.Node, at location, depth int) {
	if s.nested.depth < maxNesting && (strings.Contains(n.Value, "\n") || strings.ContainsAny(n.Value[:1], "{[")) && s.documents(n, at, depth) {
		return
	}
	s.lines(n, at)
}

// documents searches a string as YAML or JSON; it is false if it is neither.
func (s *searcher) documents(n *yaml.Node, at location, depth int) bool {
	var roots []*yaml.Node
	var lines []int
	for _, d := range split([]byte(n.Value)) {
		parsed, err := d.parse()
		if err != nil {
			return false
		}
		for _, root := range parsed {
			if top := root.Content[0]; top.Kind != yaml.MappingNode && top.Kind != yaml.SequenceNode {
				return false
			}
			roots, lines = append(roots, root.Content[0]), append(lines, d.line)
		}
	}
	if len(roots) == 0 {
		return false
	}
	outer, kindBefore := s.nested, s.kind
	defer func() { s.nested, s.kind = outer, kindBefore }()
	for i, root := range roots {
		s.nested = nesting{node: n, line: n.Line + lines[i], depth: outer.depth + 1, chain: append(append([]string{}, outer.chain...), "in "+at.key)}
		if outer.node != nil {
			s.nested.node, s.nested.line = outer.node, outer.line+n.Line+lines[i]
		}
		if n.Style&yaml.LiteralStyle == 0 { // its lines differ from those of the file
			s.nested.line -= max(1, root.Line)
		}
		s.document(root, at, depth+1)
	}
	return true
}

var (
	// assignment is a line that gives something a value: image: x, IMAGE=x, "image": "x".
	assignment = regexp.MustCompile(`([A-Za-z_][\w.-]*)["']?\s*[:=]\s*["']?([^\s"'#]+)`)
	// pull is a line that makes a container runtime fetch something.
	pull = regexp.MustCompile(`\b(?:docker|nerdctl|podman|crictl|ctr)\b.*\b(?:pull|run|create)\b(.*)`)
)

// lines searches a text line by line. Only references with a registry or a namespace, and a tag, count, because the kind of text is
// unknown.
func (s *searcher) lines(n *yaml.Node, at location) {
	report := func(word string, line int) {
		word = strings.Trim(word, `"',;)`)
		if likely(word) < pathName {
			return
		}
		one := s.copied(n)
		if n.Style&yaml.LiteralStyle != 0 {
			one.Line += line
		}
		s.found(one, word, ruleText, imagespec.ClassStrong)
	}
	number := 0
	for text := range strings.SplitSeq(n.Value, "\n") {
		number++
		text = strings.TrimSpace(text)
		if !s.step(0) || strings.HasPrefix(text, "#") || strings.HasPrefix(text, "//") {
			continue
		}
		for _, match := range assignment.FindAllStringSubmatch(text, -1) {
			if namesImages(match[1]) {
				report(match[2], number)
			}
		}
		if match := pull.FindStringSubmatch(text); match != nil {
			for word := range strings.FieldsSeq(match[1]) {
				report(word, number)
			}
		}
		if namesImages(at.key) || namesImageLists(at.key) || strings.Contains(normal(at.key), "image") {
			for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ' ' || r == ',' || r == ';' || r == '=' }) {
				report(word, number)
			}
		}
	}
}
