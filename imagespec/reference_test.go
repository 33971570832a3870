package imagespec_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
)

var (
	someDigest = digest.FromString("some")
	someHex    = someDigest.Encoded()
)

func TestReferences(t *testing.T) {
	for _, test := range []struct {
		written, full string
		paths         []string
	}{
		{"nginx", "docker.io/library/nginx:latest", []string{"refs/docker.io/library/nginx/_tags/latest.json"}},
		{"index.docker.io/kubernetesui/dashboard:v2.2.0", "docker.io/kubernetesui/dashboard:v2.2.0",
			[]string{"refs/docker.io/kubernetesui/dashboard/_tags/v2.2.0.json"}},
		{"localhost:5000/a/b:1", "localhost:5000/a/b:1", []string{"refs/localhost:5000/a/b/_tags/1.json"}},
		{"localhost/a", "localhost/a:latest", []string{"refs/localhost/a/_tags/latest.json"}},
		{"[2001:db8::1]:5000/a:1", "[2001:db8::1]:5000/a:1", []string{"refs/[2001:db8::1]:5000/a/_tags/1.json"}},
		{"quay.io/a/b@" + someDigest.String(), "quay.io/a/b@" + someDigest.String(),
			[]string{"refs/quay.io/a/b/_digests/sha256/" + someHex + ".json"}},
		{"quay.io/a/b:v1@" + someDigest.String(), "quay.io/a/b:v1@" + someDigest.String(),
			[]string{"refs/quay.io/a/b/_tags/v1.json", "refs/quay.io/a/b/_digests/sha256/" + someHex + ".json"}},
		{"quay.io/tags/digests/x:_tags", "quay.io/tags/digests/x:_tags", []string{"refs/quay.io/tags/digests/x/_tags/_tags.json"}},
	} {
		t.Run(test.written, func(t *testing.T) {
			ref, err := imagespec.ParseReference(test.written)
			if err != nil {
				t.Fatal(err)
			}
			if ref.String() != test.full {
				t.Errorf("full form is %s, want %s", ref, test.full)
			}
			paths, err := imagespec.RefPaths(ref)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Join(paths, " ") != strings.Join(test.paths, " ") {
				t.Errorf("paths are %q, want %q", paths, test.paths)
			}
		})
	}
}

func TestReferencesThatAreNone(t *testing.T) {
	for _, written := range []string{
		"", "Nginx", "nginx:", "nginx:a b", "nginx@sha256:12", "../../etc/passwd", "a//b", "docker.io/a/../b", "-", "nginx:\x00",
		"nginx@sha512:" + strings.Repeat("a", 128), "nginx:" + strings.Repeat("a", 129), strings.Repeat("a/", 200) + "b", someHex,
	} {
		if ref, err := imagespec.ParseReference(written); err == nil {
			t.Errorf("%q was read as %s", written, ref)
		}
	}
}

func TestRefFromPathRefuses(t *testing.T) {
	for _, name := range []string{
		"", "refs", "refs/docker.io/library/nginx", "refs/docker.io/library/nginx/_tags/latest", "refs/docker.io/nginx/_tags/latest.json",
		"refs/docker.io/library/nginx/_tags/../_tags/latest.json", "refs/../refs/docker.io/library/nginx/_tags/latest.json",
		"refs/docker.io/library/nginx/_tags/a/b.json", "refs/docker.io/library/nginx/_digests/sha256/12.json",
		"refs/docker.io/library/nginx/_digests/md5/" + strings.Repeat("a", 32) + ".json", "blobs/sha256/" + someHex,
		"/refs/docker.io/library/nginx/_tags/latest.json", "refs/docker.io/library/nginx/_tags/.latest.json",
	} {
		if full, err := imagespec.RefFromPath(name); !errors.Is(err, imagespec.ErrInvalid) {
			t.Errorf("%q: got %q, %v", name, full, err)
		}
	}
}

func TestBlobPath(t *testing.T) {
	if name, err := imagespec.BlobPath(someDigest); err != nil || name != "blobs/sha256/"+someHex {
		t.Errorf("got %q, %v", name, err)
	}
	for _, bad := range []digest.Digest{"", "sha256:", "sha256:../../etc/passwd", "sha256:" + digest.Digest(strings.ToUpper(someHex)),
		"sha512:" + digest.Digest(strings.Repeat("a", 128)), digest.Digest(someHex)} {
		if name, err := imagespec.BlobPath(bad); !errors.Is(err, imagespec.ErrInvalid) {
			t.Errorf("%q: got %q, %v", bad, name, err)
		}
	}
}

func TestSafePath(t *testing.T) {
	for written, want := range map[string]string{"./etc/x": "etc/x", "etc//x/": "etc/x", ".": ".", "./": ".", "a/./b": "a/b", "..a/b..": "..a/b.."} {
		if got, err := imagespec.SafePath(written); err != nil || got != want {
			t.Errorf("%q: got %q, %v", written, got, err)
		}
	}
	for _, bad := range []string{"", "/", "/etc/passwd", "..", "../x", "a/../../x", "a/..", "a\x00b"} {
		if got, err := imagespec.SafePath(bad); !errors.Is(err, imagespec.ErrInvalid) {
			t.Errorf("%q: got %q, %v", bad, got, err)
		}
	}
}

func FuzzReference(f *testing.F) {
	for _, seed := range []string{"nginx", "localhost:5000/a:1", "[::1]:5000/a", "quay.io/a/b:v1@" + someDigest.String(), "a/../b", "_tags/_digests:x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, written string) {
		ref, err := imagespec.ParseReference(written)
		if err != nil {
			return
		}
		again, err := imagespec.ParseReference(ref.String())
		if err != nil || again.String() != ref.String() {
			t.Fatalf("%q: the full form %s is read as %v, %v", written, ref, again, err)
		}
		paths, err := imagespec.RefPaths(ref)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range paths {
			if !fs.ValidPath(name) {
				t.Fatalf("%q: %q leaves the store", written, name)
			}
			full, err := imagespec.RefFromPath(name)
			if err != nil {
				t.Fatalf("%q: %v", written, err)
			}
			if len(paths) == 1 && full != ref.String() {
				t.Fatalf("%q: %s comes back as %s", written, ref, full)
			}
		}
	})
}

func FuzzRefFromPath(f *testing.F) {
	f.Add("refs/docker.io/library/nginx/_tags/latest.json")
	f.Add("refs/quay.io/a/b/_digests/sha256/" + someHex + ".json")
	f.Fuzz(func(t *testing.T, name string) {
		full, err := imagespec.RefFromPath(name)
		if err != nil {
			return
		}
		ref, err := imagespec.ParseReference(full)
		if err != nil {
			t.Fatal(err)
		}
		if paths, err := imagespec.RefPaths(ref); err != nil || len(paths) != 1 || paths[0] != name {
			t.Fatalf("%q stands for %s, which is at %q (%v)", name, full, paths, err)
		}
	})
}

func FuzzSafePath(f *testing.F) {
	f.Add("./a/../b")
	f.Fuzz(func(t *testing.T, name string) {
		if safe, err := imagespec.SafePath(name); err == nil && !fs.ValidPath(safe) && strings.ToValidUTF8(safe, "") == safe {
			t.Fatalf("%q became %q", name, safe)
		}
	})
}
