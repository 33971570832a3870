// Package registryproxy serves the embedded images of a cluster image over the OCI distribution API: to containerd on the same host,
// and from the masters, the seeds, to the other hosts.
//
// containerd asks a mirror for another registry's image with ?ns=<registry> in the URL, so gcr.io/x:v1 of an unmodified manifest comes
// from the embedded store. What the own store does not hold is asked of the seeds; what nobody holds is recorded as missed.
//
// The handler is our own on net/http: the store is a directory of files, and http.ServeContent gives ranges, HEAD and sendfile for
// files, which the registry libraries at hand put readers between.
package registryproxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
)

// Handler answers pulls (OCI distribution specification 1.1, section "Pull", and tag listing).
type Handler struct {
	store   *imagespec.Store // nil on hosts that hold no images
	seeds   *seeds           // nil when there is nobody to ask
	records *Records         // nil to keep none
	log     *slog.Logger
}

// Error codes of the distribution specification.
const (
	codeBlobUnknown     = "BLOB_UNKNOWN"
	codeManifestUnknown = "MANIFEST_UNKNOWN"
	codeNameInvalid     = "NAME_INVALID"
	codeNameUnknown     = "NAME_UNKNOWN"
	codeUnsupported     = "UNSUPPORTED"
)

const digestHeader = "Docker-Content-Digest"

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		fail(w, http.StatusMethodNotAllowed, codeUnsupported, "this registry is read-only")
		return
	}
	if r.URL.Path == "/v2/" || r.URL.Path == "/v2" {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, "{}")
		return
	}
	target, err := parseTarget(r.URL.Path, r.URL.Query().Get("ns"))
	if err != nil {
		fail(w, http.StatusNotFound, codeNameInvalid, err.Error())
		return
	}
	switch target.kind {
	case kindManifest:
		h.manifest(w, r, target)
	case kindBlob:
		h.blob(w, r, target)
	case kindTags:
		h.tags(w, target)
	case kindReferrers:
		// An index without manifests is the answer for "none" (distribution specification, "Listing Referrers").
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
		io.WriteString(w, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
	}
}

func (h *Handler) manifest(w http.ResponseWriter, r *http.Request, t target) {
	descriptor, data, err := h.ownManifest(t)
	if errors.Is(err, imagespec.ErrNotFound) {
		served, ok := h.fallThrough(w, r, t)
		switch {
		case ok:
			h.record(r, Record{Reference: t.reference(), Digest: served}, true)
		default:
			h.record(r, Record{Reference: t.reference()}, false)
			fail(w, http.StatusNotFound, codeManifestUnknown, t.reference()+" is not in the cluster image")
		}
		return
	}
	if err != nil {
		h.broken(w, t, err)
		return
	}
	header := w.Header()
	header.Set("Content-Type", descriptor.MediaType)
	header.Set("Content-Length", strconv.Itoa(len(data)))
	header.Set(digestHeader, descriptor.Digest.String())
	if r.Method == http.MethodHead {
		return
	}
	h.record(r, Record{Reference: t.reference(), Digest: descriptor.Digest.String()}, true)
	w.Write(data)
}

func (h *Handler) ownManifest(t target) (ocispec.Descriptor, []byte, error) {
	if h.store == nil {
		return ocispec.Descriptor{}, nil, imagespec.ErrNotFound
	}
	descriptor, err := h.store.Resolve(t.host, t.repository, t.name)
	if err != nil {
		return descriptor, nil, err
	}
	data, err := h.store.Manifest(descriptor)
	return descriptor, data, err
}

func (h *Handler) blob(w http.ResponseWriter, r *http.Request, t target) {
	err := imagespec.ErrNotFound
	if h.store != nil {
		err = h.ownBlob(w, r, t)
	}
	switch {
	case err == nil:
	case errors.Is(err, imagespec.ErrNotFound):
		if _, ok := h.fallThrough(w, r, t); !ok {
			fail(w, http.StatusNotFound, codeBlobUnknown, t.name+" is not in the cluster image")
		}
	default:
		h.broken(w, t, err)
	}
}

func (h *Handler) ownBlob(w http.ResponseWriter, r *http.Request, t target) error {
	file, err := h.store.Open(t.digest)
	if err != nil {
		return err
	}
	defer file.Close()
	content, ok := file.(io.ReadSeeker)
	if !ok {
		return fmt.Errorf("blob %s: its file cannot seek", t.digest)
	}
	header := w.Header()
	header.Set("Content-Type", "application/octet-stream")
	header.Set(digestHeader, t.name)
	header.Set("Etag", `"`+t.name+`"`)
	http.ServeContent(w, r, "", time.Time{}, content)
	return nil
}

func (h *Handler) tags(w http.ResponseWriter, t target) {
	var tags []string
	if h.store != nil {
		references, err := h.store.References()
		if err != nil {
			h.broken(w, t, err)
			return
		}
		tags = tagsOf(references, t.host+"/"+t.repository+":")
	}
	if len(tags) == 0 {
		fail(w, http.StatusNotFound, codeNameUnknown, t.host+"/"+t.repository+" is not in the cluster image")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"name": t.repository, "tags": tags})
}

func (h *Handler) fallThrough(w http.ResponseWriter, r *http.Request, t target) (digest string, ok bool) {
	if h.seeds == nil || forwarded(r) {
		return "", false
	}
	return h.seeds.serve(w, r, t)
}

func (h *Handler) record(r *http.Request, record Record, served bool) {
	if h.records == nil || forwarded(r) || (served && r.Method == http.MethodHead) {
		return
	}
	if err := h.records.add(record, served); err != nil {
		h.log.Error("recording a request failed", "reference", record.Reference, "error", err)
	}
}

// broken answers for a store that is damaged. The details are for the host's log, not for the network.
func (h *Handler) broken(w http.ResponseWriter, t target, err error) {
	h.log.Error("the store is damaged", "reference", t.reference(), "error", err)
	fail(w, http.StatusInternalServerError, "UNKNOWN", "the store of this host is damaged: see journalctl -u "+Unit)
}

func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
}

func tagsOf(references map[string]ocispec.Descriptor, prefix string) []string {
	var tags []string
	for full := range references {
		if tag, ok := strings.CutPrefix(full, prefix); ok {
			tags = append(tags, tag)
		}
	}
	return sorted(tags)
}
