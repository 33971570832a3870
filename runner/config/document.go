package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/imagespec/clusterfile"
)

// Limits on what is parsed.
const (
	maxDocuments = 1000
	maxNodes     = 500_000 // of all documents, with aliases written out; each costs some 300 bytes of memory
	maxDepth     = 500
)

var errTooManyNodes = fmt.Errorf("more than %d values", maxNodes)

// document is a part of a YAML stream, or a whole JSON file.
type document struct {
	line int        // lines of the stream before it
	mark []byte     // the line "---" or "..." that it begins with, if nothing but a comment follows there
	body []byte     // the rest
	root *yaml.Node // a document node, without aliases; nil if there are only comments
	json bool
	// changed says that body is not what root says.
	changed bool
}

func (d *document) value() *yaml.Node { return d.root.Content[0] }

// parse reads a stream. Documents that change nothing stay as they are, byte for byte.
func parse(data []byte) ([]*document, error) {
	if separators(data) > maxNodes {
		return nil, errTooManyNodes
	}
	documents := split(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	if len(documents) > maxDocuments {
		return nil, fmt.Errorf("more than %d documents", maxDocuments)
	}
	left := maxNodes
	for _, d := range documents {
		if err := d.parse(&left); err != nil {
			return nil, err
		}
	}
	return documents, nil
}

// separators counts what separates the values of YAML and JSON: the parser would take memory for each.
func separators(data []byte) int {
	count := 0
	for _, b := range []string{",", ":", "[", "{", "- ", "\n"} {
		count += bytes.Count(data, []byte(b))
	}
	return count
}

// split cuts a stream where a line begins with "---" or "...", which no scalar can hold (YAML 1.2, section 9.1.2).
func split(data []byte) []*document {
	documents := []*document{{}}
	last := documents[0]
	line := 0
	for text := range bytes.Lines(data) {
		if rest, ok := marks(text); ok {
			last = &document{line: line}
			documents = append(documents, last)
			if len(rest) == 0 || rest[0] == '#' {
				last.mark = text
				text = nil
			}
		}
		last.body = append(last.body, text...)
		line++
	}
	return documents
}

// marks reports whether a line begins or ends a document, and what follows in it.
func marks(line []byte) ([]byte, bool) {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	if !ok {
		rest, ok = bytes.CutPrefix(line, []byte("..."))
	}
	if ok && len(rest) > 0 && !bytes.ContainsRune([]byte(" \t\r\n"), rune(rest[0])) {
		return nil, false
	}
	return bytes.TrimSpace(rest), ok
}

// empty reports whether there are only comments, and directives for the next document (YAML 1.2, section 6.8).
func (d *document) empty() bool {
	for line := range bytes.Lines(d.body) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && line[0] != '%' {
			return false
		}
	}
	return true
}

func (d *document) parse(left *int) error {
	if d.empty() {
		return nil
	}
	var root, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(d.body))
	err := decoder.Decode(&root)
	if err == nil {
		if err = decoder.Decode(&more); err == nil {
			err = errors.New("what follows is a document of its own: put a line --- before it")
		} else if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		return d.explain(err)
	}
	r := reader{left: left, line: d.line + bytes.Count(d.mark, []byte("\n"))}
	d.root, err = r.copy(&root, 0)
	return err
}

// line is how the parser says where it found something.
var line = regexp.MustCompile(`^line (\d+): `)

// explain gives an error of the parser the line in the stream.
func (d *document) explain(err error) error {
	text, at := clusterfile.Explain(err).Error(), 1
	if match := line.FindStringSubmatch(text); match != nil {
		at, _ = strconv.Atoi(match[1])
		text = strings.TrimPrefix(text, match[0])
	}
	return fmt.Errorf("line %d: no valid YAML: %s", d.line+bytes.Count(d.mark, []byte("\n"))+max(at, 1), text)
}

// reader copies nodes, with aliases and merge keys (the YAML 1.1 type "<<") written out, and refuses what cannot be merged.
type reader struct {
	left *int // nodes
	line int  // before the first
}

func (r *reader) fail(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("line %d: %w", r.line+n.Line, fmt.Errorf(format, args...))
}

func (r *reader) copy(n *yaml.Node, depth int) (*yaml.Node, error) {
	if *r.left--; *r.left < 0 {
		return nil, errTooManyNodes
	}
	if depth > maxDepth {
		return nil, r.fail(n, "nested more than %d deep", maxDepth)
	}
	if n.Kind == yaml.AliasNode {
		c, err := r.copy(n.Alias, depth+1)
		if err == nil {
			c.HeadComment, c.LineComment, c.FootComment = n.HeadComment, n.LineComment, n.FootComment
		}
		return c, err
	}
	c := *n
	c.Anchor, c.Content = "", nil
	if n.Kind == yaml.MappingNode {
		return &c, r.pairs(n, &c, depth)
	}
	for _, child := range n.Content {
		copied, err := r.copy(child, depth+1)
		if err != nil {
			return nil, err
		}
		c.Content = append(c.Content, copied)
	}
	return &c, nil
}

// pairs copies the content of a map.
func (r *reader) pairs(from, to *yaml.Node, depth int) error {
	seen := map[string]bool{}
	var merged []*yaml.Node
	for i := 0; i < len(from.Content); i += 2 {
		key, err := r.copy(from.Content[i], depth+1)
		if err != nil {
			return err
		}
		if key.Kind != yaml.ScalarNode {
			return r.fail(from.Content[i], "a key that is a map or a list")
		}
		if key.ShortTag() == "!!merge" {
			merged = append(merged, from.Content[i+1])
			continue
		}
		if seen[key.Value] { // 1 and "1" are one key, as in JSON
			return r.fail(from.Content[i], "key %q is set twice", key.Value)
		}
		seen[key.Value] = true
		value, err := r.copy(from.Content[i+1], depth+1)
		if err != nil {
			return err
		}
		to.Content = append(to.Content, key, value)
	}
	for _, m := range merged {
		if err := r.mergeKey(m, to, seen, depth); err != nil {
			return err
		}
	}
	return nil
}

// mergeKey adds what a map has by its merge key and not by itself. Of several maps the first wins.
func (r *reader) mergeKey(from, to *yaml.Node, seen map[string]bool, depth int) error {
	value, err := r.copy(from, depth+1)
	if err != nil {
		return err
	}
	maps := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		maps = value.Content
	}
	for _, m := range maps {
		if m.Kind != yaml.MappingNode {
			return r.fail(from, "<< takes maps")
		}
		for i := 0; i < len(m.Content); i += 2 {
			if key := m.Content[i].Value; !seen[key] {
				seen[key] = true
				to.Content = append(to.Content, m.Content[i], m.Content[i+1])
			}
		}
	}
	return nil
}

// onlyDocument is the value of a stream of one document.
func onlyDocument(data []byte) (*yaml.Node, error) {
	documents, err := parse(data)
	if err != nil {
		return nil, err
	}
	documents = filled(documents)
	switch len(documents) {
	case 0:
		return nil, errors.New("there is nothing in it")
	case 1:
		return documents[0].value(), nil
	}
	return nil, fmt.Errorf("line %d: a second document", documents[1].line+1)
}

// onlyMap is [onlyDocument] that has to be a map.
func onlyMap(data []byte) (*yaml.Node, error) {
	value, err := onlyDocument(data)
	if err == nil && value.Kind != yaml.MappingNode {
		err = fmt.Errorf("it is %s, not a map", kind(value))
	}
	return value, err
}

// filled leaves out documents that are comments only.
func filled(documents []*document) []*document {
	var all []*document
	for _, d := range documents {
		if d.root != nil {
			all = append(all, d)
		}
	}
	return all
}

// kind is what a person calls a node.
func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	}
	if tag, ok := strings.CutPrefix(n.ShortTag(), "!!"); ok && slices.Contains([]string{"str", "int", "float", "bool", "null"}, tag) {
		return "a single value (" + tag + ")"
	}
	return "a single value"
}
