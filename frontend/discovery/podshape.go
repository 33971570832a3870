package discovery

import (
	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/imagespec"
)

// rulePodSpec finds images by the shape of a pod: a map with lists of containers (Kubernetes API, core/v1 PodSpec), whatever the kind
// around it, so that custom resources with a pod inside are found as well. Image volumes: KEP-4639.
const rulePodSpec = "pod-spec"

// injected is the image in a pod that Istio replaces (https://istio.io/latest/docs/setup/additional-setup/gateway/).
const injected = "auto"

func podSpec(s *searcher, m *yaml.Node) {
	report := func(n *yaml.Node) {
		switch {
		case n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null":
		case n.Value == injected:
			s.taken[n] = true
		default:
			s.found(n, n.Value, rulePodSpec, imagespec.ClassCertain)
		}
	}
	for _, key := range []string{"containers", "initContainers", "ephemeralContainers"} {
		for _, container := range s.items(m, key) {
			report(s.lookup(container, "image"))
		}
	}
	for _, volume := range s.items(m, "volumes") {
		if image := s.lookup(volume, "image"); image != nil {
			report(s.lookup(image, "reference"))
		}
	}
}
