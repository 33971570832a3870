// Package registryclient reads manifests from registries that answer with less than our client library wants.
package registryclient

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/kubefile/kubefile/imagespec"
)

// Manifests completes answers about manifests: a registry may leave out Docker-Content-Digest (OCI distribution specification, "Pulling
// manifests"), does not have to know a body's length beforehand, and some refuse HEAD or redirect it to where only GET is signed. Then
// the manifest itself is read, and what is missing comes from it.
type Manifests struct{ remote.Client }

// contentDigest is the header with the digest of a manifest.
const contentDigest = "Docker-Content-Digest"

// Do sends a request.
func (m Manifests) Do(req *http.Request) (*http.Response, error) {
	resp, err := m.Client.Do(req)
	if err != nil || !strings.Contains(req.URL.Path, "/manifests/") {
		return resp, err
	}
	switch req.Method {
	case http.MethodHead:
		if final(resp.StatusCode) || resp.StatusCode == http.StatusOK && complete(resp) {
			return resp, nil
		}
		return m.get(req, resp)
	case http.MethodGet:
		if resp.StatusCode == http.StatusOK {
			return resp, fill(req, resp)
		}
	}
	return resp, nil
}

// final reports whether GET would be answered the same as HEAD.
func final(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusNotFound || status == http.StatusTooManyRequests
}

// complete reports whether the headers describe the manifest.
func complete(resp *http.Response) bool {
	_, err := digest.Parse(resp.Header.Get(contentDigest))
	return err == nil && resp.ContentLength > 0 && mediaTypeOf(resp) != ""
}

// get answers HEAD by GET; head is closed.
func (m Manifests) get(req *http.Request, head *http.Response) (*http.Response, error) {
	head.Body.Close()
	again := req.Clone(req.Context())
	again.Method = http.MethodGet
	resp, err := m.Client.Do(again)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	return resp, fill(req, resp)
}

// fill reads the manifest and puts what describes it into the headers. On an error the body is closed.
func fill(req *http.Request, resp *http.Response) error {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, imagespec.MaxManifestSize+1))
	if err != nil {
		return fmt.Errorf("reading the manifest %s: %w", req.URL, err)
	}
	if len(body) > imagespec.MaxManifestSize {
		return fmt.Errorf("reading the manifest %s: it is larger than %d bytes", req.URL, imagespec.MaxManifestSize)
	}
	if resp.ContentLength >= 0 && resp.ContentLength != int64(len(body)) {
		return fmt.Errorf("reading the manifest %s: %w", req.URL, io.ErrUnexpectedEOF)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
	if mediaTypeOf(resp) == "" {
		mediaType, err := mediaTypeIn(body)
		if err != nil {
			return fmt.Errorf("reading the manifest %s: %w", req.URL, err)
		}
		resp.Header.Set("Content-Type", mediaType)
	}
	if _, err := digest.Parse(resp.Header.Get(contentDigest)); err != nil {
		algorithm := digest.Canonical
		if asked, err := digest.Parse(path.Base(req.URL.Path)); err == nil {
			algorithm = asked.Algorithm()
		}
		resp.Header.Set(contentDigest, algorithm.FromBytes(body).String())
	}
	return nil
}

// mediaTypeOf returns the media type of an answer; empty if it is invalid, or the generic one of any file.
func mediaTypeOf(resp *http.Response) string {
	mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	switch mediaType {
	case "application/json", "application/octet-stream", "binary/octet-stream", "text/plain", "text/html":
		return ""
	}
	return mediaType
}

// mediaTypeIn is the media type that a manifest has by its content.
func mediaTypeIn(body []byte) (string, error) {
	var manifest struct {
		MediaType string          `json:"mediaType"`
		Manifests json.RawMessage `json:"manifests"`
		Layers    json.RawMessage `json:"layers"`
	}
	err := json.Unmarshal(body, &manifest)
	switch {
	case err != nil:
		return "", errors.New("the answer is not a manifest; check that the registry's address is right")
	case manifest.MediaType != "":
		return manifest.MediaType, nil
	case manifest.Manifests != nil:
		return ocispec.MediaTypeImageIndex, nil
	case manifest.Layers != nil:
		return ocispec.MediaTypeImageManifest, nil
	}
	return "", errors.New("the answer is not a manifest; check that the registry's address is right")
}
