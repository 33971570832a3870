package config

import (
	"bytes"
	"errors"

	"go.yaml.in/yaml/v3"
)

// join writes documents, those that did not change byte for byte.
func join(documents []*document) ([]byte, error) {
	var out []byte
	for i, d := range documents {
		if !d.changed {
			out = append(append(out, d.mark...), d.body...)
			continue
		}
		text, err := d.encode()
		if err != nil {
			return nil, err
		}
		switch {
		case d.mark != nil:
			out = append(out, d.mark...)
		case i > 0:
			out = append(out, "---\n"...)
		}
		out = append(out, text...)
	}
	return out, nil
}

// encode writes a document that changed. The library sometimes puts a comment where it means something else; then none is kept.
func (d *document) encode() ([]byte, error) {
	if d.json {
		return formatJSON(d.value(), d.body)
	}
	want := d.root
	for range 2 {
		text, err := encodeYAML(want, d.value())
		if err == nil {
			if again, err := onlyDocument(text); err == nil && equal(again, d.value()) {
				return text, nil
			}
		}
		want = withoutComments(want)
	}
	return nil, errors.New("the result cannot be written as YAML")
}

// encodeYAML indents as the text does that the nodes come from.
func encodeYAML(root, value *yaml.Node) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := yaml.NewEncoder(&buffer)
	indent, compact := style(value)
	encoder.SetIndent(indent)
	if compact {
		encoder.CompactSeqIndent()
	}
	if err := encoder.Encode(root); err != nil {
		return nil, err
	}
	err := encoder.Close()
	return buffer.Bytes(), err
}

// style is how far maps are indented in maps, 2 if there are none, and whether lists are indented less.
func style(root *yaml.Node) (indent int, compact bool) {
	list := -1
	var look func(n *yaml.Node)
	look = func(n *yaml.Node) {
		for i, child := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 1 && child.Style&yaml.FlowStyle == 0 && child.Line > n.Content[i-1].Line {
				by := child.Column - n.Content[i-1].Column
				if child.Kind == yaml.MappingNode && indent == 0 {
					indent = by
				}
				if child.Kind == yaml.SequenceNode && list < 0 {
					list = by
				}
			}
			look(child)
		}
	}
	look(root)
	if indent < 2 || indent > 8 {
		indent = 2
	}
	return indent, list >= 0 && list < indent
}

// equal compares values: not their comments, nor how they are written.
func equal(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || len(a.Content) != len(b.Content) || a.ShortTag() != b.ShortTag() || a.Value != b.Value {
		return false
	}
	for i := range a.Content {
		if !equal(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

func withoutComments(n *yaml.Node) *yaml.Node {
	c := *n
	c.HeadComment, c.LineComment, c.FootComment = "", "", ""
	c.Content = nil
	for _, child := range n.Content {
		c.Content = append(c.Content, withoutComments(child))
	}
	return &c
}
