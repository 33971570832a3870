package registryproxy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
)

type kind string

const (
	kindManifest  kind = "manifests"
	kindBlob      kind = "blobs"
	kindTags      kind = "tags"
	kindReferrers kind = "referrers"
)

// target is what a request's path asks for.
type target struct {
	kind       kind
	host       string // the registry that the image belongs to
	repository string
	name       string        // tag or digest; empty for tags
	digest     digest.Digest // when name is one
}

// parseTarget reads /v2/<repository>/<kind>/<name>. Without a namespace the first part of the repository is the registry if it looks like
// one, as in image references; else the registry is docker.io.
func parseTarget(path, namespace string) (target, error) {
	invalid := fmt.Errorf("%q asks for nothing that a registry has", path)
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return target{}, invalid
	}
	parts := strings.Split(rest, "/")
	if len(parts) < 3 {
		return target{}, invalid
	}
	t := target{kind: kind(parts[len(parts)-2]), name: parts[len(parts)-1]}
	repository := strings.Join(parts[:len(parts)-2], "/")
	if namespace != "" {
		repository = namespace + "/" + repository
	}
	named, err := reference.ParseNormalizedNamed(repository)
	if err != nil || !reference.IsNameOnly(named) {
		return target{}, fmt.Errorf("%q is no repository", repository)
	}
	t.host, t.repository = reference.Domain(named), reference.Path(named)
	if namespace != "" && t.host != namespace {
		return target{}, fmt.Errorf("%q is no registry", namespace)
	}
	switch t.kind {
	case kindTags:
		if t.name != "list" {
			return target{}, invalid
		}
		t.name = ""
		return t, nil
	case kindBlob, kindReferrers:
		t.digest = digest.Digest(t.name)
		if _, err := imagespec.BlobPath(t.digest); err != nil {
			return target{}, err
		}
		return t, nil
	case kindManifest:
		_, err := imagespec.ParseReference(t.reference())
		return t, err
	}
	return target{}, invalid
}

// reference is the full form of what is asked for.
func (t target) reference() string {
	separator := ":"
	if strings.Contains(t.name, ":") {
		separator = "@"
	}
	return t.host + "/" + t.repository + separator + t.name
}

// path is the request's path for another proxy, which is told the registry by ns.
func (t target) path() string {
	return "/v2/" + t.repository + "/" + string(t.kind) + "/" + t.name
}

func sorted(values []string) []string {
	slices.Sort(values)
	return values
}
