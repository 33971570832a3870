package audit_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/source/audit"
	"github.com/kubefile/kubefile/runner/source/layerfs"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
)

// auditOf reads an image, and returns what it found, a line each.
func auditOf(t *testing.T, image string) (audited *audit.Result, problems, warnings []string) {
	t.Helper()
	audited, err := audit.Run(t.Context(), image, source.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range audited.Problems {
		problems = append(problems, f.Platform+": "+f.Where+": "+f.Problem)
	}
	for _, f := range audited.Warnings {
		warnings = append(warnings, f.Platform+": "+f.Where+": "+f.Problem)
	}
	return audited, problems, warnings
}

// TestAuditOfWholeImages: every form of an image is read for every platform, and nothing is wrong.
func TestAuditOfWholeImages(t *testing.T) {
	dir := whole(t, embedded(t), embedded(t))
	images := sourcetest.Forms(t)
	images["with a lock file"] = dir
	images["with a lock file, archive"] = filepath.Join(t.TempDir(), "image.tar")
	sourcetest.Archive(t, dir, images["with a lock file, archive"])
	for form, image := range images {
		audited, problems, warnings := auditOf(t, image)
		if !strings.HasPrefix(form, "with a lock file") { // those of other tests have none
			problems = slices.DeleteFunc(problems, func(p string) bool {
				return strings.Contains(p, "registry/images.lock.json: invalid cluster image: it is missing")
			})
		}
		if len(problems) > 0 || len(warnings) > 0 {
			t.Errorf("%s: got problems %q and warnings %q, want none", form, problems, warnings)
		}
		want := 1
		if strings.Contains(form, "index") || form == "registry, digest" {
			want = 2
		}
		if len(audited.Platforms) != want {
			t.Errorf("%s: got %d platforms, want %d", form, len(audited.Platforms), want)
		}
	}
	audited, _, _ := auditOf(t, dir)
	if p := audited.Platforms[0]; p.Platform != "linux/amd64" || p.Layers != 2 || p.Images != 2 || p.Bytes == 0 || p.Digest != open(t, dir).Digest {
		t.Errorf("got %+v", p)
	}
}

// TestAuditFindsDamage damages a whole image in every way, and wants each named.
func TestAuditFindsDamage(t *testing.T) {
	blobs := func(a *source.Artifact) []digest.Digest {
		return []digest.Digest{a.Digest, a.Manifest.Config.Digest, a.Manifest.Layers[0].Digest, a.Manifest.Layers[1].Digest}
	}
	names := []string{"manifest", "config", "rootfs layer", "image layer"}
	for kind, damage := range map[string]func(file string, data []byte) error{
		"flipped": func(file string, data []byte) error {
			data[len(data)/2] ^= 1
			return os.WriteFile(file, data, 0o644)
		},
		"missing": func(file string, _ []byte) error { return os.Remove(file) },
		"cut":     func(file string, data []byte) error { return os.WriteFile(file, data[:len(data)-1], 0o644) },
		"longer":  func(file string, data []byte) error { return os.WriteFile(file, append(data, 'x'), 0o644) },
	} {
		for i, name := range names {
			dir := whole(t, embedded(t), embedded(t))
			blob := blobs(open(t, dir))[i]
			data, err := os.ReadFile(blobFile(dir, blob))
			if err == nil {
				err = damage(blobFile(dir, blob), data)
			}
			if err != nil {
				t.Fatal(err)
			}
			_, problems, _ := auditOf(t, dir)
			if !slices.ContainsFunc(problems, func(p string) bool {
				return strings.Contains(p, blob.Encoded()) && strings.Contains(p, source.ErrDamaged.Error())
			}) {
				t.Errorf("%s %s: got %q, want a problem with %s", kind, name, problems, blob)
			}
		}
	}
}

func TestAuditNamesEveryProblem(t *testing.T) {
	dir := whole(t, embedded(t), embedded(t))
	a := open(t, dir)
	if err := os.Remove(blobFile(dir, a.Manifest.Layers[0].Digest)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(blobFile(dir, a.Manifest.Layers[1].Digest), 10); err != nil {
		t.Fatal(err)
	}
	_, problems, warnings := auditOf(t, dir)
	if len(problems) != 2 || !strings.Contains(problems[0], a.Manifest.Layers[0].Digest.Encoded()) || !strings.Contains(problems[1], a.Manifest.Layers[1].Digest.Encoded()) {
		t.Errorf("got %q, want one problem for each layer", problems)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "not compared with the lock") {
		t.Errorf("got warnings %q, want that the store was not compared", warnings)
	}
}

// without are the entries that do not have the text.
func without(entries []sourcetest.Entry, text string) []sourcetest.Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e sourcetest.Entry) bool { return strings.Contains(e.Name+e.Content, text) })
}

// TestAuditComparesStoreAndLock: the outer digests of these images are right.
func TestAuditComparesStoreAndLock(t *testing.T) {
	all := embedded(t)
	changed := slices.Clone(all)
	for i := range changed {
		changed[i].Content = strings.Replace(changed[i].Content, "content of a", "content of A", 1)
	}
	extra := sourcetest.Entry{Name: "registry/blobs/sha256/" + digest.FromString("extra").Encoded(), Content: "extra"}
	for name, test := range map[string]struct {
		stored, listed []sourcetest.Entry
		want           []string // problems
		warn           string
	}{
		"a changed blob":    {changed, all, []string{"file registry/blobs/sha256/" + digest.FromString("content of a").Encoded()}, ""},
		"two missing blobs": {without(without(all, "content of a"), "content of b"), all, []string{"quay.io/a:1", "quay.io/b:1"}, ""},
		"in the lock only":  {without(all, "/b/"), all, []string{"quay.io/b:1: invalid cluster image: in the lock, but not in the store"}, ""},
		"in the store only": {all, without(all, "/a/"), []string{"quay.io/a:1: invalid cluster image: in the store, but not in the lock"}, ""},
		"both":              {without(without(all, "/b/"), "content of a"), all, []string{"quay.io/a:1", "quay.io/b:1"}, ""},
		"not a store file":  {append(slices.Clone(all), sourcetest.Entry{Name: "etc/passwd"}), all, []string{"file etc/passwd"}, ""},
		"an extra blob":     {append(slices.Clone(all), extra), all, nil, digest.FromString("extra").String()},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems, warnings := auditOf(t, whole(t, test.stored, test.listed))
			text := strings.Join(problems, "\n")
			for _, want := range test.want {
				if !strings.Contains(text, want) {
					t.Errorf("got problems\n%s\nwant one with %s", text, want)
				}
			}
			if test.want == nil && text != "" {
				t.Errorf("got problems\n%s\nwant none", text)
			}
			if text := strings.Join(warnings, "\n"); test.warn != "" && !strings.Contains(text, test.warn) {
				t.Errorf("got warnings\n%s\nwant one with %s", text, test.warn)
			}
		})
	}
}

func TestAuditChecksTheConfig(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*ocispec.Manifest, *ocispec.Image)
		want   string
	}{
		"a label":           {func(_ *ocispec.Manifest, c *ocispec.Image) { c.Config.Labels[imagespec.LabelCommands] = "[{}]" }, "command 1"},
		"not a cluster":     {func(_ *ocispec.Manifest, c *ocispec.Image) { delete(c.Config.Labels, imagespec.LabelVersion) }, "not a cluster image"},
		"another lock":      {func(_ *ocispec.Manifest, c *ocispec.Image) { delete(c.Config.Labels, imagespec.LabelImages) }, "it is not the lock of the label"},
		"the history":       {func(_ *ocispec.Manifest, c *ocispec.Image) { c.History = c.History[1:] }, "1 layers in the history"},
		"a diff ID":         {func(_ *ocispec.Manifest, c *ocispec.Image) { c.RootFS.DiffIDs[0] = digest.FromString("x") }, "diff ID"},
		"size of a layer":   {func(m *ocispec.Manifest, _ *ocispec.Image) { m.Layers[0].Size++ }, "bytes instead of"},
		"a layer too many":  {func(m *ocispec.Manifest, _ *ocispec.Image) { m.Layers = append(m.Layers, m.Layers[0]) }, "3 layers, 2 diff IDs"},
		"digest of a layer": {func(m *ocispec.Manifest, _ *ocispec.Image) { m.Layers[0].Digest = "sha256:../../x" }, "digest"},
	} {
		dir := whole(t, embedded(t), embedded(t))
		rewrite(t, dir, test.change)
		if _, problems, _ := auditOf(t, dir); !strings.Contains(strings.Join(problems, "\n"), test.want) {
			t.Errorf("%s: got %q, want a problem with %q", name, problems, test.want)
		}
	}
}

func TestAuditChecksTheRootfs(t *testing.T) {
	dir := whole(t, embedded(t), embedded(t), sourcetest.Entry{Name: "dev", Type: '3'}, sourcetest.Entry{Name: "pipe", Type: '6'})
	_, problems, _ := auditOf(t, dir)
	if text := strings.Join(problems, "\n"); len(problems) != 2 || !strings.Contains(text, "file dev: ") || !strings.Contains(text, "file pipe: ") {
		t.Errorf("got %q, want both files", problems)
	}
	bare := t.TempDir()
	sourcetest.Layout(t, bare, []string{"amd64"}, sourcetest.Layer{Tar: sourcetest.Tar(t)})
	if _, problems, _ := auditOf(t, bare); len(problems) != 1 || !strings.Contains(problems[0], source.ErrNoRunner.Error()) {
		t.Errorf("got %q, want that there is no runner", problems)
	}
}

// TestAuditOfAnIndex: what is missing for one platform is named, and the other one is read.
func TestAuditOfAnIndex(t *testing.T) {
	dir := t.TempDir()
	sourcetest.Layout(t, dir, []string{"amd64", "arm64"}, sourcetest.Layers(t)[:2]...)
	arm, err := source.Open(t.Context(), dir, source.Options{Platform: ocispec.Platform{OS: "linux", Architecture: "arm64"}})
	if err != nil {
		t.Fatal(err)
	}
	arm.Close()
	if err := os.Remove(blobFile(dir, arm.Digest)); err != nil {
		t.Fatal(err)
	}
	audited, problems, _ := auditOf(t, dir)
	if len(problems) != 1 || !strings.HasPrefix(problems[0], "linux/arm64: manifest "+arm.Digest.String()) || len(audited.Platforms) != 1 {
		t.Errorf("got %q and %+v, want the manifest for linux/arm64", problems, audited.Platforms)
	}
}

func TestAuditWarnsOfUnreferencedBlobs(t *testing.T) {
	dir := whole(t, embedded(t), embedded(t))
	if err := os.WriteFile(blobFile(dir, digest.FromString("x")), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(t.TempDir(), "image.tar")
	sourcetest.Archive(t, dir, archive)
	for _, image := range []string{dir, archive} {
		_, problems, warnings := auditOf(t, image)
		if len(problems) > 0 || len(warnings) != 1 || !strings.Contains(warnings[0], digest.FromString("x").Encoded()) {
			t.Errorf("%s: got problems %q and warnings %q, want one warning", image, problems, warnings)
		}
	}
}

func TestAuditOfWhatCannotBeRead(t *testing.T) {
	dir := whole(t, embedded(t), embedded(t))
	archive := filepath.Join(t.TempDir(), "image.tar")
	sourcetest.Archive(t, dir, archive)
	data, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(archive, data[:len(data)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Run(t.Context(), archive, source.Options{}, nil); !errors.Is(err, source.ErrDamaged) || !strings.Contains(err.Error(), archive) {
		t.Errorf("a truncated archive: got %v", err)
	}
	if _, err := audit.Run(t.Context(), archive+"x", source.Options{}, nil); !errors.Is(err, source.ErrNotFound) {
		t.Errorf("no archive: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stop := func(string, int, int, int64) { cancel() }
	if _, err := audit.Run(ctx, dir, source.Options{}, stop); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: got %v", err)
	}
}

// TestAuditOfARegistry: a registry that lacks a blob and sends other bytes for another one.
func TestAuditOfARegistry(t *testing.T) {
	dir := whole(t, embedded(t), embedded(t))
	a := open(t, dir)
	registry := ocimem.New()
	server := httptest.NewServer(ociserver.New(registry, nil))
	t.Cleanup(server.Close)
	image := strings.TrimPrefix(server.URL, "http://") + "/app"
	sourcetest.Push(t, dir, image, ocispec.Descriptor{Digest: a.Digest}, "v1")
	if _, problems, warnings := auditOf(t, image+":v1"); len(problems)+len(warnings) > 0 {
		t.Errorf("got problems %q and warnings %q", problems, warnings)
	}
	if err := registry.DeleteBlob(t.Context(), "app", a.Manifest.Layers[1].Digest); err != nil {
		t.Fatal(err)
	}
	if _, problems, _ := auditOf(t, image+":v1"); len(problems) != 1 || !strings.Contains(problems[0], a.Manifest.Layers[1].Digest.String()) {
		t.Errorf("got %q, want the missing blob", problems)
	}
}

func TestAuditReportsNoMoreThanPeopleRead(t *testing.T) {
	var files []sourcetest.Entry
	for i := range 1500 {
		files = append(files, sourcetest.Entry{Name: "pipe" + strings.Repeat("x", i%200) + string(rune('a'+i/200)), Type: '6'})
	}
	audited, err := audit.Run(t.Context(), whole(t, embedded(t), embedded(t), files...), source.Options{}, nil)
	if err == nil || !strings.Contains(err.Error(), "more than 1000 problems") || len(audited.Problems) != 1000 {
		t.Errorf("got %v with %d problems, want 1000", err, len(audited.Problems))
	}
}

func TestAuditInBoundedMemory(t *testing.T) {
	dir := t.TempDir()
	sourcetest.Layout(t, dir, []string{"amd64"}, sourcetest.Layer{Big: 100 << 20})
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := audit.Run(t.Context(), dir, source.Options{}, nil); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 10<<20 {
		t.Errorf("reading 100 MiB allocated %d MiB", grown>>20)
	}
}

// TestAuditDoesNotDecompressForHours: an image whose layer becomes many times its size is refused early.
func TestAuditDoesNotDecompressForHours(t *testing.T) {
	zeros := bytes.Repeat([]byte{0}, 1<<20)
	none := func(*tar.Header, string, io.Reader) error { return nil }
	if err := layerfs.ReadWithin(bytes.NewReader(zeros), digest.FromBytes(zeros), 1<<20, none); err != nil {
		t.Errorf("content of the limit: %v", err)
	}
	if err := layerfs.ReadWithin(bytes.NewReader(zeros), digest.FromBytes(zeros), 1<<20-1, none); err == nil || !strings.Contains(err.Error(), "many times its size") {
		t.Errorf("content of more than the limit: got %v", err)
	}
}

func open(t *testing.T, image string) *source.Artifact {
	t.Helper()
	artifact, err := source.Open(t.Context(), image, source.Options{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { artifact.Close() })
	return artifact
}
