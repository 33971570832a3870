package discovery

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
	chart "helm.sh/helm/v4/pkg/chart/v2"

	"github.com/kubefile/kubefile/imagespec"
)

// imageAnnotations are the annotations of a Chart.yaml that list images: of Artifact Hub
// (https://artifacthub.io/docs/topics/annotations/helm/), and of tools that move charts into closed networks.
var imageAnnotations = []string{"helm.sh/images", "artifacthub.io/images", "images"}

// annotations reads the images that a chart and its subcharts list. An entry with a condition is needed if the value is true. Others
// are for what the templates do not show, such as the images that an operator starts: an image that the values or what is rendered have is
// found there, or is switched off.
func (s *chartSearch) annotations(ch *chart.Chart, values map[string]any, rendered map[string]string) {
	for _, key := range imageAnnotations {
		entries, err := annotated(ch.Metadata.Annotations[key])
		if err != nil {
			s.c.problem(s.file(ch.ChartFullPath()+"/Chart.yaml"), 0, false, "the images of the annotation %s are not known: %v: list those that are needed in an imageList", key, err)
		}
		for _, entry := range entries {
			s.annotation(ch, key, entry, values, rendered)
		}
	}
	for _, sub := range ch.Dependencies() {
		s.annotations(sub, asMap(values[sub.Name()]), rendered)
	}
}

// listedImage is an entry of a list of images in an annotation.
type listedImage struct {
	image     string
	condition string
}

// annotated reads the text of an annotation: a list of maps, a list of references, or a map of references.
func annotated(text string) ([]listedImage, error) {
	var root yaml.Node
	if tooLarge([]byte(text)) {
		return nil, errors.New("it is too large")
	}
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		return nil, fmt.Errorf("it is not valid YAML: %w", err)
	}
	if len(root.Content) == 0 {
		return nil, nil
	}
	s := searcher{budget: maxSteps}
	var images []listedImage
	for _, entry := range resolve(root.Content[0]).Content {
		switch entry = resolve(entry); entry.Kind {
		case yaml.MappingNode:
			images = append(images, listedImage{s.text(entry, "image"), s.text(entry, "condition")})
		case yaml.ScalarNode:
			images = append(images, listedImage{image: entry.Value})
		}
	}
	return images, nil
}

func (s *chartSearch) annotation(ch *chart.Chart, key string, entry listedImage, values map[string]any, rendered map[string]string) {
	if likely(entry.image) < shortName {
		return
	}
	template := ch.ChartFullPath() + "/Chart.yaml"
	f := imagespec.Finding{File: s.file(template), Rule: ruleNamed, Class: imagespec.ClassStrong, Chain: append(s.chain(template), "annotation "+key)}
	for _, raw := range ch.Raw {
		if before, _, ok := bytes.Cut(raw.Data, []byte(entry.image)); ok && raw.Name == "Chart.yaml" {
			f.Line = bytes.Count(before, []byte("\n")) + 1
		}
	}
	switch needed, known := condition(values, entry.condition); {
	case entry.condition != "" && !known:
		f.Class = imagespec.ClassMaybe
	case entry.condition != "" && !needed:
		return
	case entry.condition == "" && key != "helm.sh/images" && s.shown(entry.image, values, rendered):
		return
	}
	s.c.reference(entry.image, f)
}

// condition looks up the first of the values that a condition names, between commas.
func condition(values map[string]any, names string) (enabled, known bool) {
	for name := range strings.SplitSeq(names, ",") {
		var value any = values
		for key := range strings.SplitSeq(strings.TrimSpace(name), ".") {
			value = asMap(value)[key]
		}
		if enabled, known = value.(bool); known {
			return enabled, true
		}
	}
	return false, false
}

// shown reports whether the values or what is rendered have the repository of an image.
func (s *chartSearch) shown(image string, values map[string]any, rendered map[string]string) bool {
	name := repositoryName(image)
	for _, text := range rendered {
		for rest := text; ; {
			_, after, found := strings.Cut(rest, "/"+name)
			if !found {
				break
			}
			if rest = after; rest == "" || strings.ContainsAny(rest[:1], ":@\"' \n") {
				return true
			}
		}
	}
	return hasRepository(values, name)
}

// repositoryName returns the last element of the repository of a reference.
func repositoryName(reference string) string {
	reference, _, _ = strings.Cut(reference, "@")
	name, _, _ := strings.Cut(path.Base(reference), ":")
	return name
}

// hasRepository reports whether a value is, or ends with, the repository of that name.
func hasRepository(value any, name string) bool {
	switch value := value.(type) {
	case string:
		return repositoryName(value) == name
	case []any:
		for _, item := range value {
			if hasRepository(item, name) {
				return true
			}
		}
	default:
		for _, item := range asMap(value) {
			if hasRepository(item, name) {
				return true
			}
		}
	}
	return false
}
