package discovery

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/imagespec"
)

const (
	// ruleNamed finds images by the name of their key: sidecarImage, images, relatedImages.
	ruleNamed = "image-key"
	// ruleEnvironment finds images in environment variables and other lists of names and values.
	ruleEnvironment = "environment"
	// ruleFlag finds images in the flags of programs.
	ruleFlag = "flag"
	// ruleLooks finds what is an image by nothing but its looks.
	ruleLooks = "looks-like-image"
)

// namedImages reads the scalars under keys that say that they are images.
func namedImages(s *searcher, m *yaml.Node, at location) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		key, value := m.Content[i].Value, resolve(m.Content[i+1])
		if value.Kind != yaml.ScalarNode || value.Tag == "!!null" || !namesImages(key) {
			continue
		}
		text := strings.TrimPrefix(value.Value, "docker://")
		exact := normal(key) == "image"
		switch l := likely(text); {
		case l >= shortName:
			s.found(value, text, ruleNamed, imagespec.ClassStrong)
		case l == bareName && at.hub != "" && at.tag != "":
			s.found(value, at.hub+"/"+text+":"+at.tag, ruleImageParts, imagespec.ClassStrong)
		case l <= repository && s.incomplete(m):
		case s.kind.name != "" && (l == repository || l == bareName && exact && s.nested.node == nil):
			s.found(value, text, ruleNamed, imagespec.ClassStrong)
		case l == repository:
			s.found(value, text, ruleNamed, imagespec.ClassMaybe)
		}
	}
}

// incomplete reports whether a map has a place for the rest of an image, and nothing there: then the operator knows it, or wants none; nor does
// it want what is disabled.
func (s *searcher) incomplete(m *yaml.Node) bool {
	if s.text(m, "enabled") == "false" {
		return true
	}
	for _, key := range []string{"repository", "registry", "tag", "version"} {
		if n := s.lookup(m, key); n != nil && n.Kind == yaml.ScalarNode && n.Value == "" {
			return true
		}
	}
	return false
}

// environment reads lists of names and values: variables of containers, parameters of pipelines and of Helm releases.
func environment(s *searcher, m *yaml.Node, at location) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		var entries []pair
		for _, item := range s.items(m, m.Content[i].Value) {
			name, value := s.text(item, "name"), s.lookup(item, "value")
			if value == nil {
				value = s.lookup(item, "default")
			}
			if name != "" && value != nil && value.Kind == yaml.ScalarNode && value.Tag != "!!null" {
				entries = append(entries, pair{name, value})
			}
		}
		s.join(entries, at)
		for _, e := range entries {
			s.value(e, ruleEnvironment)
		}
	}
}

// flagLists reads lists with flags in them: arguments and commands of containers.
func flagLists(s *searcher, m *yaml.Node, at location) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		list := resolve(m.Content[i+1])
		if list.Kind != yaml.SequenceNode {
			continue
		}
		var entries []pair
		flag := ""
		for _, item := range list.Content {
			if !s.step(0) {
				return
			}
			if item = resolve(item); item.Kind != yaml.ScalarNode {
				break
			}
			name, value, attached := strings.Cut(item.Value, "=")
			switch {
			case strings.HasPrefix(name, "-") && attached:
				n := s.copied(item) // the value has the place of the flag
				n.Value = strings.Trim(value, `"'`)
				entries = append(entries, pair{strings.TrimLeft(name, "-"), n})
				s.taken[item] = true
			case strings.HasPrefix(item.Value, "-") && !strings.ContainsAny(item.Value, " \n"):
				flag = strings.TrimLeft(item.Value, "-")
				continue
			case flag != "":
				entries = append(entries, pair{flag, item})
			}
			flag = ""
		}
		s.join(entries, at)
		for _, e := range entries {
			s.value(e, ruleFlag)
		}
	}
}

// value reads the images in the value of a variable or a flag: one, or several between commas or spaces, each perhaps behind a version
// ("3.9.0=quay.io/strimzi/kafka:3.9.0").
func (s *searcher) value(e pair, rule string) {
	if s.taken[e.node] || strings.HasPrefix(e.node.Value, "{") || strings.HasPrefix(e.node.Value, "[") {
		return
	}
	least := fullName
	norm := normal(e.name)
	if named := strings.Contains(norm, "image") && !notContainers(strings.TrimSuffix(norm, "s")); named {
		least = shortName
		if namesImages(e.name) && likely(e.node.Value) == repository {
			s.found(e.node, e.node.Value, rule, imagespec.ClassStrong)
			return
		}
	}
	s.list(e.node, least, rule, imagespec.ClassStrong)
}

// list reports the words of a scalar that are at least as likely references.
func (s *searcher) list(n *yaml.Node, least likelihood, rule string, class imagespec.Class) {
	words := strings.FieldsFunc(n.Value, func(r rune) bool { return r == ',' || r == ';' || r == ' ' || r == '\n' || r == '\t' })
	for _, word := range words {
		if !s.step(0) {
			return
		}
		if i := strings.LastIndexByte(word, '='); i >= 0 {
			word = word[i+1:]
		}
		word = strings.TrimPrefix(strings.Trim(word, `"'`), "docker://")
		if likely(word) >= least {
			s.found(s.copied(n), word, rule, class)
			s.taken[n] = true
		}
	}
}

// scalar looks at a value that no rule for its map has taken.
func (s *searcher) scalar(n *yaml.Node, at location, depth int) {
	if s.taken[n] || n.Tag == "!!null" {
		return
	}
	if text := strings.TrimSpace(n.Value); strings.Contains(text, "\n") || len(text) > 2 && (text[0] == '{' || text[0] == '[') || strings.Contains(text, " ") {
		s.inside(n, at, depth)
		return
	}
	data := (s.kind.name == "ConfigMap" || s.kind.name == "Secret") && s.nested.node == nil
	switch {
	case namesImageLists(at.key):
		s.list(n, repository, ruleNamed, imagespec.ClassStrong)
	case namesImageLists(at.image):
		s.list(n, shortName, ruleNamed, imagespec.ClassStrong)
	case namesImages(at.key):
		s.list(n, shortName, ruleNamed, imagespec.ClassStrong)
	case data:
		s.value(pair{at.key, n}, ruleEnvironment)
	case likely(n.Value) == fullName && !namesAddress(at.key):
		s.found(n, n.Value, ruleLooks, imagespec.ClassMaybe)
	}
}

// namesAddress reports whether the name of a key shows that its value is a network address or a chart.
func namesAddress(key string) bool {
	norm := normal(key)
	for _, part := range []string{"url", "host", "address", "endpoint", "server", "domain", "chart", "repo", "link", "path", "issuer"} {
		if strings.Contains(norm, part) {
			return true
		}
	}
	return false
}
