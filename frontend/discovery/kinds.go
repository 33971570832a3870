package discovery

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// documentKind is what a document is.
type documentKind struct {
	group, name string // of a Kubernetes resource
	other       string // what it is instead, where it is known to name no images
}

// kindOf looks at the root of a document.
func kindOf(s *searcher, root *yaml.Node) documentKind {
	k := documentKind{name: s.text(root, "kind")}
	k.group, _, _ = strings.Cut(s.text(root, "apiVersion"), "/")
	has := func(keys ...string) bool {
		for _, key := range keys {
			if s.lookup(root, key) == nil {
				return false
			}
		}
		return true
	}
	switch {
	case k.name != "" && k.group != "":
	case has("mediaType", "digest"), has("mediaType", "schemaVersion"):
		k.other = "part of an image"
	case has("$schema"), has("openapi", "paths"), has("swagger", "paths"):
		k.other = "schema"
	case has("services") && k.name == "":
		k.other = "compose file"
	case has("panels", "title"):
		k.other = "dashboard"
	case has("suite", "tests"):
		k.other = "test of a chart"
	case has("groups") && len(s.items(root, "groups")) > 0 && s.lookup(s.items(root, "groups")[0], "rules") != nil:
		k.other = "alerts"
	}
	return k
}

// skipped are documents in which an image is described, matched, or of another kind.
func (k documentKind) skipped() bool {
	if k.other != "" {
		return true
	}
	switch k.name {
	case "CustomResourceDefinition", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "PrometheusRule", "GrafanaDashboard", "ConstraintTemplate",
		"ValidatingAdmissionPolicy", "MutatingAdmissionPolicy", "ClusterImagePolicy", "ImageContentSourcePolicy", "ImageDigestMirrorSet", "ImageTagMirrorSet",
		"APIService", "StorageClass", "Kubefile":
		return true
	case "Cluster": // of this tool and the old one: a cluster image
		return strings.HasPrefix(k.group, "sealer.") || strings.HasPrefix(k.group, "zlink.")
	case "Policy", "ClusterPolicy":
		return k.group == "kyverno.io"
	}
	return k.group == "constraints.gatekeeper.sh" || k.group == "policies.kyverno.io"
}
