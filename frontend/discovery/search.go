package discovery

import (
	"errors"

	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/imagespec"
)

// match is an image that a rule found.
type match struct {
	node      *yaml.Node // of the document that contains the reference
	line      int        // of the document, from 1
	reference string     // as it is written
	rule      string
	class     imagespec.Class
	chain     []string // what inside the document led there
}

// rule looks at one map of a document and reports the scalars in it that name images.
type rule func(s *searcher, m *yaml.Node, at location)

// rules are applied to every map, in order: what an earlier one has taken, a later one leaves alone. The shape of pods comes before all of
// them, in the whole document.
func rules() []rule {
	return []rule{imageParts, environment, namedImages, flagLists}
}

// location is the position of a node in a document.
type location struct {
	key   string // of the node, or of the list that it is in
	image string // the key nearest above it that names images, if there is one
	hub   string // registry and tag that apply below, as Istio's values have them
	tag   string
}

// maxSteps bounds the search of a document: aliases and merge keys make of a few nodes a great many.
const maxSteps = 10 * maxNodes

// search applies the rules to every map below root once.
func search(root *yaml.Node, report func(m match)) error {
	return searchUnder("", root, report)
}

// searchUnder searches the value of a key.
func searchUnder(key string, root *yaml.Node, report func(m match)) error {
	s := searcher{rules: rules(), report: report, budget: maxSteps, taken: map[*yaml.Node]bool{}, copies: map[*yaml.Node]*yaml.Node{}}
	if top := resolve(root); top.Kind == yaml.DocumentNode && len(top.Content) > 0 {
		root = top.Content[0]
	}
	s.document(root, location{key: key}, 0)
	return s.err
}

// document applies the rules to a document, or to one that is a string in it.
func (s *searcher) document(root *yaml.Node, at location, depth int) {
	if s.kind = kindOf(s, root); s.kind.skipped() {
		return
	}
	s.shapes(root, depth)
	s.visit(root, at, depth)
}

// shapes finds pods.
func (s *searcher) shapes(n *yaml.Node, depth int) {
	if !s.step(depth) {
		return
	}
	if n.Kind == yaml.MappingNode {
		podSpec(s, n)
	}
	for _, child := range n.Content {
		s.shapes(child, depth+1)
	}
}

var (
	errSteps = errors.New("its aliases and merge keys expand to too many values")
	errDepth = errors.New("it is nested too deeply")
)

type searcher struct {
	rules  []rule
	report func(m match)
	budget int          // steps that are left
	err    error        // why the search ended
	kind   documentKind // of the document
	taken  map[*yaml.Node]bool
	copies map[*yaml.Node]*yaml.Node // of parts of a scalar, to it
	nested nesting
}

// found reports an image, once for each node.
func (s *searcher) found(n *yaml.Node, reference, rule string, class imagespec.Class) {
	if s.taken[n] {
		return
	}
	s.taken[n] = true
	m := match{node: n, line: n.Line, reference: reference, rule: rule, class: class}
	if original := s.copies[n]; original != nil {
		m.node = original
	}
	if outer := s.nested.node; outer != nil {
		if class == imagespec.ClassCertain {
			m.class = imagespec.ClassStrong // if it is used
		}
		m.node, m.line, m.chain = outer, s.nested.line+n.Line, s.nested.chain
	}
	s.report(m)
}

// copied returns a copy of a scalar, for a part of its text.
func (s *searcher) copied(n *yaml.Node) *yaml.Node {
	one := *n
	s.copies[&one] = n
	return &one
}

// step reports whether the search may go on, at the given depth.
func (s *searcher) step(depth int) bool {
	switch s.budget--; {
	case s.err != nil:
	case s.budget < 0:
		s.err = errSteps
	case depth > maxDepth:
		s.err = errDepth
	default:
		return true
	}
	return false
}

// visit does not follow aliases: their content is visited at the anchor.
func (s *searcher) visit(n *yaml.Node, at location, depth int) {
	if !s.step(depth) {
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		at = s.inherit(n, at)
		for _, rule := range s.rules {
			rule(s, n, at)
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i].Value
			if notImages(key) {
				continue
			}
			below := at
			below.key = key
			if namesImages(key) || namesImageLists(key) {
				below.image = key
			}
			s.visit(n.Content[i+1], below, depth+1)
		}
	case yaml.ScalarNode:
		s.scalar(n, at, depth)
	default:
		for _, child := range n.Content {
			s.visit(child, at, depth+1)
		}
	}
}

// lookup returns the value of a key of a map, its own or merged in by "<<" (https://yaml.org/type/merge.html), with aliases resolved; nil
// if there is none, or n is not a map.
func (s *searcher) lookup(n *yaml.Node, key string) *yaml.Node {
	return s.merged(n, key, 0)
}

func (s *searcher) merged(n *yaml.Node, key string, depth int) *yaml.Node {
	n = resolve(n)
	if !s.step(depth) || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return resolve(n.Content[i+1])
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			continue
		}
		parents := []*yaml.Node{n.Content[i+1]}
		if list := resolve(parents[0]); list.Kind == yaml.SequenceNode {
			parents = list.Content
		}
		for _, parent := range parents {
			if value := s.merged(parent, key, depth+1); value != nil {
				return value
			}
		}
	}
	return nil
}

// items returns the maps in the list that a map has under key, with aliases resolved.
func (s *searcher) items(n *yaml.Node, key string) []*yaml.Node {
	list := s.lookup(n, key)
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	var maps []*yaml.Node
	for _, item := range list.Content {
		if !s.step(0) {
			return nil
		}
		if item = resolve(item); item.Kind == yaml.MappingNode {
			maps = append(maps, item)
		}
	}
	return maps
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}
