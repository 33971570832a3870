// Package registryproxy serves the embedded images of a cluster image over the OCI distribution API: to containerd on the same host,
// and from the masters, the seeds, to the other hosts.
//
// containerd asks a mirror for another registry's image with ?ns=<registry> in the URL, so gcr.io/x:v1 of an unmodified manifest comes from
// the embedded store. Content that is not in the local store is requested from the seeds; images that no seed has are recorded as missed.
// Nothing is ever asked of the internet, and nothing that passes through is kept.
//
// The handler is our own on net/http. The store is a directory of files, and http.ServeContent gives every kind of range, HEAD, conditions
// and sendfile for files; a request that falls through is passed on as it is. ociregistry's ociserver, the library at hand, puts readers
// between (no sendfile, no suffix ranges) and would need a second registry client behind it to pass anything on. Uploads are
// different methods, so its protocol for those can be put beside this handler.
package registryproxy

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
)

// Handler answers pulls and tag listing (OCI distribution specification 1.1, sections "Pull" and "Content Discovery").
type Handler struct {
	stores  []string // as in Config
	domain  string   // as in Config
	seeds   *seeds   // nil if there are none
	records *Records // nil to keep none
	log     *slog.Logger
}

const digestHeader = "Docker-Content-Digest"

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	limitBody(w, r)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		readOnly.write(w)
		return
	}
	if r.URL.Path == "/v2/" || r.URL.Path == "/v2" {
		writeJSON(w, r, "application/json", struct{}{})
		return
	}
	target, failure := parseTarget(r.URL.Path, r.URL.Query().Get("ns"), h.domain)
	switch {
	case failure != nil:
	case target.kind == kindReferrers:
		// A cluster image carries no referrers; "none" is an index without manifests (distribution specification, "Listing Referrers").
		none := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
		none.SchemaVersion = 2
		writeJSON(w, r, ocispec.MediaTypeImageIndex, none)
	default:
		failure = h.serve(w, r, target)
	}
	if failure != nil {
		failure.write(w)
	}
}

// serve answers from an own store, else from a seed. It has written nothing when it returns an error.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, t target) *apiError {
	err := h.own(w, r, t)
	if err == nil {
		return nil
	}
	damaged := !errors.Is(err, imagespec.ErrNotFound)
	known := !damaged && !errors.Is(err, errNoStore)
	if h.seeds != nil && !forwarded(r) {
		result, digest := h.seeds.serve(w, r, t)
		if result == answerServed {
			h.served(t, digest)
			return nil
		}
		known = known || result == answerUnknown
	}
	switch {
	case damaged:
		return storeDamaged
	case !known:
		return nobodyKnows
	case !forwarded(r): // else it is the one who forwarded it who knows whether it was missed
		h.missed(t)
	}
	return t.unknown()
}

func (h *Handler) served(t target, digest string) {
	if t.kind == kindManifest {
		h.record(ServedFile, Record{Reference: t.String(), Digest: digest})
	}
}

func (h *Handler) missed(t target) {
	if t.kind == kindManifest {
		h.record(MissedFile, Record{Reference: t.String()})
	}
}

func (h *Handler) record(file string, record Record) {
	if h.records == nil {
		return
	}
	if err := h.records.add(file, record); err != nil {
		h.log.Error("recording a request", "reference", record.Reference, "error", err)
	}
}

// A client that reads more slowly than this is cut off.
const (
	patience    = time.Minute
	slowestRate = 64 << 10 // bytes per second
)

// limitBody bounds the time for a request's body; none here has one that matters. A server-wide ReadTimeout would end the long answers, too.
func limitBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(patience))
	}
}

// allow gives the answer the time that its size needs.
func allow(w http.ResponseWriter, size int64) {
	deadline := time.Now().Add(patience + time.Duration(size/slowestRate)*time.Second)
	http.NewResponseController(w).SetWriteDeadline(deadline) // not supported by some test recorders only
}
