package discovery

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/resource"

	"github.com/kubefile/kubefile/imagespec"
)

// origins finds the places in the rootfs where the images of built resources come from.
type origins struct {
	c         *collector
	fsys      *kustomizeFS
	resources map[string][]positioned // by kind
}

// positioned is a document of a file that begins after the given number of lines.
type positioned struct {
	file  string
	name  string // of the resource
	root  *yaml.Node
	line  int
	chart *inflated // that renders to it
}

// newOrigins reads the resources of the kustomizations that were built once more, with their positions.
func newOrigins(c *collector, fsys *kustomizeFS) *origins {
	o := &origins{c: c, fsys: fsys, resources: map[string][]positioned{}}
	for _, name := range slices.Sorted(maps.Keys(fsys.read)) {
		one := fsys.all[path.Dir(name)]
		if one == nil || one.file != name {
			continue
		}
		for _, file := range one.files {
			if data, ok, err := c.readFile(file); err == nil && ok {
				o.index(file, data, nil)
			}
		}
		for i := range one.charts {
			o.index(one.file, one.charts[i].rendered, &one.charts[i])
		}
	}
	return o
}

// index notes the resources of a file, or what a chart renders to.
func (o *origins) index(file string, data []byte, chart *inflated) {
	for _, d := range split(withoutSchemas(data)) {
		roots, _ := d.parse()
		for _, root := range roots {
			var resource struct {
				Kind     string `yaml:"kind"`
				Metadata struct {
					Name string `yaml:"name"`
				} `yaml:"metadata"`
			}
			if root.Decode(&resource) == nil {
				found := positioned{file: file, name: resource.Metadata.Name, root: root.Content[0], line: d.line, chart: chart}
				o.resources[resource.Kind] = append(o.resources[resource.Kind], found)
			}
		}
	}
}

// of returns the document that a resource was made of. Kustomizations may change a name at its ends.
func (o *origins) of(r *resource.Resource) (best positioned) {
	for _, d := range o.resources[r.GetKind()] {
		if strings.Contains(r.GetName(), d.name) && (best.root == nil || len(d.name) > len(best.name)) {
			best = d
		}
	}
	return best
}

// search searches a resource that a kustomization was built to.
func (o *origins) search(one *kustomization, r *resource.Resource) {
	root := r.YNode()
	if hooksOf(root).test {
		return
	}
	err := search(root, func(m match) {
		if one.optional {
			m.class = imagespec.ClassMaybe
		}
		f := o.place(one, r, pathTo(root, m.node), m.node.Value)
		f.Rule, f.Class, f.Chain = m.rule, m.class, append(f.Chain, m.chain...)
		o.c.reference(m.reference, f)
	})
	if err != nil {
		o.c.problem(one.file, 0, true, "not searched to its end: %v", err)
	}
}

// place returns the place of a value of a resource: in its own file, or else in the kustomization, with the changes in the chain.
func (o *origins) place(one *kustomization, r *resource.Resource, steps []step, written string) imagespec.Finding {
	f := imagespec.Finding{File: one.file, Chain: []string{"kustomization " + one.dir}}
	original := ""
	switch d := o.of(r); {
	case d.root == nil:
	case d.chart != nil:
		f.File, f.Line = d.file, d.chart.line
		f.Chain = append(f.Chain, "chart "+d.chart.chart)
	default:
		f.File = d.file
		if n := follow(d.root, steps); n != nil && n.Kind == yaml.ScalarNode {
			f.Line, original = d.line+n.Line, n.Value
		}
	}
	if original == written {
		return f
	}
	if file, line := o.transformer(original, written); file != "" {
		f.Chain = append(f.Chain, fmt.Sprintf("images of %s:%d", file, line))
	} else if file, line := o.text(written); file != "" && original == "" {
		f.File, f.Line = file, line
	} else if file != "" {
		f.Chain = append(f.Chain, fmt.Sprintf("changed by %s:%d", file, line))
	}
	return f
}

// transformer finds the entry of a kustomization's images that made the written reference of the original.
func (o *origins) transformer(original, written string) (file string, line int) {
	for _, name := range slices.Sorted(maps.Keys(o.fsys.read)) {
		one := o.fsys.all[path.Dir(name)]
		if one == nil || one.file != name {
			continue
		}
		s := searcher{budget: maxSteps}
		for _, image := range s.items(one.root, "images") {
			makes := strings.HasPrefix(original, s.text(image, "name")) || original == ""
			sets := false
			for _, key := range []string{"newName", "newTag", "digest"} {
				value := s.text(image, key)
				sets = sets || value != ""
				makes = makes && strings.Contains(written, value)
			}
			if makes && sets {
				file, line = name, image.Line
			}
		}
	}
	return file, line
}

// text returns the scalar that a map has under key.
func (s *searcher) text(m *yaml.Node, key string) string {
	if n := s.lookup(m, key); n != nil {
		return n.Value
	}
	return ""
}

// text finds the line that has the written reference, in a patch for example.
func (o *origins) text(written string) (file string, line int) {
	for _, name := range slices.Sorted(maps.Keys(o.fsys.read)) {
		data, ok, err := o.c.readFile(name)
		if err != nil || !ok {
			continue
		}
		if before, _, ok := bytes.Cut(data, []byte(written)); ok {
			return name, bytes.Count(before, []byte("\n")) + 1
		}
	}
	return "", 0
}

// step leads from a node to one in it: by a key, or in a list by the name that an item has, or by its place.
type step struct {
	key   string
	index int // in a list; -1 in a map
}

// pathTo returns the steps from root to n.
func pathTo(root, n *yaml.Node) []step {
	for i, child := range root.Content {
		if root.Kind == yaml.MappingNode && i%2 == 0 {
			continue
		}
		s := step{index: -1}
		if root.Kind == yaml.MappingNode {
			s.key = root.Content[i-1].Value
		} else {
			s.key, s.index = nameOf(child), i
		}
		if child == n {
			return []step{s}
		}
		if rest := pathTo(child, n); rest != nil {
			return append([]step{s}, rest...)
		}
	}
	return nil
}

// nameOf returns the name of an item of a list.
func nameOf(n *yaml.Node) string {
	s := searcher{budget: maxSteps}
	return s.text(n, "name")
}

// follow returns the node that the steps lead to, or nil.
func follow(n *yaml.Node, steps []step) *yaml.Node {
	s := searcher{budget: maxSteps}
	for _, step := range steps {
		if n = resolve(n); step.index < 0 {
			n = s.lookup(n, step.key)
		} else {
			n = item(n, step)
		}
		if n == nil {
			return nil
		}
	}
	return resolve(n)
}

func item(list *yaml.Node, s step) *yaml.Node {
	for _, child := range list.Content {
		if s.key != "" && nameOf(child) == s.key {
			return child
		}
	}
	if s.key == "" && s.index < len(list.Content) {
		return list.Content[s.index]
	}
	return nil
}
