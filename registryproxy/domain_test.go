package registryproxy_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec/storetest"
	"github.com/kubefile/kubefile/registryproxy"
)

// domainStores are two stores with images of several registries and a damaged tag, and the digest of each image.
func domainStores(t *testing.T) (dirs []string, images map[string]digest.Digest) {
	t.Helper()
	store, app := storetest.New(t), storetest.New(t)
	images = map[string]digest.Digest{}
	for _, s := range []struct {
		store      *storetest.Store
		references []string
	}{
		{store, []string{"docker.io/library/nginx:1", "docker.io/a/b:1", "quay.io/a/b:1", "quay.io/a/b:2", "registry.k8s.io/pause:3", "localhost:5000/x:1"}},
		{app, []string{"gcr.io/a/b:2", "gcr.io/a/b:3", "docker.io/a/b:3", "sea.hub:5000/a/b:4", "quay.io/a/b:4"}},
	} {
		for _, reference := range s.references {
			images[reference] = s.store.Embed(reference, []byte(reference)).Index.Digest
		}
	}
	// Only what is asked for is read: damage elsewhere hides nothing.
	store.Write("refs/quay.io/a/b/_tags/broken.json", []byte("no descriptor"))
	return []string{store.Dir, app.Dir}, images
}

// ownPaths are paths under a registry's own name, and the image that each leads to; none if it is not found.
func ownPaths(images map[string]digest.Digest) map[string]string {
	byDigest := images["quay.io/a/b:2"].String()
	return map[string]string{
		"/v2/library/nginx/manifests/1?ns=sea.hub:5000":      "docker.io/library/nginx:1",
		"/v2/nginx/manifests/1?ns=sea.hub:5000":              "docker.io/library/nginx:1",
		"/v2/nginx/manifests/1":                              "docker.io/library/nginx:1",
		"/v2/pause/manifests/3":                              "registry.k8s.io/pause:3",
		"/v2/pause/manifests/3?ns=sea.hub:5000":              "registry.k8s.io/pause:3",
		"/v2/x/manifests/1?ns=sea.hub:5000":                  "localhost:5000/x:1",
		"/v2/localhost:5000/x/manifests/1":                   "localhost:5000/x:1",
		"/v2/a/b/manifests/1?ns=sea.hub:5000":                "docker.io/a/b:1",
		"/v2/quay.io/a/b/manifests/1?ns=sea.hub:5000":        "quay.io/a/b:1",
		"/v2/quay.io/a/b/manifests/1":                        "quay.io/a/b:1",
		"/v2/a/b/manifests/2?ns=sea.hub:5000":                "gcr.io/a/b:2",
		"/v2/a/b/manifests/3?ns=sea.hub:5000":                "docker.io/a/b:3",
		"/v2/a/b/manifests/4?ns=sea.hub:5000":                "sea.hub:5000/a/b:4",
		"/v2/a/b/manifests/4?ns=quay.io":                     "quay.io/a/b:4",
		"/v2/a/b/manifests/" + byDigest + "?ns=sea.hub:5000": "quay.io/a/b:2",
		"/v2/pause/manifests/3?ns=docker.io":                 "",
		"/v2/pause/manifests/3?ns=sea.hub":                   "",
		"/v2/pause/manifests/4?ns=sea.hub:5000":              "",
		"/v2/library/pause/manifests/3?ns=sea.hub:5000":      "",
	}
}

// Images under the registry's own name are found whatever registry they come from, on the host that has them and through the one that has not.
func TestOwnDomain(t *testing.T) {
	stores, images := domainStores(t)
	site := newSite(t)
	seed := site.start(registryproxy.Config{Stores: stores, Domain: "sea.hub:5000", Records: t.TempDir()})
	worker := site.start(registryproxy.Config{Seeds: []string{seed.secure}, Domain: "sea.hub:5000", Records: t.TempDir()})
	for name, h := range map[string]*host{"own": seed, "forwarded": worker} {
		for path, reference := range ownPaths(images) {
			got := h.get(t, path)
			if reference == "" {
				if got.status != http.StatusNotFound || got.code() != "MANIFEST_UNKNOWN" {
					t.Errorf("%s %s: status %d, %s", name, path, got.status, got.body)
				}
				continue
			}
			if got.status != http.StatusOK || digest.FromBytes(got.body) != images[reference] {
				t.Errorf("%s %s is not %s: status %d, %s", name, path, reference, got.status, got.body)
			}
		}
		got := h.get(t, "/v2/a/b/tags/list?ns=sea.hub:5000")
		if string(got.body) != `{"name":"a/b","tags":["1","2","3","4"]}` {
			t.Errorf("%s: the tags are %s", name, got.body)
		}
		if missed := h.recorded(t, registryproxy.MissedFile); name == "forwarded" && !slices.Contains(missed, "sea.hub:5000/pause:4") {
			t.Errorf("recorded %q as missed", missed)
		}
		if served := h.recorded(t, registryproxy.ServedFile); !slices.Contains(served, "sea.hub:5000/pause:3 "+images["registry.k8s.io/pause:3"].String()) {
			t.Errorf("%s: recorded %q as served", name, served)
		}
	}
}

func TestContainerdPullsFromTheOwnDomain(t *testing.T) {
	store := storetest.New(t)
	image := store.Embed("registry.k8s.io/pause:3", []byte("x"))
	h := newSite(t).start(registryproxy.Config{Stores: []string{store.Dir}, Domain: "sea.hub:5000"})
	files, err := registryproxy.HostsFiles(store.Lock, "sea.hub:5000", []registryproxy.Mirror{{URL: "http://" + h.plain}})
	if err != nil {
		t.Fatal(err)
	}
	resolver := docker.NewResolver(docker.ResolverOptions{Hosts: certsD(t, files)})
	for _, reference := range []string{"sea.hub:5000/pause:3", "sea.hub:5000/registry.k8s.io/pause:3", "registry.k8s.io/pause:3"} {
		_, got, err := resolver.Resolve(t.Context(), reference)
		if err != nil || got.Digest != image.Index.Digest {
			t.Errorf("%s: %+v, %v", reference, got, err)
		}
	}
}
