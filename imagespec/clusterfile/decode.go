package clusterfile

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/agext/levenshtein"
	"go.yaml.in/yaml/v3"
)

// Checks are the checks for texts of fields, by the name in the field's tag `check`. The text of a label or a variable is name=value.
type Checks map[string]func(text string) error

// Decode reads the document into a pointer to one of the document types. Unknown fields, wrong kinds of values and texts that do not pass
// their check are errors, all of them, each with its place. Warnings are about fields that old documents have and that mean nothing here.
func (d *Document) Decode(into any, checks Checks) (warnings []string, err error) {
	c := &checker{file: d.File, checks: checks}
	c.value(d.Root, reflect.TypeOf(into).Elem(), "", "")
	if len(c.failed) == maxProblems {
		c.failed = append(c.failed, fmt.Errorf("%s: only the first %d errors are listed", d.At(d.Root), maxProblems))
	}
	if err := errors.Join(c.failed...); err != nil {
		return nil, err
	}
	if err := d.Root.Decode(into); err != nil {
		return nil, d.Locate(Explain(err))
	}
	return c.warnings, nil
}

// checker compares a document with the type that it is to become.
type checker struct {
	file     string
	checks   Checks
	failed   []error
	warnings []string
}

func (c *checker) fail(node *yaml.Node, format string, args ...any) {
	if len(c.failed) == maxProblems {
		return
	}
	c.failed = append(c.failed, fmt.Errorf("%s: %w", place(c.file, node), fmt.Errorf(format, args...)))
}

// value checks the value of the field name.
func (c *checker) value(node *yaml.Node, t reflect.Type, name, check string) {
	if isNull(node) {
		return // as if it were not there
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[Ignored]():
	case t == reflect.TypeFor[Env]():
		c.env(node, name, check)
	case t.Kind() == reflect.Struct:
		c.fields(node, t, name)
	case t.Kind() == reflect.Map:
		c.texts(node, name, check)
	case t.Kind() == reflect.Slice && node.Kind != yaml.SequenceNode:
		c.fail(node, "%s is a list: %s", name, asList(node, t.Elem(), check))
	case t.Kind() == reflect.Slice:
		for _, item := range node.Content {
			if isNull(item) {
				c.fail(item, "%s has an empty item", name)
			}
			c.value(item, t.Elem(), name, check)
		}
	case node.Kind != yaml.ScalarNode:
		c.fail(node, "%s is one value, not a %s", name, kindName(node))
	case t.Kind() == reflect.Bool && node.ShortTag() != "!!bool":
		c.fail(node, "%s is true or false", name)
	case check != "":
		c.check(node, name, check, node.Value)
	}
}

// asList describes how to write a value as a list.
func asList(node *yaml.Node, item reflect.Type, check string) string {
	switch {
	case item.Kind() == reflect.Struct:
		return "write a dash before each of its items"
	case node.Kind == yaml.ScalarNode && node.Value != "" && check != "" && check != "variable": // others may have a secret in them
		return "write it as [" + shown(node.Value) + "]"
	}
	return "write it as [a, b]"
}

func kindName(node *yaml.Node) string {
	if node.Kind == yaml.SequenceNode {
		return "list"
	}
	return "map"
}

func (c *checker) check(node *yaml.Node, name, check, text string) {
	if err := c.checks[check](text); err != nil {
		c.fail(node, "%s: %w", name, err)
	}
}

// fields checks the map that becomes a struct.
func (c *checker) fields(node *yaml.Node, t reflect.Type, name string) {
	known := map[string]reflect.StructField{}
	for field := range t.Fields() {
		if tag := fieldName(field); tag != "" {
			known[tag] = field
			for _, other := range strings.Fields(field.Tag.Get("also")) {
				known[other] = field
			}
		}
	}
	if node.Kind != yaml.MappingNode {
		c.fail(node, "%s is a map with the fields %s", name, strings.Join(names(known), ", "))
		return
	}
	written := map[string]string{}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		field, ok := known[key.Value]
		full := strings.TrimPrefix(name+"."+shown(key.Value), ".")
		if !ok {
			if halved(value) && node.Style&yaml.FlowStyle != 0 {
				c.fail(key, "a field of %s without a value: put a value that has a comma in quotes", name)
				continue
			}
			c.unknown(key, full, known)
			continue
		}
		if key.Value = fieldName(field); written[key.Value] != "" {
			c.fail(key, "%s and %s are the same: write one of them", full, written[key.Value])
		}
		written[key.Value] = full
		key.Tag = "!!str"
		if reason := field.Tag.Get("ignored"); reason != "" && !isNull(value) {
			c.warnings = append(c.warnings, fmt.Sprintf("%s: %s is left out: %s", place(c.file, key), full, reason))
		}
		c.value(value, field.Type, full, field.Tag.Get("check"))
	}
}

// fieldName is the field's name in a document; empty when it has none.
func fieldName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
	return strings.TrimPrefix(name, "-")
}

// elsewhere returns, for a field of the other form, where it is in this form, or what to write instead.
var elsewhere = map[string]string{
	"spec.masters":  "hosts has them already: write either hosts, or masters and nodes",
	"spec.nodes":    "hosts has them already: write either hosts, or masters and nodes",
	"spec.network":  "next to hosts, write a document of kind ClusterConfiguration (kubeadm.k8s.io/v1beta4) with networking.podSubnet and serviceSubnet",
	"spec.certSANS": "next to hosts, write a document of kind ClusterConfiguration (kubeadm.k8s.io/v1beta4) with apiServer.certSANs",
	"spec.provider": "hosts are only used, not made: take it out",
}

func (c *checker) unknown(key *yaml.Node, full string, known map[string]reflect.StructField) {
	if instead := elsewhere[full]; instead != "" {
		c.fail(key, "no field %s here: %s", full, instead)
		return
	}
	c.fail(key, "no field %s%s", full, Suggest(key.Value, names(known)))
}

// names returns the names of fields that a user may write.
func names(known map[string]reflect.StructField) []string {
	var all []string
	for name, field := range known {
		if name == fieldName(field) && field.Type != reflect.TypeFor[Ignored]() {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// texts checks a map from names to texts.
func (c *checker) texts(node *yaml.Node, name, check string) {
	if node.Kind != yaml.MappingNode {
		c.fail(node, "%s is a map, as in %s: {name: value}", name, name[strings.LastIndex(name, ".")+1:])
		return
	}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if value.Kind != yaml.ScalarNode {
			c.fail(value, "%s.%s is one value, not a %s", name, shown(key.Value), kindName(value))
		} else if check != "" {
			c.check(key, name, check, key.Value+"="+textOf(value))
		}
	}
}

// env checks an environment.
func (c *checker) env(node *yaml.Node, name, check string) {
	pairs, err := readEnv(node)
	for _, p := range pairs {
		c.check(p.node, name, check, p.name+"="+p.value)
	}
	if err != nil {
		c.fail(err.node, "%s: %s", name, err.text)
	}
}

// longest limits how much of a foreign text a message quotes, in bytes.
const longest = 64

// shown is a word from outside, as a message can have it.
func shown(word string) string {
	if len(word) > longest {
		return strconv.Quote(word[:longest]) + "…"
	}
	if quoted := strconv.Quote(word); quoted != `"`+word+`"` || word == "" {
		return quoted
	}
	return word
}

// Suggest is the end of a message about an unknown word: the known word that is most like it, or what there is.
func Suggest(wrong string, known []string) string {
	if best := Nearest(wrong, known); best != "" {
		return ": did you mean " + best + "?"
	}
	return ": there are " + strings.Join(known, ", ")
}

// Nearest returns the known word that is most similar to a misspelled one, or "" if none is similar.
func Nearest(wrong string, known []string) string {
	best, least := "", 1+len(wrong)/3
	for _, word := range known {
		if len(wrong) > longest {
			break // a longer word is not a typo, and costly to compare
		}
		if d := levenshtein.Distance(strings.ToLower(wrong), strings.ToLower(word), nil); d <= least {
			best, least = word, d-1
		}
	}
	return best
}
