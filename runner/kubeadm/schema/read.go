package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"go.yaml.in/yaml/v3"
)

// CheckBounds refuses a document that would be too large with its aliases written out.
func CheckBounds(root *yaml.Node) error { return (bounds{}).check(root) }

// bounds measures nodes with their aliases written out, each anchor once.
type bounds map[*yaml.Node]extent

type extent struct{ bytes, depth int }

// check refuses what would grow out of bounds when its aliases are followed, and an alias inside of what it names.
func (b bounds) check(n *yaml.Node) error {
	_, err := b.measure(n)
	return err
}

func (b bounds) measure(n *yaml.Node) (extent, error) {
	if n.Kind == yaml.AliasNode {
		e, ok := b[n.Alias]
		if !ok { // what it names is not complete yet
			return extent{}, fmt.Errorf("line %d: alias *%s is inside of what it names", n.Line, n.Value)
		}
		return e, nil
	}
	e := extent{bytes: len(n.Value) + 1}
	for _, child := range n.Content {
		c, err := b.measure(child)
		if err != nil {
			return extent{}, err
		}
		e = extent{bytes: e.bytes + c.bytes, depth: max(e.depth, c.depth+1)}
		if e.bytes > MaxBytes || e.depth > maxDepth {
			return extent{}, fmt.Errorf("line %d: more than %d bytes or %d levels, with its aliases written out", n.Line, MaxBytes, maxDepth)
		}
	}
	if n.Anchor != "" {
		b[n] = e
	}
	return e, nil
}

// reader makes nodes ready for decoding, so that strings stay as they are written and booleans are as kubeadm reads them, and refuses
// what a document cannot hold.
type reader struct {
	version int // of kubeadm's documents: v1betaN; 0 when they do not specify one
}

// Prepare makes a document ready for decoding: strings stay as they are written and booleans are as kubeadm reads them. It refuses what
// version v1betaN of the document cannot hold; 0 is any version.
func Prepare(root *yaml.Node, version int, known Fields) error {
	return reader{version}.document(root, known)
}

// document reads the mapping of a document; fields are nil where they are not known.
func (r reader) document(root *yaml.Node, known Fields) error {
	if known != nil {
		known = with(known, Fields{"apiVersion": {}, "kind": {}})
	}
	return r.fields(root, known)
}

// fields reads a mapping, whose fields are all taken when none are known.
func (r reader) fields(n *yaml.Node, known Fields) error {
	n = named(n)
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: a mapping is wanted here", n.Line)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.ShortTag() == "!!merge" {
			if err := r.merged(value, known); err != nil {
				return err
			}
			continue
		}
		if key.Kind != yaml.ScalarNode {
			return fmt.Errorf("line %d: a key that is not a string", key.Line)
		}
		key.Tag = "!!str" // as on and 1 are meant
		if known == nil {
			if err := r.anything(value); err != nil {
				return err
			}
			continue
		}
		f, ok := known[key.Value]
		if !ok {
			return fmt.Errorf("line %d: unknown field %q%s", key.Line, key.Value, nearest(key.Value, known))
		}
		if r.version != 0 && (r.version < f.Since || f.until != 0 && r.version > f.until) {
			return fmt.Errorf("line %d: %s has no field %q", key.Line, APIVersion(r.version), key.Value)
		}
		if err := r.field(key.Value, value, f); err != nil {
			return err
		}
	}
	return nil
}

// merged reads the value of a merge key: one mapping, or a list of them.
func (r reader) merged(n *yaml.Node, known Fields) error {
	if n = named(n); n.Kind != yaml.SequenceNode {
		return r.fields(n, known)
	}
	for _, element := range n.Content {
		if err := r.fields(element, known); err != nil {
			return err
		}
	}
	return nil
}

// field reads the value of a known field.
func (r reader) field(name string, n *yaml.Node, f Field) error {
	n = named(n)
	if IsNull(n) {
		return nil
	}
	wanted := map[shape]yaml.Kind{texts: yaml.SequenceNode, mapping: yaml.MappingNode, mappings: yaml.SequenceNode}
	kind, ok := wanted[f.Shape]
	switch {
	case f.Shape == Arguments && (n.Kind == yaml.SequenceNode || n.Kind == yaml.MappingNode):
		return r.arguments(name, n)
	case f.Shape == Arguments, ok && n.Kind != kind, !ok && n.Kind != yaml.ScalarNode:
		return fmt.Errorf("line %d: %s: %s is wanted here", n.Line, name, f.Shape)
	}
	switch f.Shape {
	case text:
		n.Tag = "!!str"
	case scalar:
		return r.anything(n)
	case mapping:
		return r.fields(n, f.Fields)
	case texts, mappings:
		for _, element := range n.Content {
			if IsNull(named(element)) {
				return fmt.Errorf("line %d: %s: an empty element", element.Line, name)
			}
			of := Field{Shape: text}
			if f.Shape == mappings {
				of = Field{Shape: mapping, Fields: f.Fields}
			}
			if err := r.field(name, element, of); err != nil {
				return err
			}
		}
	}
	return nil
}

// arguments reads extra arguments in either form.
func (r reader) arguments(name string, n *yaml.Node) error {
	if n.Kind == yaml.SequenceNode {
		return r.field(name, n, Field{Shape: mappings, Fields: Fields{"name": {}, "value": {}}})
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i]; key.ShortTag() != "!!merge" {
			key.Tag = "!!str"
			if err := r.field(name, n.Content[i+1], Field{Shape: text}); err != nil {
				return err
			}
		}
	}
	return nil
}

// anything reads a value whose form is not known.
func (r reader) anything(n *yaml.Node) error {
	n = named(n)
	switch n.Kind {
	case yaml.MappingNode:
		return r.fields(n, nil)
	case yaml.SequenceNode:
		for _, element := range n.Content {
			if err := r.anything(element); err != nil {
				return err
			}
		}
	case yaml.ScalarNode:
		switch tag := n.ShortTag(); {
		case tag == "!!timestamp":
			n.Tag = "!!str"
		case tag == "!!str" && n.Style == 0:
			// Kubernetes reads YAML 1.1.
			switch n.Value {
			case "yes", "Yes", "YES", "on", "On", "ON":
				n.Tag, n.Value = "!!bool", "true"
			case "no", "No", "NO", "off", "Off", "OFF":
				n.Tag, n.Value = "!!bool", "false"
			}
		}
	}
	return nil
}

// named follows an alias.
func named(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// IsNull reports whether a node is null.
func IsNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func (s shape) String() string {
	return [...]string{"a string", "a number or a boolean", "a list of strings", "a mapping", "a list of mappings", "a list of names and values"}[s]
}

// nearest suggests a field for one that is not known.
func nearest(name string, known Fields) string {
	const longest = 64 // a longer one is not a typing error, and costly to compare
	names := slices.Sorted(maps.Keys(known))
	best, distance := "", 3 // more changes than two are another word
	for _, k := range names {
		if len(name) > longest {
			break
		}
		if d := levenshtein.Distance(strings.ToLower(name), strings.ToLower(k), nil); d < distance && 2*d < len(k) {
			best, distance = k, d
		}
	}
	if best == "" {
		return ": there are " + list(names)
	}
	return fmt.Sprintf(": did you mean %s?", best)
}

// list writes words for a person.
func list(words []string) string { return strings.Join(words, ", ") }
