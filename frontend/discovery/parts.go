package discovery

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/imagespec"
)

// ruleImageParts finds images with separate repository, tag, digest and registry, in a map, in variables, or in flags.
const ruleImageParts = "image-parts"

// pair is a name and its value: a key of a map, a variable, a flag.
type pair struct {
	name string
	node *yaml.Node // a scalar
}

// imageParts looks at the scalars of one map.
func imageParts(s *searcher, m *yaml.Node, at location) {
	var entries []pair
	for i := 0; i+1 < len(m.Content); i += 2 {
		if value := resolve(m.Content[i+1]); value.Kind == yaml.ScalarNode && value.Tag != "!!null" {
			entries = append(entries, pair{m.Content[i].Value, value})
		}
	}
	s.join(entries, at)
}

var (
	tagGrammar    = regexp.MustCompile(`^\w[\w.-]{0,127}$`) // distribution/reference
	digestGrammar = regexp.MustCompile(`^(sha256:)?[a-f0-9]{64}$`)
)

// parts are the names of what belongs to one image, by what they end in. The first that fits counts.
type parts map[string]*yaml.Node // by normal name

func (p parts) first(match func(text string) bool, names ...string) *yaml.Node {
	for _, name := range names {
		if n := p[name]; n != nil && match(n.Value) {
			return n
		}
	}
	return nil
}

// join puts together what belongs together by name: SCAN_IMAGE and SCAN_IMAGE_TAG, repository and tag, imageRegistry and imageRepository.
func (s *searcher) join(entries []pair, at location) {
	if len(entries) < 2 {
		return
	}
	all := parts{}
	for _, e := range entries {
		if name := normal(e.name); all[name] == nil {
			all[name] = e.node
		}
	}
	for _, e := range entries {
		name := normal(e.name)
		for _, suffix := range []string{"imagerepository", "imagerepo", "repository", "repo", "imagename", "image", "name"} {
			if stem, ok := strings.CutSuffix(name, suffix); ok {
				s.complete(all, e, stem, suffix, at)
				break
			}
		}
	}
}

// complete completes one repository.
func (s *searcher) complete(all parts, e pair, stem, suffix string, at location) {
	base := e.node.Value
	named := strings.HasPrefix(suffix, "image") || at.image != "" // the names say that it is an image
	if l := likely(base); s.taken[e.node] || l != bareName && l != repository || suffix == "name" && (stem != "" || at.image == "") {
		return
	}
	untagged := func(text string) bool {
		l := likely(text)
		return l == bareName || l == repository || strings.Contains(text, ".")
	}
	var used []*yaml.Node
	if suffix == "image" {
		if over := all.first(untagged, stem+"repository", stem+"imagerepository"); over != nil { // nvcr.io/nvidia and driver
			base = strings.TrimSuffix(over.Value, "/") + "/" + base
			used = append(used, over)
		}
	} else if image := all[stem+"image"]; image != nil && strings.HasSuffix(suffix, "repository") && likely(image.Value) == bareName {
		return // the image completes it
	}
	tags := []string{stem + "imagetag", stem + "tag"}
	if named || all[stem+"image"] != nil || likely(base) == repository && strings.Contains(strings.SplitN(base, "/", 2)[0], ".") {
		tags = append(tags, stem+"imageversion", stem+"version")
	}
	isDigest := digestGrammar.MatchString
	tag := all.first(func(text string) bool { return tagGrammar.MatchString(text) && !isDigest(text) }, tags...)
	digest := all.first(isDigest, append([]string{stem + "imagedigest", stem + "digest", stem + "imagesha", stem + "sha", stem + "sha256"}, tags...)...)
	if tag == nil && digest == nil {
		return
	}
	registry := all.first(untagged, stem+"imageregistry", stem+"registry", stem+"imagehub", stem+"hub", "registry")
	if registry != nil && !strings.Contains(strings.SplitN(base, "/", 2)[0], ".") {
		base = strings.TrimSuffix(registry.Value, "/") + "/" + base
		used = append(used, registry)
	}
	if tag != nil {
		base += ":" + tag.Value
		used = append(used, tag)
	}
	if digest != nil {
		base += "@sha256:" + strings.TrimPrefix(digest.Value, "sha256:")
		used = append(used, digest)
	}
	class := imagespec.ClassStrong
	switch l := likely(base); {
	case l < shortName:
		return
	case !named && l != fullName:
		class = imagespec.ClassMaybe // as the repository and tag of a program's source would be
	}
	s.found(e.node, base, ruleImageParts, class)
	for _, n := range used {
		s.taken[n] = true
	}
}

// inherit takes over a registry and a tag that apply to all images below (https://istio.io/latest/docs/reference/config/istio.operator.v1alpha1/,
// hub and tag).
func (s *searcher) inherit(m *yaml.Node, at location) location {
	hub, tag := s.text(m, "hub"), s.text(m, "tag")
	if l := likely(hub); l == repository || l == notLikely && strings.Contains(hub, ".") && !strings.ContainsAny(hub, " {:") {
		at.hub = strings.TrimSuffix(hub, "/")
	}
	if tagGrammar.MatchString(tag) {
		at.tag = tag
	}
	return at
}
