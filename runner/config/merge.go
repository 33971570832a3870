package config

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// patch is a map of the data that is merged into documents.
type patch struct {
	value *yaml.Node
	line  int
}

// patches are the documents of data. Several have to say which documents they are for.
func (c Config) patches(data string) ([]patch, error) {
	documents, err := parse([]byte(data))
	if err != nil {
		return nil, err
	}
	var all []patch
	seen := map[object]int{}
	for _, d := range filled(documents) {
		p := patch{d.value(), d.line + 1}
		if p.value.Kind != yaml.MappingNode {
			return nil, fmt.Errorf("line %d: %s, where a map is merged", p.line, kind(p.value))
		}
		if c.isJSON() {
			text, err := toJSON(p.value)
			if err != nil {
				return nil, err
			}
			if p.value, err = parseJSON([]byte(text)); err != nil {
				return nil, err
			}
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		return nil, errors.New("there is nothing to merge")
	}
	for _, p := range all {
		o := objectOf(p.value)
		if len(all) > 1 && o.kind == "" {
			return nil, fmt.Errorf("line %d: one of several documents, which need kind and metadata.name to find theirs in the file", p.line)
		}
		if line := seen[o]; line != 0 {
			return nil, fmt.Errorf("line %d: a second document for %s, the first is in line %d", p.line, o, line)
		}
		seen[o] = p.line
	}
	return all, nil
}

// object says which Kubernetes object a document is, as far as it says so.
type object struct{ apiVersion, kind, namespace, name string }

func (o object) String() string {
	name := o.name
	if o.namespace != "" {
		name = o.namespace + "/" + name
	}
	if o.kind == "" {
		return strings.TrimSpace("a document without kind " + name)
	}
	return strings.TrimSpace(o.kind + " " + name)
}

func objectOf(n *yaml.Node) object {
	metadata := get(n, "metadata")
	return object{text(get(n, "apiVersion")), text(get(n, "kind")), text(get(metadata, "namespace")), text(get(metadata, "name"))}
}

// is reports whether a document is the one that is meant: all that is meant is the same. What a document does not say is no contradiction
// where silence is allowed, except for its kind among others.
func (o object) is(meant object, silence, only bool) bool {
	same := func(is, meant string) bool { return meant == "" || is == meant || is == "" && silence }
	return same(o.apiVersion, meant.apiVersion) && same(o.namespace, meant.namespace) && same(o.name, meant.name) &&
		(same(o.kind, meant.kind) && (o.kind != "" || meant.kind == "" || only))
}

// target is the document that a patch is for. The only one, for an only patch, may have no kind.
func target(targets []*document, meant object, only bool) (*document, error) {
	if only && meant.kind == "" {
		meant.namespace, meant.name = "", "" // they may be changed
	}
	for _, silence := range []bool{false, true} {
		var fit []*document
		for _, d := range targets {
			if objectOf(d.value()).is(meant, silence, only) {
				fit = append(fit, d)
			}
		}
		switch {
		case len(fit) == 1:
			return fit[0], nil
		case len(fit) > 1:
			return nil, fmt.Errorf("data fits %d documents: write kind and metadata.name of the one that is meant into it; there are: %s", len(fit), list(targets))
		}
	}
	if meant.apiVersion != "" {
		return nil, fmt.Errorf("data is for %s (%s), which is not there; there are: %s", meant, meant.apiVersion, list(targets))
	}
	return nil, fmt.Errorf("data is for %s, which is not there; there are: %s", meant, list(targets))
}

// merge puts data into the documents of a file.
func (c Config) merge(old []byte, data string) ([]byte, error) {
	patches, err := c.patches(data)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	documents, err := c.parse(old)
	if err != nil {
		return nil, err
	}
	targets := filled(documents)
	if len(targets) == 0 {
		return c.beginning(old, data, patches)
	}
	for i, d := range targets {
		if d.value().Kind != yaml.MappingNode {
			return nil, fmt.Errorf("%s is %s, not a map that can be merged into: use the strategy overwrite", place(i, targets), kind(d.value()))
		}
	}
	added := 0
	for _, p := range patches {
		d, err := target(targets, objectOf(p.value), len(targets)+len(patches) == 2)
		if err != nil {
			return nil, err
		}
		if added += size(p.value); added > maxNodes {
			return nil, errTooManyNodes
		}
		d.changed = mergeMaps(d.value(), p.value) || d.changed
	}
	return join(documents)
}

// beginning is data where there is nothing to merge it into: after what comments there are.
func (c Config) beginning(old []byte, data string, patches []patch) ([]byte, error) {
	if c.isJSON() {
		if len(patches) > 1 {
			return nil, errors.New("data: several documents for a JSON file")
		}
		return formatJSON(patches[0].value, []byte("{\n  \n}\n"))
	}
	if len(old) > 0 && !bytes.HasSuffix(old, []byte("\n")) {
		old = append(slices.Clip(old), '\n')
	}
	result := append(slices.Clip(old), data...)
	_, err := parse(result)
	return result, err
}

func (c Config) isJSON() bool { return strings.EqualFold(path.Ext(c.Path), ".json") }

// parse reads the file that is there.
func (c Config) parse(old []byte) ([]*document, error) {
	if !c.isJSON() {
		documents, err := parse(old)
		if err != nil {
			err = fmt.Errorf("%w; what cannot be merged into can be overwritten (strategy: overwrite)", err)
		}
		return documents, err
	}
	if len(bytes.TrimSpace(old)) == 0 {
		return nil, nil
	}
	value, err := parseJSON(old)
	if err != nil {
		return nil, fmt.Errorf("no valid JSON: %w; what cannot be merged into can be overwritten (strategy: overwrite)", err)
	}
	left := maxNodes
	r := reader{left: &left}
	root, err := r.copy(&yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{value}}, 0)
	return []*document{{body: old, root: root, json: true}}, err
}

// mergeMaps puts over into base: maps key by key, all else whole, new keys at the end. It reports whether that changed anything.
func mergeMaps(base, over *yaml.Node) bool {
	index := map[string]int{}
	for i := 0; i < len(base.Content); i += 2 {
		index[base.Content[i].Value] = i + 1
	}
	if len(base.Content) == 0 {
		base.Style = over.Style // {} says nothing of how its content is written
	}
	changed := false
	for i := 0; i < len(over.Content); i += 2 {
		key, value := over.Content[i], over.Content[i+1]
		at, there := index[key.Value]
		switch {
		case !there:
			base.Content = append(base.Content, clone(key), clone(value))
			changed = true
		case base.Content[at].Kind == yaml.MappingNode && value.Kind == yaml.MappingNode:
			changed = mergeMaps(base.Content[at], value) || changed
		case !equal(base.Content[at], value) || ambiguous(base.Content[at]) != ambiguous(value):
			base.Content[at] = replacement(base.Content[at], value)
			changed = true
		}
	}
	return changed
}

// replacement returns a value for the place of another, with that one's comment.
func replacement(old, value *yaml.Node) *yaml.Node {
	c := clone(value)
	if old.Kind == yaml.ScalarNode && c.Kind == yaml.ScalarNode && c.LineComment == "" {
		c.LineComment = old.LineComment
	}
	return c
}

// ambiguous says whether a scalar is a string in YAML 1.2 and a boolean in YAML 1.1, which Helm and Kubernetes read. In quotes it is not.
func ambiguous(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Style == 0 && slices.Contains([]string{"y", "n", "yes", "no", "on", "off"}, strings.ToLower(n.Value))
}

func clone(n *yaml.Node) *yaml.Node {
	c := *n
	c.Content = nil
	for _, child := range n.Content {
		c.Content = append(c.Content, clone(child))
	}
	return &c
}

// size is how many nodes there are.
func size(n *yaml.Node) int {
	count := 1
	for _, child := range n.Content {
		count += size(child)
	}
	return count
}

// get returns the value of a key, or nil.
func get(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func text(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

func place(i int, documents []*document) string {
	if len(documents) == 1 {
		return "it"
	}
	return fmt.Sprintf("document %d (line %d)", i+1, documents[i].line+1)
}

// list names documents and where they are.
func list(documents []*document) string {
	var names []string
	for _, d := range documents {
		o := objectOf(d.value())
		at := fmt.Sprintf("line %d", d.line+1)
		if o.apiVersion != "" {
			at = o.apiVersion + ", " + at
		}
		names = append(names, fmt.Sprintf("%s (%s)", o, at))
	}
	const enough = 20
	if len(names) > enough {
		names = append(names[:enough], "...")
	}
	return strings.Join(names, ", ")
}
