package upstream

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// request is the path of a pull: registry and repository, what kind of content, and its tag or digest.
var request = regexp.MustCompile(`^/v2/(.+)/(manifests|blobs)/([^/]+)$`)

// serveRegistry answers GET and HEAD of the OCI distribution specification's end-1 to end-3.
func (s *Server) serveRegistry(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v2/" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
		return
	}
	parts := request.FindStringSubmatch(r.URL.Path)
	if parts == nil {
		writeError(w, http.StatusNotFound, "UNSUPPORTED", "the stand-in serves manifests and blobs only")
		return
	}
	name, kind, tagOrDigest := parts[1], parts[2], parts[3]
	unknown := "MANIFEST_UNKNOWN"
	if kind == "blobs" {
		unknown = "BLOB_UNKNOWN"
	}
	if kind == "manifests" && hasComponent(name, "lab-flaky") && s.refuse(name, tagOrDigest) {
		writeError(w, http.StatusBadGateway, "UNKNOWN", "try again")
		return
	}
	found, err := s.lookup(r.Context(), name, tagOrDigest)
	switch {
	case errors.Is(err, errPrivate):
		w.Header().Set("WWW-Authenticate", `Basic realm="stand-in"`)
		writeError(w, http.StatusUnauthorized, "UNAUTHORIZED", err.Error())
	case errors.Is(err, errNotFound):
		writeError(w, http.StatusNotFound, unknown, err.Error())
	case err != nil:
		writeError(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
	case isManifest(found.MediaType) != (kind == "manifests"):
		writeError(w, http.StatusNotFound, unknown, "the digest is of another kind of content")
	case found.MediaType == ocispec.MediaTypeImageManifest && !accepts(r.Header, found.MediaType):
		writeError(w, http.StatusNotFound, unknown, "there is an OCI manifest, but the Accept header does not name "+found.MediaType)
	default:
		serve(w, r, found)
	}
}

// refuse reports whether a manifest is asked for the first time.
func (s *Server) refuse(name, tagOrDigest string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	once := name + "@" + tagOrDigest
	refused := s.refused[once]
	s.refused[once] = true
	return !refused
}

func serve(w http.ResponseWriter, r *http.Request, found stored) {
	body, err := found.store.Fetch(r.Context(), found.Descriptor)
	if errors.Is(err, errNotFound) {
		writeError(w, http.StatusNotFound, "BLOB_UNKNOWN", err.Error())
		return
	}
	if err != nil {
		writeError(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
		return
	}
	defer body.Close()
	mediaType := found.MediaType
	if !isManifest(mediaType) {
		mediaType = "application/octet-stream"
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.FormatInt(found.Size, 10))
	w.Header().Set("Docker-Content-Digest", found.Digest.String())
	if r.Method != http.MethodHead {
		_, _ = io.Copy(w, body) // if the client is gone, it sees that by the length
	}
}

// writeError writes the specification's error body.
func writeError(w http.ResponseWriter, status int, code, message string) {
	type detail struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string][]detail{"errors": {{code, message}}})
}

func isManifest(mediaType string) bool {
	return strings.Contains(mediaType, ".manifest.") || mediaType == ocispec.MediaTypeImageIndex
}

// accepts reports whether an Accept header names the media type. Wildcards do not count, nor do they for distribution.
func accepts(header http.Header, mediaType string) bool {
	for _, value := range header.Values("Accept") {
		for part := range strings.SplitSeq(value, ",") {
			if accepted, _, err := mime.ParseMediaType(part); err == nil && accepted == mediaType {
				return true
			}
		}
	}
	return false
}
