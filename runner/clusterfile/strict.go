package clusterfile

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"go.yaml.in/yaml/v3"
)

const (
	// maxNodes bounds a document with its aliases written out, so that a few lines cannot become gigabytes.
	maxNodes = 100_000
	maxDepth = 50
)

// checker compares a document with the type that it is to become: unknown and repeated fields, wrong kinds of values, and texts that
// do not pass the check of their field.
type checker struct {
	file   string
	nodes  int
	failed []error
}

// document is a YAML document, and where it stands.
type document struct {
	file string
	root *yaml.Node
	text []byte // padded with empty lines, so that lines are the file's
}

// decode reads the document into a pointer to a struct, after it has been checked.
func (d *document) decode(into any) error {
	c := &checker{file: d.file}
	c.value(d.root, reflect.TypeOf(into).Elem(), "", "", 0)
	if err := errors.Join(c.failed...); err != nil {
		return err
	}
	if err := d.root.Decode(into); err != nil {
		return fmt.Errorf("%s:%d: %w", d.file, d.root.Line, err)
	}
	return nil
}

// at is the place of a node, for a person.
func (d *document) at(node *yaml.Node) string { return position(d.file, node.Line, node.Column) }

func position(file string, line, column int) string {
	return fmt.Sprintf("%s:%d:%d", file, line, column)
}

func (c *checker) fail(node *yaml.Node, format string, args ...any) {
	c.failed = append(c.failed, fmt.Errorf("%s: %w", position(c.file, node.Line, node.Column), fmt.Errorf(format, args...)))
}

// value checks the value of the field name.
func (c *checker) value(node *yaml.Node, t reflect.Type, name, check string, depth int) {
	if c.nodes++; c.nodes > maxNodes || depth > maxDepth {
		if c.nodes = maxNodes; len(c.failed) == 0 {
			c.fail(node, "more than %d values or %d levels: no Clusterfile is like that", maxNodes, maxDepth)
		}
		return
	}
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Tag == "!!null" {
		return // as if it were not there
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[Env]():
		c.env(node, name)
	case t.Kind() == reflect.Struct:
		c.fields(node, t, name, depth)
	case t.Kind() == reflect.Map:
		c.texts(node, name)
	case t.Kind() == reflect.Slice:
		if node.Kind != yaml.SequenceNode {
			c.fail(node, "%s is a list: write it as [a, b]", name)
			return
		}
		for _, item := range node.Content {
			c.value(item, t.Elem(), name, check, depth+1)
		}
	case node.Kind != yaml.ScalarNode:
		c.fail(node, "%s is one value, not a %s", name, kindName(node))
	case t.Kind() == reflect.Bool && node.Tag != "!!bool":
		c.fail(node, "%s is true or false", name)
	case check != "":
		if err := checks[check](node.Value); err != nil {
			c.fail(node, "%s: %w", name, err)
		}
	}
}

func kindName(node *yaml.Node) string {
	if node.Kind == yaml.SequenceNode {
		return "list"
	}
	return "map"
}

// fields checks the map that becomes a struct.
func (c *checker) fields(node *yaml.Node, t reflect.Type, name string, depth int) {
	if node.Kind != yaml.MappingNode {
		c.fail(node, "%s is a map of fields", name)
		return
	}
	known := map[string]reflect.StructField{}
	for field := range t.Fields() {
		if tag, _, _ := strings.Cut(field.Tag.Get("yaml"), ","); tag != "" {
			known[tag] = field
		}
	}
	c.unique(node)
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		field, ok := known[key.Value]
		switch {
		case key.Tag == "!!merge":
			c.merged(value, t, name, depth)
		case !ok:
			c.fail(key, "no field %s%s", strings.TrimPrefix(name+"."+key.Value, "."), Suggest(key.Value, keys(known)))
		default:
			c.value(value, field.Type, strings.TrimPrefix(name+"."+key.Value, "."), field.Tag.Get("check"), depth+1)
		}
	}
}

// merged checks what a merge key (<<) brings.
func (c *checker) merged(node *yaml.Node, t reflect.Type, name string, depth int) {
	if node.Kind != yaml.SequenceNode {
		c.value(node, t, name, "", depth+1)
		return
	}
	for _, item := range node.Content {
		c.value(item, t, name, "", depth+1)
	}
}

// texts checks a map from names to texts.
func (c *checker) texts(node *yaml.Node, name string) {
	if node.Kind != yaml.MappingNode {
		c.fail(node, "%s is a map", name)
		return
	}
	c.unique(node)
	for i := 1; i < len(node.Content); i += 2 {
		c.value(node.Content[i], reflect.TypeFor[string](), name+"."+node.Content[i-1].Value, "", maxDepth)
	}
}

// unique refuses keys that stand twice, of which a reader would take one and drop the other, and keys that are no text.
func (c *checker) unique(node *yaml.Node) {
	first := map[string]*yaml.Node{}
	for i := 0; i < len(node.Content); i += 2 {
		key := node.Content[i]
		if key.Kind != yaml.ScalarNode {
			c.fail(key, "a field's name is a word")
			continue
		}
		if other := first[key.Value]; other != nil {
			c.fail(key, "%s stands twice, first in line %d", key.Value, other.Line)
		}
		first[key.Value] = key
	}
}

func keys[V any](m map[string]V) []string {
	var all []string
	for key := range m {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}

// Suggest returns ": did you mean x?" for the known word that is most like a wrong one, or what there is, or nothing.
func Suggest(wrong string, known []string) string {
	best, least := "", 1+len(wrong)/3
	for _, word := range known {
		if d := levenshtein.Distance(strings.ToLower(wrong), strings.ToLower(word), nil); d <= least {
			best, least = word, d-1
		}
	}
	if best != "" {
		return ": did you mean " + best + "?"
	}
	return ": there are " + strings.Join(known, ", ")
}
