package layers

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/content/oci"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/agent/agenttest"
	"github.com/kubefile/kubefile/runner/agent/clusterdir"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
)

// shipped is a layer as it is sent.
type shipped struct {
	data    []byte
	request wire.LayerRequest
}

func ship(t testing.TB, dir string, compression string, entries ...e) shipped {
	t.Helper()
	plain := sourcetest.Tar(t, entries...)
	var buffer bytes.Buffer
	var w io.WriteCloser
	switch compression {
	case "gzip":
		w = gzip.NewWriter(&buffer)
	case "zstd":
		w, _ = zstd.NewWriter(&buffer)
	}
	data := plain
	if w != nil {
		w.Write(plain)
		w.Close()
		data = buffer.Bytes()
	}
	return shipped{data, wire.LayerRequest{Dir: dir, Digest: digest.FromBytes(data), Size: int64(len(data)), DiffID: digest.FromBytes(plain)}}
}

func (s shipped) put() error {
	_, err := PutLayer(s.request, bytes.NewReader(s.data))
	return err
}

func (s shipped) here(t testing.TB) bool {
	t.Helper()
	answer, err := Have(wire.HaveRequest{Dir: s.request.Dir, Layers: []digest.Digest{s.request.Digest}})
	if err != nil {
		t.Fatal(err)
	}
	return len(answer.Layers) == 1
}

func commit(layers ...shipped) (wire.Changed, error) {
	r := wire.CommitRequest{Dir: layers[0].request.Dir}
	for _, layer := range layers {
		r.Layers = append(r.Layers, layer.request.Digest)
	}
	return CommitImages(r)
}

func TestImageLayersBecomeAStore(t *testing.T) {
	dir := t.TempDir()
	base := ship(t, dir, "gzip", sourcetest.Embedded(t, map[string]string{"docker.io/library/nginx:1": "old nginx", "quay.io/a/b:1": "b"})...)
	own := ship(t, dir, "zstd", sourcetest.Embedded(t, map[string]string{"docker.io/library/nginx:1": "new nginx", "localhost:5000/c:1": "c"})...)
	for _, layer := range []shipped{base, own} {
		if layer.here(t) {
			t.Fatal("here before it was sent")
		}
		if err := layer.put(); err != nil {
			t.Fatal(err)
		}
		if !layer.here(t) {
			t.Fatal("not here after it was sent")
		}
	}
	root, err := os.OpenRoot(filepath.Join(dir, StoreDir))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	store := imagespec.NewStore(root.FS())
	if _, err := store.Resolve("quay.io", "a/b", "1"); !errors.Is(err, imagespec.ErrNotFound) {
		t.Fatalf("a reference is valid before the commit: %v", err)
	}
	for i := range 2 {
		did, err := commit(base, own)
		if err != nil || did.Changed != (i == 0) {
			t.Fatalf("commit %d: changed %v, %v", i, did.Changed, err)
		}
	}
	// The later layer's nginx, and an OCI layout that another library reads.
	layout, err := oci.NewFromFS(t.Context(), root.FS())
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"docker.io/library/nginx:1", "quay.io/a/b:1", "localhost:5000/c:1"} {
		got, err := layout.Resolve(t.Context(), ref)
		if err != nil {
			t.Fatal(ref, err)
		}
		host, rest, _ := strings.Cut(ref, "/")
		want, err := store.Resolve(host, strings.TrimSuffix(rest, ":1"), "1")
		if err != nil || got.Digest != want.Digest {
			t.Errorf("%s: %s, %s, %v", ref, got.Digest, want.Digest, err)
		}
	}
	nginx, err := store.Resolve("docker.io", "library/nginx", "1")
	if err != nil || !strings.Contains(string(own.data)+agenttest.Read(t, filepath.Join(dir, layersDir, "sha256", own.request.Digest.Encoded()+".json")), nginx.Digest.String()) {
		t.Errorf("nginx is %s, %v", nginx.Digest, err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, clusterdir.IncomingDir)); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestBlobsAreNotWrittenTwice(t *testing.T) {
	dir := t.TempDir()
	one := ship(t, dir, "", sourcetest.Embedded(t, map[string]string{"a.io/a:1": "shared"})...)
	two := ship(t, dir, "", sourcetest.Embedded(t, map[string]string{"b.io/b:1": "shared"})...)
	blob := filepath.Join(dir, StoreDir, "blobs", "sha256", digest.FromString("shared").Encoded())
	if err := one.put(); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(blob)
	if err != nil {
		t.Fatal(err)
	}
	if err := two.put(); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(blob)
	if err != nil || !os.SameFile(before, after) {
		t.Fatalf("the blob was written again: %v", err)
	}
}

// TestDamagedImageLayers never leaves a layer that counts as sent, nor a blob
// under a name that is not its digest.
func TestDamagedImageLayers(t *testing.T) {
	embedded := sourcetest.Embedded(t, map[string]string{"a.io/a:1": "content"})
	sum := digest.FromString("x").Encoded()
	for name, change := range map[string]func(*shipped){
		"cut":                  func(s *shipped) { s.data = s.data[:len(s.data)/2] },
		"cut at the very end":  func(s *shipped) { s.data = s.data[:len(s.data)-1] },
		"longer":               func(s *shipped) { s.data = append(s.data, 0) },
		"a flipped bit":        func(s *shipped) { s.data[bytes.Index(s.data, []byte("content"))] ^= 1 },
		"a bit in the padding": func(s *shipped) { s.data[len(s.data)-1] ^= 1 },
		"another digest":       func(s *shipped) { s.request.Digest = digest.FromString("x") },
		"another diff ID":      func(s *shipped) { s.request.DiffID = digest.FromString("x") },
		"another size":         func(s *shipped) { s.request.Size++ },
		"empty":                func(s *shipped) { s.data = nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := ship(t, t.TempDir(), "", embedded...)
			change(&s)
			if err := s.put(); !errors.Is(err, wire.ErrDamaged) {
				t.Fatal(err)
			}
			checkStore(t, s)
		})
	}
	for name, entry := range map[string]e{
		"content of another digest": file("registry/blobs/sha256/"+sum, "y"),
		"name that is no digest":    file("registry/blobs/sha256/abc", "y"),
		"name that leads out":       file("registry/blobs/sha256/../../../../x", "y"),
		"another algorithm":         file("registry/blobs/sha512/"+sum, "y"),
		"deeper name":               file("registry/blobs/sha256/"+sum+"/x", "y"),
		"file of the rootfs":        file("scripts/init.sh", "y"),
		"index":                     file("registry/index.json", "{}"),
		"link":                      link("registry/blobs/sha256/"+sum, "/etc/passwd"),
		"hard link":                 hard("registry/blobs/sha256/"+sum, "registry/oci-layout"),
		"device":                    {Name: "registry/blobs/sha256/" + sum, Type: tar.TypeBlock},
		"whiteout":                  file("registry/blobs/sha256/.wh."+sum, ""),
		"reference that is none":    file("registry/refs/x.json", "{}"),
		"reference that leads out":  file("registry/refs/a.io/../../../_tags/1.json", "{}"),
		"reference without JSON":    file("registry/refs/a.io/a/_tags/2.json", "no"),
		"reference too large":       file("registry/refs/a.io/a/_tags/2.json", strings.Repeat(" ", 64<<10+1)),
	} {
		t.Run(name, func(t *testing.T) {
			s := ship(t, t.TempDir(), "", append(slices.Clone(embedded), entry)...)
			if err := s.put(); err == nil {
				t.Fatal("accepted")
			}
			checkStore(t, s)
		})
	}
}

// checkStore checks that a refused layer is not here, and that every blob is what
// its name says.
func checkStore(t *testing.T, s shipped) {
	t.Helper()
	if s.here(t) {
		t.Error("a refused layer counts as sent")
	}
	blobs, err := filepath.Glob(filepath.Join(s.request.Dir, StoreDir, "blobs", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, blob := range blobs {
		if digest.FromString(agenttest.Read(t, blob)).Encoded() != filepath.Base(blob) {
			t.Errorf("%s is not what its name says", blob)
		}
	}
	if left, err := os.ReadDir(filepath.Join(s.request.Dir, clusterdir.IncomingDir)); err == nil && len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCommitNeedsEverything(t *testing.T) {
	dir := t.TempDir()
	layer := ship(t, dir, "", sourcetest.Embedded(t, map[string]string{"a.io/a:1": "content"})...)
	if _, err := commit(layer); !errors.Is(err, wire.ErrDamaged) {
		t.Fatalf("a layer that was not sent: %v", err)
	}
	if err := layer.put(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, StoreDir, "blobs", "sha256", digest.FromString("content").Encoded())); err != nil {
		t.Fatal(err)
	}
	if layer.here(t) {
		t.Error("a layer counts as sent though a blob of it is gone")
	}
	if _, err := commit(layer); !errors.Is(err, wire.ErrDamaged) {
		t.Fatalf("a blob is gone: %v", err)
	}
	dangling := ship(t, dir, "", file("registry/refs/b.io/b/_tags/1.json",
		`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"`+digest.FromString("nowhere").String()+`","size":7}`))
	if err := dangling.put(); err != nil {
		t.Fatal(err)
	}
	if _, err := commit(dangling); !errors.Is(err, wire.ErrDamaged) || !strings.Contains(err.Error(), "b.io/b") {
		t.Fatalf("a reference to nothing: %v", err)
	}
}

func TestPutBlob(t *testing.T) {
	content := strings.Repeat("content", 1000)
	sum := digest.FromString(content)
	for name, test := range map[string]struct {
		sent io.Reader
		ok   bool
	}{
		"whole":      {strings.NewReader(content), true},
		"in pieces":  {iotest.OneByteReader(strings.NewReader(content)), true},
		"cut":        {strings.NewReader(content[1:]), false},
		"longer":     {strings.NewReader(content + "x"), false},
		"other":      {strings.NewReader("C" + content[1:]), false},
		"broken off": {io.MultiReader(strings.NewReader(content[:100]), iotest.ErrReader(errors.New("gone"))), false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			b := wire.Blob{Digest: sum, Size: int64(len(content))}
			_, err := PutBlob(wire.BlobRequest{Dir: dir, Blob: b}, test.sent)
			answer, haveErr := Have(wire.HaveRequest{Dir: dir, Blobs: []wire.Blob{b}})
			if haveErr != nil || (err == nil) != test.ok || (len(answer.Blobs) == 1) != test.ok {
				t.Fatal(err, answer, haveErr)
			}
			if left, err := os.ReadDir(filepath.Join(dir, clusterdir.IncomingDir)); err != nil || len(left) != 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
	dir := t.TempDir()
	if _, err := PutBlob(wire.BlobRequest{Dir: dir, Blob: wire.Blob{Digest: sum, Size: 1 << 60}}, strings.NewReader(content)); !errors.Is(err, wire.ErrNoSpace) {
		t.Errorf("a blob larger than the disk: %v", err)
	}
	if _, err := PutBlob(wire.BlobRequest{Dir: dir, Blob: wire.Blob{Digest: "sha256:../../x", Size: 1}}, strings.NewReader("x")); err == nil {
		t.Error("a digest that is a path was accepted")
	}
	for _, bad := range []string{"", "relative/dir", "/", "/var", "/var/../etc/x", "/var/lib/"} {
		if _, err := Have(wire.HaveRequest{Dir: bad}); !errors.Is(err, wire.ErrInvalid) {
			t.Errorf("directory %q: %v", bad, err)
		}
	}
}

// TestReferenceOfALayerThatGoes: a reference that an image put there which goes becomes again what the image that stays says.
func TestReferenceOfALayerThatGoes(t *testing.T) {
	dir := t.TempDir()
	one := ship(t, dir, "", sourcetest.Embedded(t, map[string]string{"a.io/app:1": "one"})...)
	two := ship(t, dir, "", sourcetest.Embedded(t, map[string]string{"a.io/app:1": "two"})...)
	for _, layer := range []shipped{one, two} {
		if err := layer.put(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := commit(one, two); err != nil {
		t.Fatal(err)
	}
	if _, err := RemoveLayers(t.Context(), wire.RemoveLayersRequest{Dir: dir, Layers: []digest.Digest{two.request.Digest}}); err != nil {
		t.Fatal(err)
	}
	agenttest.Complete(t, dir, "a.io/app:1")
	if !one.here(t) {
		t.Error("the layer that stays is not whole")
	}
}
