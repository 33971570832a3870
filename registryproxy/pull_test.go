package registryproxy_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/kubefile/kubefile/imagespec/storetest"
	"github.com/kubefile/kubefile/registryproxy"
)

// pull copies an image with an OCI client and checks every byte of it.
func pull(t *testing.T, from *host, name, tagOrDigest string, want storetest.Image) {
	t.Helper()
	repository, err := remote.NewRepository(from.plain + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	repository.PlainHTTP = true
	top, err := repository.Resolve(t.Context(), tagOrDigest)
	if err != nil {
		t.Fatal(err)
	}
	if top.Digest != want.Index.Digest || top.Size != want.Index.Size || top.MediaType != want.Index.MediaType {
		t.Errorf("%s resolves to %+v, not %+v", tagOrDigest, top, want.Index)
	}
	if index, err := content.FetchAll(t.Context(), repository, top); err != nil || digest.FromBytes(index) != want.Index.Digest {
		t.Errorf("the index is %q, %v", index, err)
	}
	target := memory.New()
	options := oras.DefaultCopyOptions
	options.WithTargetPlatform(want.Manifest.Platform) // the other children of the index are not shipped
	copied, err := oras.Copy(t.Context(), repository, tagOrDigest, target, "copy", options)
	if err != nil {
		t.Fatal(err)
	}
	if copied.Digest != want.Manifest.Digest {
		t.Errorf("copied %s, not %s", copied.Digest, want.Manifest.Digest)
	}
	for _, d := range []ocispec.Descriptor{want.Manifest, want.Config, want.Layer} {
		if data, err := content.FetchAll(t.Context(), target, d); err != nil || digest.FromBytes(data) != d.Digest {
			t.Errorf("%s was not copied: %v", d.Digest, err)
		}
	}
}

func TestPull(t *testing.T) {
	store := storetest.New(t)
	image := store.Embed(dashboard, bytes.Repeat([]byte("dashboard"), 1<<20))
	h := newSite(t).run(store.Dir)
	pull(t, h, "docker.io/kubernetesui/dashboard", "v2.2.0", image)
	pull(t, h, "docker.io/kubernetesui/dashboard", image.Index.Digest.String(), image)
	pull(t, h, "kubernetesui/dashboard", "v2.2.0", image)
}

func TestRegistryOfARequest(t *testing.T) {
	store := storetest.New(t)
	images := map[string]storetest.Image{}
	for _, reference := range []string{dashboard, "docker.io/library/nginx:1", "gcr.io/kubernetesui/dashboard:v2.2.0", "localhost:5000/tools/x:1",
		"[2001:db8::1]:5000/x:1"} {
		images[reference] = store.Embed(reference, []byte(reference))
	}
	h := newSite(t).run(store.Dir)
	for path, reference := range map[string]string{
		"/v2/kubernetesui/dashboard/manifests/v2.2.0?ns=docker.io":           dashboard,
		"/v2/kubernetesui/dashboard/manifests/v2.2.0?ns=gcr.io":              "gcr.io/kubernetesui/dashboard:v2.2.0",
		"/v2/kubernetesui/dashboard/manifests/v2.2.0":                        dashboard,
		"/v2/gcr.io/kubernetesui/dashboard/manifests/v2.2.0":                 "gcr.io/kubernetesui/dashboard:v2.2.0",
		"/v2/library/nginx/manifests/1?ns=docker.io":                         "docker.io/library/nginx:1",
		"/v2/nginx/manifests/1":                                              "docker.io/library/nginx:1",
		"/v2/tools/x/manifests/1?ns=localhost:5000":                          "localhost:5000/tools/x:1",
		"/v2/tools/x/manifests/1?ns=localhost%3A5000":                        "localhost:5000/tools/x:1",
		"/v2/localhost:5000/tools/x/manifests/1":                             "localhost:5000/tools/x:1",
		"/v2/x/manifests/1?ns=%5B2001:db8::1%5D:5000":                        "[2001:db8::1]:5000/x:1",
		"/v2/kubernetesui/dashboard/manifests/v2.2.0?ns=quay.io":             "",
		"/v2/kubernetesui/dashboard/manifests/v2.2.0?ns=localhost:5000":      "",
		"/v2/docker.io/kubernetesui/dashboard/manifests/v2.2.0?ns=docker.io": "",
	} {
		got := h.get(t, path)
		if reference == "" {
			if got.status != http.StatusNotFound || got.code() != "MANIFEST_UNKNOWN" {
				t.Errorf("%s: status %d, %s", path, got.status, got.body)
			}
			continue
		}
		if want := images[reference].Index; got.status != http.StatusOK || digest.FromBytes(got.body) != want.Digest {
			t.Errorf("%s is not %s: status %d, %s", path, reference, got.status, got.body)
		}
	}
}

func TestHeaders(t *testing.T) {
	store := storetest.New(t)
	image := store.Embed(dashboard, []byte("0123456789"))
	h := newSite(t).run(store.Dir)
	for name, want := range map[string]ocispec.Descriptor{
		"manifests/v2.2.0": image.Index, "manifests/" + image.Index.Digest.String(): image.Index,
		"manifests/" + image.Manifest.Digest.String(): image.Manifest,
		"blobs/" + image.Layer.Digest.String():        {MediaType: "application/octet-stream", Digest: image.Layer.Digest, Size: 10},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			got := h.ask(t, method, "/v2/kubernetesui/dashboard/"+name+"?ns=docker.io")
			if got.status != http.StatusOK || got.header.Get("Content-Type") != want.MediaType ||
				got.header.Get("Docker-Content-Digest") != want.Digest.String() || got.header.Get("Content-Length") != fmt.Sprint(want.Size) {
				t.Errorf("%s %s: status %d, %v", method, name, got.status, got.header)
			}
			if method == http.MethodGet && digest.FromBytes(got.body) != want.Digest || method == http.MethodHead && len(got.body) != 0 {
				t.Errorf("%s %s: %q", method, name, got.body)
			}
		}
	}
}

func TestRanges(t *testing.T) {
	store := storetest.New(t)
	image := store.Embed(dashboard, []byte("0123456789"))
	site := newSite(t)
	seed := site.run(store.Dir)
	worker := site.run("", seed.secure)
	path := "/v2/kubernetesui/dashboard/blobs/" + image.Layer.Digest.String() + "?ns=docker.io"
	etag := `"` + image.Layer.Digest.String() + `"`
	for name, h := range map[string]*host{"own": seed, "forwarded": worker} {
		for _, test := range []struct {
			headers     []string
			status      int
			body, where string
		}{
			{nil, 200, "0123456789", ""},
			{[]string{"Range: bytes=0-3"}, 206, "0123", "bytes 0-3/10"},
			{[]string{"Range: bytes=7-"}, 206, "789", "bytes 7-9/10"},
			{[]string{"Range: bytes=-2"}, 206, "89", "bytes 8-9/10"},
			{[]string{"Range: bytes=8-100"}, 206, "89", "bytes 8-9/10"},
			{[]string{"Range: bytes=10-"}, 416, "", "bytes */10"},
			{[]string{"Range: bytes=0-3", "If-Range: " + etag}, 206, "0123", "bytes 0-3/10"},
			{[]string{"Range: bytes=0-3", `If-Range: "other"`}, 200, "0123456789", ""},
			{[]string{"If-None-Match: " + etag}, 304, "", ""},
		} {
			got := h.get(t, path, test.headers...)
			if got.status != test.status || got.header.Get("Content-Range") != test.where || got.status < 300 && string(got.body) != test.body {
				t.Errorf("%s %q: status %d, range %q, %q", name, test.headers, got.status, got.header.Get("Content-Range"), got.body)
			}
		}
	}
}

func TestTags(t *testing.T) {
	store := storetest.New(t)
	for _, tag := range []string{"a", "b", "c"} {
		store.Embed("quay.io/x/y:"+tag, []byte(tag))
	}
	site := newSite(t)
	seed := site.run(store.Dir)
	worker := site.run("", seed.secure)
	for name, h := range map[string]*host{"own": seed, "forwarded": worker} {
		for query, want := range map[string]string{
			"": `["a","b","c"]`, "&n=2": `["a","b"]`, "&n=2&last=b": `["c"]`, "&n=0": `[]`, "&last=c": `[]`, "&n=many": `["a","b","c"]`,
		} {
			got := h.get(t, "/v2/x/y/tags/list?ns=quay.io"+query)
			if got.status != http.StatusOK || string(got.body) != `{"name":"x/y","tags":`+want+`}` {
				t.Errorf("%s %s: status %d, %s", name, query, got.status, got.body)
			}
			if link := got.header.Get("Link"); query == "&n=2" && link != `</v2/x/y/tags/list?last=b&n=2&ns=quay.io>; rel="next"` {
				t.Errorf("%s: the next page is at %q", name, link)
			}
		}
		if got := h.get(t, "/v2/x/z/tags/list?ns=quay.io"); got.status != http.StatusNotFound || got.code() != "NAME_UNKNOWN" {
			t.Errorf("%s: status %d, %s", name, got.status, got.body)
		}
	}
}

func TestReferrersAreNone(t *testing.T) {
	store := storetest.New(t)
	image := store.Embed(dashboard, []byte("x"))
	got := newSite(t).run(store.Dir).get(t, "/v2/kubernetesui/dashboard/referrers/"+image.Index.Digest.String()+"?ns=docker.io")
	want := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	if got.status != http.StatusOK || string(got.body) != want || got.header.Get("Content-Type") != ocispec.MediaTypeImageIndex {
		t.Errorf("status %d, %v, %s", got.status, got.header, got.body)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	store := storetest.New(t)
	image := store.Embed(dashboard, []byte("image"))
	secret := filepath.Join(filepath.Dir(store.Dir), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := digest.FromString("secret")
	if err := os.Symlink(secret, filepath.Join(store.Dir, "blobs/sha256", d.Encoded())); err != nil {
		t.Fatal(err)
	}
	h := newSite(t).run(store.Dir)
	for path, want := range map[string]string{
		"/":                       "404 NAME_UNKNOWN",
		"/v1/":                    "404 NAME_UNKNOWN",
		"/v2":                     "200 ",
		"/v2/":                    "200 ",
		"/v2/a":                   "404 NAME_UNKNOWN",
		"/v2/_catalog":            "404 NAME_UNKNOWN",
		"/v2/a/b/c":               "404 NAME_UNKNOWN",
		"/v2/a/tags/all":          "404 NAME_UNKNOWN",
		"/v2/A/tags/list":         "400 NAME_INVALID",
		"/v2/a/manifests/":        "404 MANIFEST_UNKNOWN",
		"/v2/a/manifests/.hidden": "404 MANIFEST_UNKNOWN",
		"/v2/a/manifests/sha256:": "400 DIGEST_INVALID",
		"/v2/a/blobs/abc":         "400 DIGEST_INVALID",
		"/v2/a/blobs/sha256:abc":  "400 DIGEST_INVALID",
		"/v2/a/blobs/sha512:" + strings.Repeat("a", 128):                      "404 BLOB_UNKNOWN",
		"/v2/a/blobs/" + digest.FromString("absent").String():                 "404 BLOB_UNKNOWN",
		"/v2/a/blobs/" + d.String():                                           "500 UNKNOWN", // a link
		"/v2/kubernetesui/dashboard/manifests/" + image.Layer.Digest.String(): "404 MANIFEST_UNKNOWN",
		"/v2/a/manifests/1?ns=a":                                              "400 NAME_INVALID",
		"/v2/a/manifests/1?ns=../..":                                          "400 NAME_INVALID",
		"/v2/a/manifests/1?ns=quay.io/a":                                      "400 NAME_INVALID",
		"/v2/a/manifests/1?ns=quay.io%00":                                     "400 NAME_INVALID",
		"/v2/../../secret":                                                    "404 NAME_UNKNOWN",
		"/v2/../secret/manifests/1":                                           "400 NAME_INVALID",
		"/v2/a/../../../secret/blobs/x":                                       "400 NAME_INVALID",
		"/v2/a/..%2f..%2f..%2fsecret/manifests/1":                             "400 NAME_INVALID",
		"/v2/a/manifests/..%2f..%2fsecret":                                    "404 NAME_UNKNOWN",
		"/v2/a/blobs/sha256:..%2f..%2fsecret":                                 "404 NAME_UNKNOWN",
		"/v2//etc/passwd/manifests/1":                                         "400 NAME_INVALID",
		"/v2/a%00/manifests/1":                                                "400 NAME_INVALID",
	} {
		got := h.get(t, path)
		if fmt.Sprint(got.status, " ", got.code()) != want {
			t.Errorf("%s: status %d, %s, want %s", path, got.status, got.body, want)
		}
		if bytes.Contains(got.body, []byte("secret")) && !strings.Contains(path, "secret") || bytes.Contains(got.body, []byte(store.Dir)) {
			t.Errorf("%s tells too much: %s", path, got.body)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		got := h.ask(t, method, "/v2/a/manifests/1")
		if got.status != http.StatusMethodNotAllowed || got.code() != "UNSUPPORTED" || got.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: status %d, %s", method, got.status, got.body)
		}
	}
}

func TestManyPullsWhileTheStoreGrows(t *testing.T) {
	store := storetest.New(t)
	image := store.Embed(dashboard, bytes.Repeat([]byte("x"), 100_000))
	site := newSite(t)
	seed := site.run(store.Dir)
	worker := site.run("", seed.secure)
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			h := []*host{seed, worker}[i%2]
			for range 8 {
				for _, path := range []string{"manifests/v2.2.0", "manifests/" + image.Manifest.Digest.String(), "blobs/" + image.Layer.Digest.String()} {
					if got, err := h.try(http.MethodGet, "/v2/kubernetesui/dashboard/"+path+"?ns=docker.io"); err != nil || got.status != http.StatusOK {
						t.Errorf("%s: status %d, %v: %s", path, got.status, err, got.body)
					}
				}
				if got, err := h.try(http.MethodGet, "/v2/kubernetesui/dashboard/manifests/missing?ns=docker.io"); err != nil || got.status != http.StatusNotFound {
					t.Errorf("missing: status %d, %v", got.status, err)
				}
			}
		})
	}
	for i := range 20 {
		store.Embed(fmt.Sprintf("docker.io/kubernetesui/dashboard:grown-%d", i), fmt.Append(nil, i))
	}
	wait.Wait()
	for name, h := range map[string]*host{"seed": seed, "worker": worker} {
		if missed := h.recorded(t, registryproxy.MissedFile); len(missed) != 1 {
			t.Errorf("%s recorded %q as missed", name, missed)
		}
		if served := h.recorded(t, registryproxy.ServedFile); len(served) != 2 {
			t.Errorf("%s recorded %q as served", name, served)
		}
	}
}
