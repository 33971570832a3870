package discovery

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// maxDepth bounds the nesting of what is parsed and searched.
const maxDepth = 1000

// parseJSON returns the values of a stream of JSON as YAML nodes with their lines.
func parseJSON(data []byte) ([]*yaml.Node, error) {
	if tooLarge(data) {
		return nil, errTooLarge
	}
	data = bytes.TrimPrefix(data, byteOrderMark)
	p := jsonParser{data: data, decoder: json.NewDecoder(bytes.NewReader(data)), line: 1}
	p.decoder.UseNumber()
	var roots []*yaml.Node
	for {
		root, err := p.value(0)
		if errors.Is(err, io.EOF) {
			return roots, nil
		}
		if err != nil {
			return nil, err
		}
		roots = append(roots, root)
	}
}

type jsonParser struct {
	data    []byte
	decoder *json.Decoder
	counted int64 // offset up to which line has counted
	line    int
}

// value parses one value; a nil node is the end of the list or map around it.
func (p *jsonParser) value(depth int) (*yaml.Node, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	token, err := p.decoder.Token()
	if err != nil {
		return nil, err
	}
	end := p.decoder.InputOffset()
	p.line += bytes.Count(p.data[p.counted:end], []byte("\n"))
	p.counted = end
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: p.line}
	switch token := token.(type) {
	case json.Delim:
		if token == ']' || token == '}' {
			return nil, nil
		}
		n.Kind = yaml.SequenceNode
		if token == '{' {
			n.Kind = yaml.MappingNode
		}
		return n, p.children(n, depth+1)
	case string:
		n.Tag, n.Value = "!!str", token
	case nil:
		n.Tag = "!!null"
	default:
		n.Value = fmt.Sprint(token)
	}
	return n, nil
}

func (p *jsonParser) children(n *yaml.Node, depth int) error {
	for {
		child, err := p.value(depth)
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		if err != nil || child == nil {
			return err
		}
		n.Content = append(n.Content, child)
	}
}
