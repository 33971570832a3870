package registryclient_test

import (
	"context"
	_ "crypto/sha512"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/imagespec/registryclient"
)

const manifest = `{"schemaVersion":2,"config":{},"layers":[]}`

// answer is how a registry answers.
type answer struct {
	head          int // the status of HEAD; 200 if 0
	digest, size  bool
	mediaType     string
	body          string
	redirectsHead bool // to an address that is signed for GET
}

func (a answer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead && a.redirectsHead && strings.Contains(r.URL.Path, "/manifests/") {
		http.Redirect(w, r, "/signed", http.StatusTemporaryRedirect)
		return
	}
	if r.URL.Path == "/signed" && r.Method == http.MethodHead {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	w.Header()["Content-Type"] = nil
	if a.mediaType != "" {
		w.Header().Set("Content-Type", a.mediaType)
	}
	if a.digest {
		w.Header().Set("Docker-Content-Digest", digest.FromString(a.body).String())
	}
	if a.size {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	if r.Method == http.MethodHead && a.head != 0 {
		w.Header().Del("Content-Length")
		w.WriteHeader(a.head)
		return
	}
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		w.(http.Flusher).Flush() // without Content-Length the body comes in chunks
		io.WriteString(w, a.body)
	}
}

func repository(t *testing.T, a answer) *remote.Repository {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	repo, err := remote.NewRepository(strings.TrimPrefix(server.URL, "http://") + "/app")
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	repo.Client = registryclient.Manifests{Client: server.Client()}
	return repo
}

// TestIncompleteAnswers resolves, opens by reference and fetches by descriptor what a registry describes badly.
func TestIncompleteAnswers(t *testing.T) {
	const oci, docker = ocispec.MediaTypeImageManifest, "application/vnd.docker.distribution.manifest.v2+json"
	dockerManifest := strings.Replace(manifest, "{", `{"mediaType":"`+docker+`",`, 1)
	index := `{"schemaVersion":2,"manifests":[]}`
	for name, test := range map[string]struct {
		answer answer
		want   string // the media type
	}{
		"complete":                           {answer{digest: true, size: true, mediaType: oci, body: manifest}, oci},
		"no digest":                          {answer{size: true, mediaType: oci, body: manifest}, oci},
		"no digest, no length":               {answer{mediaType: docker, body: manifest}, docker},
		"no length":                          {answer{digest: true, mediaType: oci, body: manifest}, oci},
		"no media type":                      {answer{digest: true, size: true, body: manifest}, oci},
		"only JSON":                          {answer{mediaType: "application/json; charset=utf-8", body: dockerManifest}, docker},
		"only text, an index":                {answer{mediaType: "text/plain", body: index}, ocispec.MediaTypeImageIndex},
		"HEAD is not allowed":                {answer{head: 405, size: true, mediaType: oci, body: manifest}, oci},
		"HEAD is forbidden":                  {answer{head: 403, digest: true, mediaType: oci, body: manifest}, oci},
		"HEAD is a bad request":              {answer{head: 400, mediaType: oci, body: manifest}, oci},
		"HEAD is redirected, signed for GET": {answer{redirectsHead: true, mediaType: oci, body: manifest}, oci},
		"HEAD has nothing":                   {answer{head: 204, mediaType: oci, body: manifest}, oci},
	} {
		t.Run(name, func(t *testing.T) {
			repo := repository(t, test.answer)
			for _, reference := range []string{"v1", digest.FromString(test.answer.body).String()} {
				resolved, err := repo.Resolve(t.Context(), reference)
				if err != nil {
					t.Fatalf("resolving %s: %v", reference, err)
				}
				want := ocispec.Descriptor{MediaType: test.want, Digest: digest.FromString(test.answer.body), Size: int64(len(test.answer.body))}
				if fmt.Sprint(resolved) != fmt.Sprint(want) {
					t.Errorf("%s: got %v, want %v", reference, resolved, want)
				}
				described, body, err := repo.Manifests().FetchReference(t.Context(), reference)
				if err != nil {
					t.Fatalf("reading %s: %v", reference, err)
				}
				if text, err := io.ReadAll(body); err != nil || string(text) != test.answer.body || fmt.Sprint(described) != fmt.Sprint(want) {
					t.Errorf("%s: got %q, %v, %v", reference, text, described, err)
				}
				if body, err = repo.Fetch(t.Context(), resolved); err != nil {
					t.Fatalf("fetching %s: %v", reference, err)
				}
				if text, err := io.ReadAll(body); err != nil || string(text) != test.answer.body {
					t.Errorf("%s: got %q, %v", reference, text, err)
				}
			}
		})
	}
}

func TestAnswersThatAreNoManifest(t *testing.T) {
	for name, test := range map[string]struct {
		body, want string
	}{
		"a page of a proxy": {"<html>log in</html>", "the answer is not a manifest"},
		"other JSON":        {`{"errors":[]}`, "the answer is not a manifest"},
		"too large":         {strings.Repeat(" ", imagespec.MaxManifestSize+1), "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := repository(t, answer{mediaType: "text/html", body: test.body}).Resolve(context.Background(), "v1")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestDigestOfAnotherAlgorithm: a reference by sha512 is answered by sha512.
func TestDigestOfAnotherAlgorithm(t *testing.T) {
	want := digest.SHA512.FromString(manifest)
	resolved, err := repository(t, answer{head: 405, mediaType: ocispec.MediaTypeImageManifest, body: manifest}).Resolve(t.Context(), want.String())
	if err != nil || resolved.Digest != want {
		t.Errorf("got %v, %v, want %v", resolved.Digest, err, want)
	}
}

// TestMissingManifest: what GET cannot answer either is asked for once.
func TestMissingManifest(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	repo, err := remote.NewRepository(strings.TrimPrefix(server.URL, "http://") + "/app")
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	repo.Client = registryclient.Manifests{Client: server.Client()}
	if _, err := repo.Resolve(t.Context(), "v1"); err == nil || asked != 1 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}
