package imagespec_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/imagespec/storetest"
)

func rootOf(t testing.TB, store *storetest.Store) fs.FS {
	t.Helper()
	root, err := os.OpenRoot(store.Dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root.FS()
}

func TestResolve(t *testing.T) {
	made := storetest.New(t)
	image := made.Embed("docker.io/kubernetesui/dashboard:v2.2.0", []byte("dashboard"))
	made.Embed("localhost:5000/tools/x:1", []byte("x"))
	pinned := made.Embed("quay.io/a/b:v1", []byte("b"))
	made.Refer("quay.io/a/b@"+pinned.Index.Digest.String(), pinned.Index)
	store := imagespec.NewStore(rootOf(t, made))

	for _, test := range []struct {
		host, repository, name string
		want                   digest.Digest // empty for not found
	}{
		{"docker.io", "kubernetesui/dashboard", "v2.2.0", image.Index.Digest},
		{"docker.io", "kubernetesui/dashboard", image.Index.Digest.String(), image.Index.Digest},
		{"docker.io", "kubernetesui/dashboard", image.Manifest.Digest.String(), image.Manifest.Digest},
		{"docker.io", "kubernetesui/dashboard", image.Absent.Digest.String(), ""},
		{"docker.io", "kubernetesui/dashboard", image.Layer.Digest.String(), ""}, // there, but no manifest
		{"docker.io", "kubernetesui/dashboard", pinned.Manifest.Digest.String(), ""},
		{"docker.io", "kubernetesui/dashboard", "v2.2.1", ""},
		{"docker.io", "kubernetesui", "v2.2.0", ""},
		{"quay.io", "kubernetesui/dashboard", "v2.2.0", ""},
		{"localhost:5000", "tools/x", "1", digestOf(t, made, "localhost:5000/tools/x:1")},
		{"quay.io", "a/b", pinned.Index.Digest.String(), pinned.Index.Digest},
		{"docker.io", "../../oci-layout", "v1", ""},
		{"", "", "", ""},
		{"docker.io", "kubernetesui/dashboard", "../v2.2.0", ""},
		{"docker.io", "kubernetesui/dashboard", "sha256:12", ""},
	} {
		got, err := store.Resolve(test.host, test.repository, test.name)
		if got.Digest != test.want || (test.want == "") != errors.Is(err, imagespec.ErrNotFound) {
			t.Errorf("%s/%s %s: got %q, %v, want %q", test.host, test.repository, test.name, got.Digest, err, test.want)
		}
	}
}

func digestOf(t testing.TB, made *storetest.Store, reference string) digest.Digest {
	t.Helper()
	image, ok := made.Lock.Lookup(reference)
	if !ok {
		t.Fatalf("%s was not embedded", reference)
	}
	return image.Digest
}

func TestRegistries(t *testing.T) {
	s := storetest.New(t)
	store := imagespec.NewStore(rootOf(t, s))
	if got, err := store.Registries(); err != nil || len(got) != 0 {
		t.Errorf("an empty store has %q, %v", got, err)
	}
	for _, reference := range []string{"quay.io/a:1", "docker.io/library/a:1", "quay.io/b:1", "localhost:5000/a:1"} {
		s.Embed(reference, []byte(reference))
	}
	s.Write("refs/.unfinished/x", nil)
	if got, err := store.Registries(); err != nil || !slices.Equal(got, []string{"docker.io", "localhost:5000", "quay.io"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestStoreIsReadLive(t *testing.T) {
	made := storetest.New(t)
	store := imagespec.NewStore(rootOf(t, made))
	if references, err := store.References(); err != nil || len(references) != 0 {
		t.Fatalf("an empty store has %v, %v", references, err)
	}
	image := made.Embed("quay.io/a:2", []byte("two"))
	made.Embed("quay.io/a:10", []byte("ten"))
	made.Write("refs/quay.io/a/_tags/.unfinished", []byte("{"))
	references, err := store.References()
	if err != nil || len(references) != 2 || references["quay.io/a:2"].Digest != image.Index.Digest {
		t.Errorf("got %v, %v", references, err)
	}
	if tags, err := store.Tags("quay.io", "a"); err != nil || !slices.Equal(tags, []string{"10", "2"}) {
		t.Errorf("tags are %q, %v", tags, err)
	}
	if tags, err := store.Tags("quay.io", "b"); err != nil || len(tags) != 0 {
		t.Errorf("tags of nothing are %q, %v", tags, err)
	}
	file, err := store.Open(image.Layer.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if content, err := io.ReadAll(file); err != nil || string(content) != "two" {
		t.Errorf("the layer is %q, %v", content, err)
	}
	if size, err := store.Stat(image.Layer.Digest); err != nil || size != 3 {
		t.Errorf("the layer has %d bytes, %v", size, err)
	}
	if _, err := store.Open(image.Absent.Digest); !errors.Is(err, imagespec.ErrNotFound) {
		t.Errorf("what is not there is opened: %v", err)
	}
}

func TestStoreDoesNotLeaveItsRoot(t *testing.T) {
	made := storetest.New(t)
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := digest.FromString("secret")
	link := filepath.Join(made.Dir, "blobs/sha256", d.Encoded())
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, link); err != nil {
		t.Fatal(err)
	}
	fsys := rootOf(t, made)
	if _, err := imagespec.NewStore(fsys).Open(d); !errors.Is(err, imagespec.ErrInvalid) {
		t.Errorf("a link was opened: %v", err)
	}
	if err := storetest.Validate(t.Context(), fsys, nil); !errors.Is(err, imagespec.ErrInvalid) {
		t.Errorf("a link is valid: %v", err)
	}
	pipe := digest.FromString("pipe")
	if err := syscall.Mkfifo(filepath.Join(made.Dir, "blobs/sha256", pipe.Encoded()), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := imagespec.NewStore(fsys).Open(pipe); !errors.Is(err, imagespec.ErrInvalid) {
		t.Errorf("a pipe was opened: %v", err)
	}
}
