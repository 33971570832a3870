package clusterfile

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Limits of Clusterfiles. The limits of a document apply after its aliases are expanded, so a few lines cannot become gigabytes.
const (
	maxNodes    = 50_000
	maxBytes    = 16 << 20
	maxDepth    = 50
	maxProblems = 20 // that are told of one file
)

// Document is one YAML document: a map, without aliases and merge keys, in which no field is set twice.
type Document struct {
	File string
	// Root is the map. Its nodes have the lines and columns of the file.
	Root *yaml.Node
	// Text is the document alone.
	Text []byte

	before int // lines of the file
}

// Parse reads the documents of a file; name is for messages. It leaves out empty documents. The error lists the errors of all documents,
// each with its position; documents without errors are returned together with it.
func Parse(name string, data []byte) ([]*Document, error) {
	var documents []*Document
	var failed []error
	for d := range split(name, data) {
		if err := d.read(); err != nil {
			failed = append(failed, err)
		} else if d.Root != nil {
			documents = append(documents, d)
		}
		if len(failed) == maxProblems {
			break
		}
	}
	return documents, errors.Join(failed...)
}

// split yields the documents of a file. A line that begins with --- or ... always ends a document (YAML 1.2.2, section 9.1.2).
func split(name string, data []byte) iter.Seq[*Document] {
	return func(yield func(*Document) bool) {
		current, lines := &Document{File: name}, 0
		for line := range bytes.Lines(data) {
			marker := bytes.HasPrefix(line, []byte("---")) || bytes.HasPrefix(line, []byte("..."))
			if rest := line[min(3, len(line)):]; marker && (len(bytes.TrimSpace(rest)) == 0 || rest[0] == ' ' || rest[0] == '\t') {
				if !yield(current) {
					return
				}
				current = &Document{File: name, before: lines}
				line = append([]byte("   "), rest...)
			}
			current.Text = append(current.Text, line...)
			lines++
		}
		yield(current)
	}
}

// read makes Root of Text; nil of an empty document.
func (d *Document) read() error {
	if len(bytes.TrimSpace(d.Text)) == 0 {
		return nil
	}
	var node yaml.Node
	if err := yaml.Unmarshal(d.Text, &node); err != nil {
		return d.locate(Explain(err), d.aliasLine(err))
	}
	if len(node.Content) == 0 || isNull(node.Content[0]) {
		return nil
	}
	p := &plainer{document: d}
	root, err := p.plain(node.Content[0], 0)
	if err == nil && root.Kind != yaml.MappingNode {
		err = p.problem(root, "a document is a map of fields: apiVersion, kind, metadata and spec")
	}
	if err = errors.Join(append(p.failed, err)...); err == nil {
		d.Root = root
	}
	return err
}

// Locate writes the place in front of an error about Text that begins with "line 3: ", or the place of the document in front of another.
func (d *Document) Locate(err error) error { return d.locate(err, 1) }

// locate is Locate, with the line of Text for an error that names none.
func (d *Document) locate(err error, line int) error {
	text := err.Error()
	if !textLine.MatchString(text) {
		return fmt.Errorf("%s:%d: %s", d.File, d.before+line, text)
	}
	return errors.New(textLine.ReplaceAllStringFunc(text, func(found string) string {
		line, _ := strconv.Atoi(textLine.FindStringSubmatch(found)[1])
		return fmt.Sprintf("%s:%d: ", d.File, d.before+line)
	}))
}

// aliasLine is the line of Text with the alias that an error of the YAML library is about.
func (d *Document) aliasLine(err error) int {
	var before []byte
	if anchor := unknownAnchor.FindStringSubmatch(err.Error()); anchor != nil {
		before, _, _ = bytes.Cut(d.Text, []byte("*"+anchor[1]))
	}
	return bytes.Count(before, []byte("\n")) + 1
}

// At is the place of a node, for a person.
func (d *Document) At(node *yaml.Node) string { return place(d.File, node) }

func place(file string, node *yaml.Node) string {
	return fmt.Sprintf("%s:%d:%d", file, node.Line, node.Column)
}

// Field is the value at a path of fields, or nil.
func (d *Document) Field(path ...string) *yaml.Node {
	node := d.Root
	for _, name := range path {
		if node == nil || node.Kind != yaml.MappingNode {
			return nil
		}
		var found *yaml.Node
		for i := 0; i < len(node.Content); i += 2 {
			if node.Content[i].Value == name {
				found = node.Content[i+1]
			}
		}
		node = found
	}
	return node
}

// Kinds returns the kinds of our documents.
func Kinds() []string { return []string{"Cluster", "Config", "Plugin", "Application"} }

// APIVersions returns the API versions of all generations, the current one first. They do not decide how a document is read; its kind and
// fields do.
func APIVersions() []string {
	var all []string
	for _, group := range []string{"sealer.io", "sealer.cloud", "sealer.aliyun.com", "zlink.aliyun.com"} {
		for _, version := range []string{"v2", "v1", "v1alpha1", "v2alpha1"} {
			all = append(all, group+"/"+version)
		}
	}
	return all
}

// Kind is the document's kind, of which it has to have one and an apiVersion.
func (d *Document) Kind() (kind, apiVersion *yaml.Node, err error) {
	kind, apiVersion = d.Field("kind"), d.Field("apiVersion")
	for _, node := range []*yaml.Node{kind, apiVersion} {
		if node == nil || node.Kind != yaml.ScalarNode || isNull(node) {
			return nil, nil, fmt.Errorf("%s: a document needs apiVersion and kind, as in apiVersion: sealer.io/v2, kind: Cluster", d.At(d.Root))
		}
	}
	return kind, apiVersion, nil
}

// plainer copies a document with its aliases and merge keys written out.
type plainer struct {
	document     *Document
	nodes, bytes int
	failed       []error
}

func (p *plainer) problem(node *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d:%d: %w", p.document.File, p.document.before+node.Line, node.Column, fmt.Errorf(format, args...))
}

// note records an error and lets reading continue.
func (p *plainer) note(node *yaml.Node, format string, args ...any) {
	if len(p.failed) < maxProblems {
		p.failed = append(p.failed, p.problem(node, format, args...))
	}
}

// plain returns the copy, or an error that ends the reading. Its lines are the file's.
func (p *plainer) plain(node *yaml.Node, depth int) (*yaml.Node, error) {
	p.nodes, p.bytes = p.nodes+1, p.bytes+len(node.Value)
	if p.nodes > maxNodes || p.bytes > maxBytes || depth > maxDepth {
		return nil, p.problem(node, "larger than %d values, %d MiB or %d levels, with expanded aliases",
			maxNodes, maxBytes>>20, maxDepth)
	}
	if node.Kind == yaml.AliasNode {
		return p.plain(node.Alias, depth+1)
	}
	if tag := node.LongTag(); !slices.Contains(plainTags, tag) {
		p.note(node, "YAML reads a value that begins with ! as a tag, which means nothing here: put the value in quotes")
	}
	clone := &yaml.Node{Kind: node.Kind, Style: node.Style, Tag: node.Tag, Value: node.Value, Line: p.document.before + node.Line, Column: node.Column}
	if node.Kind == yaml.MappingNode {
		return clone, p.fields(clone, node, depth)
	}
	for _, item := range node.Content {
		one, err := p.plain(item, depth+1)
		if err != nil {
			return nil, err
		}
		clone.Content = append(clone.Content, one)
	}
	return clone, nil
}

// plainTags are the tags of values that are used as written, unlike !!binary.
var plainTags = []string{"tag:yaml.org,2002:str", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool",
	"tag:yaml.org,2002:null", "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:merge"}

// fields copies the fields of a map. Its own fields override those of its merge keys, and earlier merged maps override later ones.
func (p *plainer) fields(clone, node *yaml.Node, depth int) error {
	own := map[string]*yaml.Node{}
	var merged []*yaml.Node
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, err := p.plain(node.Content[i], depth+1)
		if err != nil {
			return err
		}
		value, err := p.plain(node.Content[i+1], depth+1)
		if err != nil {
			return err
		}
		if lost(node.Content[i], node.Content[i+1]) {
			p.note(node.Content[i], "%s is empty: put a value that begins with # or & in quotes", shown(key.Value))
		}
		switch {
		case key.Tag == "!!merge" && value.Kind == yaml.SequenceNode:
			merged = append(merged, value.Content...)
		case key.Tag == "!!merge":
			merged = append(merged, value)
		case key.Kind != yaml.ScalarNode:
			p.note(node.Content[i], "a field's name is a word")
		case own[key.Value] != nil && halved(value):
			p.note(node.Content[i], "a field without a value: put a value that has a comma in quotes")
		case own[key.Value] != nil:
			p.note(node.Content[i], "%s is set twice, first in line %d", shown(key.Value), own[key.Value].Line)
		default:
			own[key.Value] = key
			clone.Content = append(clone.Content, key, value)
		}
	}
	for _, from := range merged {
		if from.Kind != yaml.MappingNode {
			return fmt.Errorf("%s: << takes a map, or a list of maps", p.document.At(from))
		}
		for i := 0; i < len(from.Content); i += 2 {
			if key := from.Content[i]; own[key.Value] == nil {
				own[key.Value] = key
				clone.Content = append(clone.Content, key, from.Content[i+1])
			}
		}
	}
	return nil
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" }
