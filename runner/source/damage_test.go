package source_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
)

// TestTruncatedAnywhere cuts every kind of archive at many places.
func TestTruncatedAnywhere(t *testing.T) {
	for form, image := range sourcetest.Forms(t) {
		whole, err := os.ReadFile(image)
		if err != nil || !strings.HasSuffix(image, ".tar") {
			continue
		}
		t.Run(form, func(t *testing.T) {
			cut := filepath.Join(t.TempDir(), "cut.tar")
			for _, size := range offsets(len(whole)) {
				if err := os.WriteFile(cut, whole[:size], 0o644); err != nil {
					t.Fatal(err)
				}
				if err := openAndVerify(t, cut); !errors.Is(err, source.ErrDamaged) || !strings.Contains(err.Error(), cut) {
					t.Fatalf("cut to %d of %d bytes: %v", size, len(whole), err)
				}
			}
		})
	}
}

// TestFlippedBits changes one bit of an archive at many places. What no digest
// covers (names in headers that nobody asks for, padding) may pass; then what is
// read must be what was written.
func TestFlippedBits(t *testing.T) {
	for form, image := range sourcetest.Forms(t) {
		whole, err := os.ReadFile(image)
		if err != nil || !strings.HasSuffix(image, ".tar") {
			continue
		}
		want := open(t, image)
		t.Run(form, func(t *testing.T) {
			flipped := filepath.Join(t.TempDir(), "flipped.tar")
			found := 0
			places := offsets(len(whole))
			for i, at := range places {
				data := bytes.Clone(whole)
				data[at] ^= 1 << (i % 8)
				if err := os.WriteFile(flipped, data, 0o644); err != nil {
					t.Fatal(err)
				}
				if err := openAndVerify(t, flipped); err != nil {
					found++
					if !strings.Contains(err.Error(), flipped) {
						t.Fatalf("bit flipped in byte %d: %v", at, err)
					}
					continue
				}
				got := open(t, flipped)
				if got.Digest != want.Digest {
					t.Fatalf("bit flipped in byte %d: digest %s instead of %s", at, got.Digest, want.Digest)
				}
			}
			if found < len(places)/4 {
				t.Errorf("only %d of %d flipped bits were found", found, len(places))
			}
		})
	}
}

// offsets are some 200 places in a file, the last bytes among them.
func offsets(size int) []int {
	var all []int
	for at := 0; at < size; at += max(1, size/199) {
		all = append(all, at)
	}
	return append(all, size-1, size-2, size-511, size-512, size-1000)
}

func openAndVerify(t *testing.T, image string) error {
	artifact, err := source.Open(t.Context(), image, source.Options{Platform: platform})
	if err != nil {
		return err
	}
	defer artifact.Close()
	return artifact.Verify(t.Context(), nil)
}

// TestLayoutWithChangedBlob changes each blob of a layout directory in turn.
func TestLayoutWithChangedBlob(t *testing.T) {
	dir := t.TempDir()
	sourcetest.Layout(t, dir, []string{"amd64"}, sourcetest.Layers(t)...)
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
	if err != nil || len(blobs) == 0 {
		t.Fatal(blobs, err)
	}
	for _, blob := range blobs {
		whole, err := os.ReadFile(blob)
		if err != nil {
			t.Fatal(err)
		}
		changes := map[string][]byte{"longer": append(bytes.Clone(whole), 'x'), "shorter": whole[:len(whole)-1], "other": bytes.Clone(whole)}
		changes["other"][len(whole)/2] ^= 4
		for name, data := range changes {
			if err := os.WriteFile(blob, data, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := openAndVerify(t, dir); !errors.Is(err, source.ErrDamaged) {
				t.Errorf("%s blob %s: %v", name, filepath.Base(blob), err)
			}
		}
		if err := os.WriteFile(blob, whole, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
