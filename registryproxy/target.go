package registryproxy

import (
	"net/http"
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

// unknown is the specification's code for something of the kind that is not there; empty for a kind that there is not.
func (k kind) unknown() string {
	switch k {
	case kindManifest, kindReferrers:
		return "MANIFEST_UNKNOWN"
	case kindBlob:
		return "BLOB_UNKNOWN"
	case kindTags:
		return "NAME_UNKNOWN"
	}
	return ""
}

// target is the content that a request's path names.
type target struct {
	kind       kind
	host       string // the registry that the image belongs to
	repository string
	name       string        // tag or digest; empty for tags
	digest     digest.Digest // when name is one
}

// parseTarget reads /v2/<repository>/<kind>/<name>. Without a namespace the first part of the repository is the registry if it looks like
// one, as in image references; otherwise the registry is the cluster's domain, or docker.io if there is none.
func parseTarget(path, namespace, domain string) (target, *apiError) {
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return target{}, notFound
	}
	rest, name, _ := cutLast(rest)
	repository, kindName, ok := cutLast(rest)
	t := target{kind: kind(kindName), name: name}
	if !ok || t.kind.unknown() == "" {
		return target{}, notFound
	}
	if err := t.locate(repository, namespace, domain); err != nil {
		return target{}, err
	}
	switch {
	case t.kind == kindTags && name == "list":
		t.name = ""
		return t, nil
	case t.kind == kindTags:
		return target{}, notFound
	case t.kind == kindManifest && !strings.Contains(name, ":"):
		if _, err := imagespec.ParseReference(t.String()); err != nil {
			return target{}, &apiError{http.StatusNotFound, t.kind.unknown(), "invalid tag"}
		}
		return t, nil
	default:
		return t, t.identify()
	}
}

// locate finds the registry and the repository in it.
func (t *target) locate(repository, namespace, domain string) *apiError {
	full := repository
	if namespace != "" {
		full = namespace + "/" + repository
	}
	named, err := reference.ParseNormalizedNamed(full)
	if err != nil || !reference.IsNameOnly(named) {
		return &apiError{http.StatusBadRequest, "NAME_INVALID", "invalid repository name"}
	}
	t.host, t.repository = reference.Domain(named), reference.Path(named)
	if namespace == "" && domain != "" && !strings.HasPrefix(repository, t.host+"/") {
		return t.locate(repository, domain, "")
	}
	if namespace != "" && t.host != namespace {
		return &apiError{http.StatusBadRequest, "NAME_INVALID", "invalid registry in ns"}
	}
	return nil
}

// meanings returns what a target may mean, the best match first: itself, and the names according to [Config.Domain].
func (t target) meanings(domain string, stores stores) ([]target, error) {
	if t.host != domain || t.kind == kindBlob {
		return []target{t}, nil
	}
	all := []target{t}
	in := func(registry, repository string) {
		t.host, t.repository = registry, repository
		all = append(all, t)
	}
	repository := t.repository
	if named, err := reference.ParseNormalizedNamed(repository); err == nil {
		in(reference.Domain(named), reference.Path(named))
	}
	registries, err := stores.registries()
	for _, registry := range registries {
		in(registry, repository)
	}
	return all, err
}

// identify reads the name as a digest.
func (t *target) identify() *apiError {
	t.digest = digest.Digest(t.name)
	if err := t.digest.Validate(); err != nil {
		return &apiError{http.StatusBadRequest, "DIGEST_INVALID", "invalid digest"}
	}
	if _, err := imagespec.BlobPath(t.digest); err != nil {
		return t.unknown() // an algorithm that the store does not use
	}
	return nil
}

// String is the full form of what is asked for, as an image reference has it.
func (t target) String() string {
	switch {
	case t.name == "":
		return t.host + "/" + t.repository
	case strings.Contains(t.name, ":"):
		return t.host + "/" + t.repository + "@" + t.name
	default:
		return t.host + "/" + t.repository + ":" + t.name
	}
}

// unknown is the answer if no store and no seed has it.
func (t target) unknown() *apiError {
	return &apiError{http.StatusNotFound, t.kind.unknown(), t.String() + " is not in the cluster image"}
}

// path is the request's path for another proxy, which is told the registry by ns.
func (t target) path() string {
	name := t.name
	if t.kind == kindTags {
		name = "list"
	}
	return "/v2/" + t.repository + "/" + string(t.kind) + "/" + name
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}
