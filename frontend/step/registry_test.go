package step

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const repositoryName = "team/app"

// registry is a registry with one repository.
type registry struct {
	*httptest.Server
	types map[digest.Digest]string // of manifests
	bytes map[digest.Digest][]byte
	// user, if it is set, is the only one who may read; "user:password".
	user string
	// terse refuses HEAD, and sends manifests in chunks, without their digest.
	terse bool
	mu    sync.Mutex
	gets  []string // paths that were read
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{types: map[digest.Digest]string{}, bytes: map[digest.Digest][]byte{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if user, password, _ := req.BasicAuth(); r.user != "" && user+":"+password != r.user {
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	kind, name, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/v2/"+repositoryName+"/"), "/")
	dgst := digest.Digest(name)
	dt, ok := r.bytes[dgst]
	mediaType, isManifest := r.types[dgst]
	if !ok || isManifest != (kind == "manifests") || isManifest && !strings.Contains(strings.Join(req.Header["Accept"], ","), mediaType) {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	r.mu.Lock()
	r.gets = append(r.gets, req.URL.Path)
	r.mu.Unlock()
	if isManifest {
		w.Header().Set("Content-Type", mediaType)
	}
	if r.terse && isManifest {
		if req.Method == http.MethodHead {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		w.(http.Flusher).Flush()
		w.Write(dt)
		return
	}
	w.Header().Set("Docker-Content-Digest", name)
	w.Header().Set("Content-Length", strconv.Itoa(len(dt)))
	w.Write(dt)
}

func (r *registry) host() string { return strings.TrimPrefix(r.URL, "http://") }

func (r *registry) reference(dgst digest.Digest) string {
	return r.host() + "/" + repositoryName + "@" + dgst.String()
}

func (r *registry) blob(content string) ocispec.Descriptor {
	dgst := digest.FromString(content)
	r.bytes[dgst] = []byte(content)
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: dgst, Size: int64(len(content))}
}

func (r *registry) document(t *testing.T, mediaType string, document any) ocispec.Descriptor {
	t.Helper()
	dt, err := json.MarshalIndent(document, "", "   ")
	if err != nil {
		t.Fatal(err)
	}
	desc := r.blob(string(dt))
	desc.MediaType = mediaType
	r.types[desc.Digest] = mediaType
	return desc
}

// image adds a manifest and returns it and its config.
func (r *registry) image(t *testing.T, mediaType, platform string) (manifest, config ocispec.Descriptor) {
	t.Helper()
	config = r.blob(`{"architecture":"` + platform + `"}`)
	return r.document(t, mediaType, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: mediaType,
		Config:    config,
		Layers:    []ocispec.Descriptor{r.blob("common"), r.blob("layer of " + platform)},
	}), config
}

// index adds an index of two platforms and an attestation, and returns it and the config of linux/amd64.
func (r *registry) index(t *testing.T, indexType, manifestType string) (index, config ocispec.Descriptor) {
	t.Helper()
	var children []ocispec.Descriptor
	for _, arch := range []string{"arm64", "amd64"} {
		manifest, c := r.image(t, manifestType, arch)
		children = append(children, onArch(manifest, arch))
		config = c
	}
	attestation := r.document(t, ocispec.MediaTypeImageManifest, ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest})
	attestation.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	return r.document(t, indexType, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: indexType,
		Manifests: append(children, attestation),
	}), config
}

// indexOf is an index, or list, with the children.
func (r *registry) indexOf(t *testing.T, mediaType string, children ...ocispec.Descriptor) ocispec.Descriptor {
	t.Helper()
	return r.document(t, mediaType, ocispec.Index{MediaType: mediaType, Manifests: children})
}

// nested is a manifest below as many indexes.
func (r *registry) nested(t *testing.T, manifest ocispec.Descriptor, levels int) ocispec.Descriptor {
	t.Helper()
	top := manifest
	for range levels {
		top = r.indexOf(t, ocispec.MediaTypeImageIndex, top)
	}
	return top
}

// onArch is a descriptor for a platform of Linux.
func onArch(d ocispec.Descriptor, arch string) ocispec.Descriptor {
	d.Platform = &ocispec.Platform{OS: "linux", Architecture: arch}
	return d
}
