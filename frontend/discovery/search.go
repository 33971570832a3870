package discovery

import (
	"errors"

	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/imagespec"
)

// rule looks at one map of a document and reports the scalars in it that name images.
type rule func(s *searcher, m *yaml.Node)

// rules are applied to every map, in order.
func rules() []rule {
	return []rule{podSpec}
}

// maxSteps bounds the search of a document: aliases and merge keys make of a few nodes a great many.
const maxSteps = 10 * maxNodes

// search applies the rules to every map below root once.
func search(root *yaml.Node, report func(n *yaml.Node, rule string, class imagespec.Class)) error {
	s := searcher{rules: rules(), report: report, budget: maxSteps}
	s.visit(root, 0)
	return s.err
}

var (
	errSteps = errors.New("aliases and merge keys make more of it than any real document has")
	errDepth = errors.New("it is nested deeper than any real document is")
)

type searcher struct {
	rules  []rule
	report func(n *yaml.Node, rule string, class imagespec.Class)
	budget int   // steps that are left
	err    error // why the search ended
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

// visit does not follow aliases: what they stand for is visited where its anchor is.
func (s *searcher) visit(n *yaml.Node, depth int) {
	if !s.step(depth) {
		return
	}
	if n.Kind == yaml.MappingNode {
		for _, rule := range s.rules {
			rule(s, n)
		}
	}
	for _, child := range n.Content {
		s.visit(child, depth+1)
	}
}

// lookup returns the value of a key of a map, its own or merged in by "<<" (https://yaml.org/type/merge.html), with aliases
// resolved; nil if there is none, or n is no map.
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
