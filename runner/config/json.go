package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/imagespec/clusterfile"
)

// toJSON writes a value as JSON, in one line, its keys in their order.
func toJSON(value *yaml.Node) (string, error) {
	var buffer bytes.Buffer
	err := writeJSON(&buffer, value)
	return buffer.String(), err
}

func writeJSON(w *bytes.Buffer, n *yaml.Node) error {
	switch n.Kind {
	case yaml.MappingNode:
		return writeObject(w, n)
	case yaml.SequenceNode:
		w.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				w.WriteByte(',')
			}
			if err := writeJSON(w, item); err != nil {
				return err
			}
		}
		w.WriteByte(']')
		return nil
	}
	return writeScalar(w, n)
}

func writeObject(w *bytes.Buffer, n *yaml.Node) error {
	w.WriteByte('{')
	for i := 0; i < len(n.Content); i += 2 {
		if i > 0 {
			w.WriteByte(',')
		}
		if err := writeValue(w, n.Content[i].Value); err != nil {
			return err
		}
		w.WriteByte(':')
		if err := writeJSON(w, n.Content[i+1]); err != nil {
			return err
		}
	}
	w.WriteByte('}')
	return nil
}

func writeScalar(w *bytes.Buffer, n *yaml.Node) error {
	var value any = n.Value
	switch n.ShortTag() {
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			w.WriteString(n.Value) // every digit of it
			return nil
		}
		fallthrough // 0x10, +1, .5
	case "!!bool", "!!null":
		if err := n.Decode(&value); err != nil {
			return fmt.Errorf("line %d: %w", n.Line, clusterfile.Explain(err))
		}
	}
	if err := writeValue(w, value); err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err) // .inf, .nan
	}
	return nil
}

// writeValue writes a scalar, with < and > as they are.
func writeValue(w *bytes.Buffer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	w.Truncate(w.Len() - 1) // the line's end
	return nil
}

// parseJSON reads JSON as the YAML that it nearly is: other escapes, and numbers of any size.
func parseJSON(data []byte) (*yaml.Node, error) {
	if separators(data) > maxNodes {
		return nil, errTooManyNodes
	}
	var whole json.RawMessage // the decoder of tokens takes less care
	if err := json.Unmarshal(data, &whole); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("line %d: %w", 1+bytes.Count(data[:min(int(syntax.Offset), len(data))], []byte("\n")), err)
		}
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	return readJSON(decoder)
}

func readJSON(d *json.Decoder) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	scalar := func(tag, value string) (*yaml.Node, error) {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}, nil
	}
	switch token := token.(type) {
	case json.Delim:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		if token == '[' {
			n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		}
		for d.More() {
			child, err := readJSON(d)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, child)
		}
		_, err := d.Token()
		return n, err
	case json.Number:
		if strings.ContainsAny(token.String(), ".eE") {
			return scalar("!!float", token.String())
		}
		return scalar("!!int", token.String())
	case string:
		n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: token}
		return n, nil
	case bool:
		return scalar("!!bool", fmt.Sprint(token))
	}
	return scalar("!!null", "null")
}

// formatJSON writes JSON with the indentation and the last line's end of another text.
func formatJSON(value *yaml.Node, like []byte) ([]byte, error) {
	text, err := toJSON(value)
	if err != nil {
		return nil, err
	}
	var buffer bytes.Buffer
	if indent, ok := indentation(like); ok {
		if err := json.Indent(&buffer, []byte(text), "", indent); err != nil {
			return nil, err
		}
	} else {
		buffer.WriteString(text)
	}
	if bytes.HasSuffix(like, []byte("\n")) {
		buffer.WriteByte('\n')
	}
	return buffer.Bytes(), nil
}

// indentation is what the first indented line begins with; JSON on one line has none.
func indentation(text []byte) (string, bool) {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	for _, line := range lines[1:] {
		if inner := bytes.TrimLeft(line, " \t"); len(inner) < len(line) {
			return string(line[:len(line)-len(inner)]), true
		}
	}
	return "", len(lines) > 1
}
