package registryproxy

import (
	"io/fs"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
)

func FuzzParseTarget(f *testing.F) {
	blob := digest.FromString("blob").String()
	for _, path := range []string{
		"/v2/", "/v2/a/manifests/1", "/v2/localhost:5000/a/b/manifests/v1", "/v2/a/blobs/" + blob, "/v2/a/b/tags/list",
		"/v2/a/referrers/" + blob, "/v2/../../etc/manifests/passwd", "/v2/a/manifests/" + blob, "/v2/[::1]:5000/a/tags/list",
	} {
		f.Add(path, "")
		f.Add(path, "docker.io")
		f.Add(path, "localhost:5000")
	}
	f.Fuzz(func(t *testing.T, path, namespace string) {
		target, failure := parseTarget(path, namespace, "sea.hub:5000")
		if failure != nil {
			if failure.status < 400 || failure.Code == "" || failure.Message == "" {
				t.Fatalf("%q: refused as %+v", path, failure)
			}
			return
		}
		// Whatever is asked of another proxy means the same there.
		again, failure := parseTarget(target.path(), target.host, "")
		if failure != nil || again != target {
			t.Fatalf("%q?ns=%s is %+v, and its path is %+v, %v", path, namespace, target, again, failure)
		}
		if target.kind == kindTags {
			return
		}
		var names []string
		if target.digest != "" {
			name, err := imagespec.BlobPath(target.digest)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
		ref, err := imagespec.ParseReference(target.String())
		if err != nil {
			t.Fatalf("%q: %v", path, err)
		}
		refs, err := imagespec.RefPaths(ref)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range append(names, refs...) {
			if !fs.ValidPath(name) {
				t.Fatalf("%q?ns=%s leads to %q", path, namespace, name)
			}
		}
	})
}
