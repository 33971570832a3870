package imagespec_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
)

func locked(reference, content string, files ...string) imagespec.LockedImage {
	image := imagespec.LockedImage{
		Reference: reference, Digest: digest.FromString(content), MediaType: ocispec.MediaTypeImageManifest, Size: 1,
		Platforms: []imagespec.LockedPlatform{{Platform: "linux/amd64", Digest: digest.FromString(content)}},
		Found:     []imagespec.Finding{},
	}
	for _, file := range files {
		image.Found = append(image.Found, imagespec.Finding{File: file, Line: 1, Rule: "pod-spec", Class: imagespec.ClassCertain})
	}
	return image
}

func lockOf(images ...imagespec.LockedImage) *imagespec.Lock {
	lock := imagespec.NewLock("linux/amd64")
	lock.Images = images
	return lock
}

func TestLockComesBackAsItWas(t *testing.T) {
	lock := lockOf(locked("quay.io/b:1", "b", "b.yaml"), locked("docker.io/library/a:1", "a", "a.yaml"))
	file, err := lock.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	label, err := lock.Label()
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(label, "\n\t") {
		t.Errorf("the label is not compact: %s", label)
	}
	for _, data := range [][]byte{file, []byte(label)} {
		got, err := imagespec.ParseLock(data)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, lock) || got.Images[0].Reference != "docker.io/library/a:1" {
			t.Errorf("got %+v, want it sorted: %+v", got, lock)
		}
	}
}

func TestEmptyLockHasEmptyLists(t *testing.T) {
	label, err := imagespec.NewLock().Label()
	if want := `{"version":1,"platforms":[],"images":[]}`; err != nil || label != want {
		t.Errorf("got %s, %v", label, err)
	}
}

func TestMerge(t *testing.T) {
	base := lockOf(locked("quay.io/a:1", "old", "base.yaml", "both.yaml"), locked("quay.io/b:1", "b", "base.yaml"))
	own := lockOf(locked("quay.io/a:1", "new", "both.yaml", "own.yaml"), locked("quay.io/c:1", "c", "own.yaml"))
	want := lockOf(locked("quay.io/a:1", "new", "base.yaml", "both.yaml", "own.yaml"),
		locked("quay.io/b:1", "b", "base.yaml"), locked("quay.io/c:1", "c", "own.yaml"))
	merged := base.Merge(own)
	if !reflect.DeepEqual(merged, want) {
		t.Errorf("got  %+v\nwant %+v", merged, want)
	}
	if len(base.Images[0].Found) != 2 || len(own.Images[0].Found) != 2 {
		t.Error("merging changed what was merged")
	}
	if again := merged.Merge(own); !reflect.DeepEqual(again, merged) {
		t.Errorf("merging the same again gives %+v", again)
	}
	if image, ok := merged.Lookup("quay.io/b:1"); !ok || image.Digest != digest.FromString("b") {
		t.Errorf("looking up gives %v, %v", image, ok)
	}
}

func TestLocksThatAreRefused(t *testing.T) {
	good := examples(t)["lock"]
	for name, test := range map[string]struct{ old, new string }{
		"version":            {`"version": 1`, `"version": 2`},
		"no version":         {`"version": 1,`, ``},
		"two values":         {"\n}", "\n} {}"},
		"not JSON":           {`"version"`, `version`},
		"short name":         {`docker.io/kubernetesui/dashboard:v2.2.0`, `kubernetesui/dashboard:v2.2.0`},
		"no tag":             {`dashboard:v2.2.0`, `dashboard`},
		"bad name":           {`docker.io/kubernetesui`, `docker.io/../kubernetesui`},
		"digest":             {`"digest": "sha256:`, `"digest": "sha256:00`},
		"algorithm":          {`"digest": "sha256:`, `"digest": "sha512:`},
		"media type":         {`image.index.v1+json`, `image.config.v1+json`},
		"negative size":      {`"size": `, `"size": -`},
		"size of a fraction": {`"size": `, `"size": 0.`},
		"platform":           {`"platform": "linux/amd64"`, `"platform": "linux"`},
		"platform of lock": {`"platforms": [
    "linux/amd64"`, `"platforms": [
    "../amd64"`},
		"class":         {`"class": "certain"`, `"class": "sure"`},
		"negative line": {`"line": `, `"line": -`},
		"digest of a platform": {`"platform": "linux/amd64",
          "digest": "sha256:`, `"platform": "linux/amd64",
          "digest": "`},
	} {
		t.Run(name, func(t *testing.T) {
			bad := bytes.Replace(good, []byte(test.old), []byte(test.new), 1)
			if bytes.Equal(bad, good) {
				t.Fatal("the example has changed")
			}
			_, err := imagespec.ParseLock(bad)
			if !errors.Is(err, imagespec.ErrInvalid) && !errors.Is(err, imagespec.ErrVersion) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestLockIsRefusedForItsImages(t *testing.T) {
	noPlatform := locked("quay.io/a:1", "a")
	noPlatform.Platforms = nil
	for name, lock := range map[string]*imagespec.Lock{
		"twice":       lockOf(locked("quay.io/a:1", "a"), locked("quay.io/a:1", "b")),
		"not sorted":  lockOf(locked("quay.io/b:1", "a"), locked("quay.io/a:1", "b")),
		"no platform": lockOf(noPlatform),
	} {
		if err := lock.Validate(); !errors.Is(err, imagespec.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := imagespec.ParseLock(make([]byte, imagespec.MaxLockSize+1)); !errors.Is(err, imagespec.ErrInvalid) {
		t.Errorf("too large: got %v", err)
	}
}

func FuzzParseLock(f *testing.F) {
	f.Add(examples(f)["lock"])
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		lock, err := imagespec.ParseLock(data)
		if err != nil {
			return
		}
		file, err := lock.Marshal()
		if err != nil {
			t.Fatalf("a lock that was read cannot be written: %v", err)
		}
		again, err := imagespec.ParseLock(file)
		if err != nil {
			t.Fatalf("a lock that was written cannot be read: %v\n%s", err, file)
		}
		if merged := lock.Merge(again); merged.Validate() != nil || len(merged.Images) != len(lock.Images) {
			t.Fatalf("a lock merged with itself is another: %+v", merged)
		}
	})
}

func TestIgnoredImages(t *testing.T) {
	entry := imagespec.IgnoredImage{Reference: "quay.io/lab/debug:1", Reason: "for developers"}
	base, own := imagespec.NewLock("linux/amd64"), imagespec.NewLock("linux/amd64")
	base.Ignored = []imagespec.IgnoredImage{entry, {Reference: "quay.io/lab/a:1", Reason: "x"}}
	own.Images = []imagespec.LockedImage{{
		Reference: "quay.io/lab/a:1", Digest: digest.FromString("a"), MediaType: ocispec.MediaTypeImageManifest,
		Platforms: []imagespec.LockedPlatform{{Platform: "linux/amd64", Digest: digest.FromString("a")}},
	}}
	for _, merged := range []*imagespec.Lock{base.Merge(own), own.Merge(base)} {
		if len(merged.Ignored) != 1 || merged.Ignored[0].Reference != entry.Reference || merged.Validate() != nil {
			t.Errorf("ignored %+v (%v)", merged.Ignored, merged.Validate())
		}
	}
	for name, bad := range map[string][]imagespec.IgnoredImage{
		"short form": {{Reference: "debug", Reason: "x"}},
		"no reason":  {{Reference: entry.Reference}},
		"twice":      {entry, entry},
	} {
		lock := imagespec.NewLock("linux/amd64")
		lock.Ignored = bad
		if err := lock.Validate(); !errors.Is(err, imagespec.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
