package imagespec_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/imagespec/storetest"
)

func TestValidStores(t *testing.T) {
	for name, fill := range map[string]func(*storetest.Store){
		"nothing":       func(s *storetest.Store) { s.Remove("oci-layout") },
		"layout only":   func(*storetest.Store) {},
		"sparse index":  func(s *storetest.Store) { s.Embed("quay.io/a:1", []byte("a")) },
		"shared blobs":  func(s *storetest.Store) { s.Embed("quay.io/a:1", []byte("a")); s.Embed("quay.io/b:1", []byte("a")) },
		"with an index": func(s *storetest.Store) { s.Embed("quay.io/a:1", []byte("a")); s.Write("index.json", []byte("{}")) },
		"unfinished": func(s *storetest.Store) {
			s.Write("blobs/sha256/.1", []byte("x"))
			s.Write("refs/quay.io/a/_tags/.1", []byte("x"))
		},
		"files of a later writer": func(s *storetest.Store) { s.Write("notes/later.json", []byte("x")) },
		"nested indexes": func(s *storetest.Store) {
			s.Lock.Images = []imagespec.LockedImage{nest(s, imagespec.MaxIndexDepth)}
		},
		"tag and digest": func(s *storetest.Store) {
			image := s.Embed("quay.io/a:1", []byte("a"))
			pinned := "quay.io/a:1@" + image.Index.Digest.String()
			s.Refer(pinned, image.Index)
			s.Lock.Images[0].Reference = pinned
		},
		"Docker's media types": func(s *storetest.Store) {
			const manifest = "application/vnd.docker.distribution.manifest.v2+json"
			config := s.Blob("application/vnd.docker.container.image.v1+json", []byte("{}"))
			d := s.JSON(manifest, map[string]any{"schemaVersion": 2, "mediaType": manifest, "config": config, "layers": []any{}})
			s.Refer("quay.io/a:1", d)
			s.Lock.Images = []imagespec.LockedImage{lockedManifest("quay.io/a:1", d, d)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			made := storetest.New(t)
			fill(made)
			if err := storetest.Validate(t.Context(), rootOf(t, made), made.Lock); err != nil {
				t.Error(err)
			}
			if err := streamed(t, made); err != nil {
				t.Errorf("read from layers: %v", err)
			}
		})
	}
}

// streamed reads a store as image layers bring it.
func streamed(t *testing.T, made *storetest.Store) error {
	t.Helper()
	inventory := imagespec.NewInventory()
	fsys := rootOf(t, made)
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		// Files that are no layer's: what was not finished, and what a later writer or a host adds.
		if path.Base(name)[0] == '.' || name == "index.json" || strings.HasPrefix(name, "notes") {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		file, err := fsys.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		return inventory.Add(path.Join(imagespec.RegistryDir, name), info.Mode(), info.Size(), file)
	})
	if err != nil {
		return err
	}
	return inventory.Check(t.Context(), made.Lock, ocispec.Platform{OS: "linux", Architecture: "amd64"})
}

func lockedManifest(reference string, top, manifest ocispec.Descriptor) imagespec.LockedImage {
	return imagespec.LockedImage{Reference: reference, Digest: top.Digest, MediaType: top.MediaType,
		Platforms: []imagespec.LockedPlatform{{Platform: "linux/amd64", Digest: manifest.Digest}}}
}

// nest embeds a manifest below the given number of indexes.
func nest(s *storetest.Store, depth int) imagespec.LockedImage {
	manifest := s.Manifest(s.Blob(ocispec.MediaTypeImageConfig, []byte("{}")))
	top := manifest
	for range depth {
		top = s.Index(top)
	}
	s.Refer("quay.io/nested:1", top)
	return lockedManifest("quay.io/nested:1", top, manifest)
}

// spoil makes a store that is in order invalid.
type spoil func(*storetest.Store, storetest.Image)

func TestStoresThatAreRefused(t *testing.T) {
	cases := spoiltFiles()
	maps.Copy(cases, spoiltDescriptors())
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			made := storetest.New(t)
			image := made.Embed("quay.io/a:1", []byte("image"))
			spoil(made, image)
			err := storetest.Validate(t.Context(), rootOf(t, made), made.Lock)
			if !errors.Is(err, imagespec.ErrInvalid) && !errors.Is(err, imagespec.ErrNotFound) {
				t.Errorf("got %v", err)
			}
			if err := streamed(t, made); !errors.Is(err, imagespec.ErrInvalid) && !errors.Is(err, imagespec.ErrNotFound) {
				t.Errorf("read from layers: got %v", err)
			}
		})
	}
}

// spoiltFiles lack a file, have one too many, or have another content.
func spoiltFiles() map[string]spoil {
	return map[string]spoil{
		"a flipped bit":           func(s *storetest.Store, i storetest.Image) { s.Write(s.BlobPath(i.Layer), []byte("inage")) },
		"a truncated blob":        func(s *storetest.Store, i storetest.Image) { s.Write(s.BlobPath(i.Layer), []byte("imag")) },
		"a spoiled index":         func(s *storetest.Store, i storetest.Image) { s.Write(s.BlobPath(i.Index), []byte("{}")) },
		"no layer":                func(s *storetest.Store, i storetest.Image) { s.Remove(s.BlobPath(i.Layer)) },
		"no config":               func(s *storetest.Store, i storetest.Image) { s.Remove(s.BlobPath(i.Config)) },
		"no manifest of an index": func(s *storetest.Store, i storetest.Image) { s.Remove(s.BlobPath(i.Manifest)) },
		"no index":                func(s *storetest.Store, i storetest.Image) { s.Remove(s.BlobPath(i.Index)) },
		"no layout":               func(s *storetest.Store, i storetest.Image) { s.Remove("oci-layout") },
		"a layout of the future": func(s *storetest.Store, i storetest.Image) {
			s.Write("oci-layout", []byte(`{"imageLayoutVersion":"2"}`))
		},
		"a blob of no digest":    func(s *storetest.Store, i storetest.Image) { s.Write("blobs/sha256/abc", nil) },
		"a blob of sha512":       func(s *storetest.Store, i storetest.Image) { s.Write("blobs/sha512/"+someHex+someHex, nil) },
		"a blob in a directory":  func(s *storetest.Store, i storetest.Image) { s.Write("blobs/sha256/x/"+someHex, nil) },
		"a reference of no name": func(s *storetest.Store, i storetest.Image) { s.Write("refs/quay.io/a/_tags/v1.txt", nil) },
		"a reference to nothing": func(s *storetest.Store, i storetest.Image) { s.Refer("quay.io/b:1", i.Absent) },
		"a reference of no JSON": func(s *storetest.Store, i storetest.Image) { s.Write("refs/quay.io/a/_tags/v1.json", []byte("{")) },
		"a reference to a layer": func(s *storetest.Store, i storetest.Image) { s.Refer("quay.io/a:1", i.Layer) },
		"a reference too long": func(s *storetest.Store, i storetest.Image) {
			s.Write("refs/quay.io/a/_tags/1.json", make([]byte, 65<<10))
		},
	}
}

// spoiltDescriptors say something else of a content than it is, or than the lock says.
func spoiltDescriptors() map[string]spoil {
	return map[string]spoil{
		"a digest of another": func(s *storetest.Store, i storetest.Image) { s.Refer("quay.io/a@"+someDigest.String(), i.Index) },
		"a wrong size":        func(s *storetest.Store, i storetest.Image) { i.Index.Size++; s.Refer("quay.io/a:1", i.Index) },
		"a negative size":     func(s *storetest.Store, i storetest.Image) { i.Index.Size = -1; s.Refer("quay.io/a:1", i.Index) },
		"a wrong size of a layer": func(s *storetest.Store, i storetest.Image) {
			i.Layer.Size++
			s.Refer("quay.io/a:1", s.Manifest(i.Config, i.Layer))
		},
		"a wrong size of a child": func(s *storetest.Store, i storetest.Image) {
			i.Manifest.Size++
			s.Refer("quay.io/a:1", s.Index(i.Manifest))
		},
		"a child of no media type": func(s *storetest.Store, i storetest.Image) {
			i.Manifest.MediaType = ""
			s.Refer("quay.io/a:1", s.Index(i.Manifest))
		},
		"an index called manifest": func(s *storetest.Store, i storetest.Image) {
			i.Index.MediaType = i.Manifest.MediaType
			s.Refer("quay.io/a:1", i.Index)
		},
		"a manifest called index": func(s *storetest.Store, i storetest.Image) {
			i.Manifest.MediaType = i.Index.MediaType
			s.Refer("quay.io/a:1", i.Manifest)
		},
		"an index with layers": func(s *storetest.Store, i storetest.Image) {
			s.Refer("quay.io/a:1", s.JSON(ocispec.MediaTypeImageIndex, map[string]any{"manifests": []any{i.Manifest}, "layers": []any{i.Layer}}))
		},
		"a manifest with manifests": func(s *storetest.Store, i storetest.Image) {
			s.Refer("quay.io/a:1", s.JSON(ocispec.MediaTypeImageManifest, map[string]any{"config": i.Config, "manifests": []any{i.Manifest}}))
		},
		"an index of nothing": func(s *storetest.Store, i storetest.Image) { s.Refer("quay.io/a:1", s.Index(i.Absent)) },
		"indexes too deep": func(s *storetest.Store, i storetest.Image) {
			s.Lock.Images = append(s.Lock.Images, nest(s, imagespec.MaxIndexDepth+1))
		},
		"not in the lock":          func(s *storetest.Store, i storetest.Image) { s.Refer("quay.io/b:1", i.Index) },
		"in the lock only":         func(s *storetest.Store, i storetest.Image) { s.Remove("refs/quay.io/a/_tags/1.json") },
		"another digest in lock":   func(s *storetest.Store, i storetest.Image) { s.Lock.Images[0].Digest = someDigest },
		"another platform in lock": func(s *storetest.Store, i storetest.Image) { s.Lock.Images[0].Platforms[0].Digest = i.Absent.Digest },
	}
}

func TestEveryDifferenceIsNamed(t *testing.T) {
	made := storetest.New(t)
	first, second := made.Embed("quay.io/a:1", []byte("a")), made.Embed("quay.io/b:1", []byte("b"))
	made.Refer("quay.io/hidden:1", first.Index)
	made.Remove("refs/quay.io/b/_tags/1.json")
	made.Lock.Images = append(made.Lock.Images, lockedManifest("quay.io/c:1", second.Index, second.Manifest))
	for reader, err := range map[string]error{
		"a directory": storetest.Validate(t.Context(), rootOf(t, made), made.Lock), "layers": streamed(t, made),
	} {
		for _, want := range []string{"quay.io/hidden:1", "quay.io/b:1", "quay.io/c:1", "in the store, but not in the lock", "in the lock, but not in the store"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not name %s", reader, err, want)
			}
		}
	}
}

func TestImagesAreThereForThePlatform(t *testing.T) {
	made := storetest.New(t)
	made.Embed("quay.io/a:1", []byte("a"))
	made.Lock.Images[0].Platforms[0].Platform = "linux/arm64"
	if err := streamed(t, made); !errors.Is(err, imagespec.ErrInvalid) || !strings.Contains(err.Error(), "quay.io/a:1") {
		t.Errorf("an image that is locked for another platform: %v", err)
	}
	made.Lock.Images[0].Platforms[0].Platform = "linux/amd64/v2"
	if err := streamed(t, made); err != nil {
		t.Errorf("a variant: %v", err)
	}
}

func TestValidationCanBeStopped(t *testing.T) {
	made := storetest.New(t)
	made.Embed("quay.io/a:1", []byte("image"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := storetest.Validate(ctx, rootOf(t, made), made.Lock); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func FuzzStore(f *testing.F) {
	made := storetest.New(f)
	image := made.Embed("quay.io/a:1", []byte("image"))
	ref, err := os.ReadFile(filepath.Join(made.Dir, "refs/quay.io/a/_tags/1.json"))
	if err != nil {
		f.Fatal(err)
	}
	index, err := os.ReadFile(filepath.Join(made.Dir, made.BlobPath(image.Index)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ref, index, index)
	f.Fuzz(func(t *testing.T, ref, first, second []byte) {
		store := fstest.MapFS{
			"oci-layout":                  {Data: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
			"refs/quay.io/a/_tags/1.json": {Data: ref},
		}
		for _, blob := range [][]byte{first, second, []byte("image")} {
			name, err := imagespec.BlobPath(digest.FromBytes(blob))
			if err != nil {
				t.Fatal(err)
			}
			store[name] = &fstest.MapFile{Data: blob}
		}
		descriptor, err := imagespec.NewStore(store).Resolve("quay.io", "a", "1")
		valid := storetest.Validate(t.Context(), store, nil) == nil
		if valid && err != nil {
			t.Fatalf("a valid store does not resolve: %v", err)
		}
		// A reference to the first blob, whatever that is, must never be more than refused.
		top, err := json.Marshal(ocispec.Descriptor{MediaType: descriptor.MediaType, Digest: digest.FromBytes(first), Size: int64(len(first))})
		if err != nil {
			t.Fatal(err)
		}
		store["refs/quay.io/a/_tags/1.json"] = &fstest.MapFile{Data: top}
		if err := storetest.Validate(t.Context(), store, nil); err == nil {
			if _, err := imagespec.NewStore(store).Resolve("quay.io", "a", digest.FromBytes(first).String()); err != nil {
				t.Fatalf("a valid store does not find its own manifest: %v", err)
			}
		}
	})
}
