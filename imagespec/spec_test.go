package imagespec_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/imagespec/storetest"
)

// examples returns the JSON examples of SPEC.md by the name after "```json".
func examples(t testing.TB) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]byte{}
	for _, match := range regexp.MustCompile("(?ms)^```json ([a-z-]+)\n(.*?)\n```$").FindAllSubmatch(text, -1) {
		found[string(match[1])] = match[2]
	}
	return found
}

func decode[T any](t testing.TB, data []byte) T {
	t.Helper()
	var value T
	if err := json.Unmarshal(data, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestExamplesDescribeAnImage(t *testing.T) {
	example := examples(t)
	config := decode[ocispec.Image](t, example["config"])
	description, err := imagespec.Describe(config)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := imagespec.ParseLock(example["lock"])
	if err != nil {
		t.Fatal(err)
	}
	want := &imagespec.Description{
		Kind: imagespec.KindCluster, KubernetesVersion: "v1.34.4", Commands: decode[[]imagespec.Command](t, example["commands"]),
		Lock: lock, Env: []string{"POD_CIDR=10.244.0.0/16"}, WorkingDir: ".", Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"},
	}
	if !reflect.DeepEqual(description, want) {
		t.Errorf("the example is\n%+v, not\n%+v", description, want)
	}

	config.Config.Labels[imagespec.LabelApps] = string(example["apps"])
	if description, err = imagespec.Describe(config); err != nil || !reflect.DeepEqual(description.Apps, decode[[]imagespec.App](t, example["apps"])) {
		t.Errorf("the example's apps are %+v (%v)", description, err)
	}

	manifest := decode[ocispec.Manifest](t, example["manifest"])
	if d := digest.FromBytes(example["config"]); manifest.Config.Digest != d || manifest.Config.Size != int64(len(example["config"])) {
		t.Errorf("the manifest's config is not the example, %s of %d bytes", d, len(example["config"]))
	}
	rootfs, images, err := imagespec.ImageLayers(manifest, config)
	if err != nil {
		t.Fatal(err)
	}
	if len(rootfs) != 3 || len(images) != 1 || images[0].Descriptor.Digest != manifest.Layers[3].Digest {
		t.Errorf("the last of four layers is for images, not %v of %v", images, rootfs)
	}
}

func TestExamplesMakeAStore(t *testing.T) {
	example := examples(t)
	store := fstest.MapFS{"oci-layout": {Data: []byte(`{"imageLayoutVersion":"1.0.0"}`)}}
	for _, blob := range [][]byte{example["index"], example["embedded-manifest"], []byte("config\n"), []byte("layer\n")} {
		name, err := imagespec.BlobPath(digest.FromBytes(blob))
		if err != nil {
			t.Fatal(err)
		}
		store[name] = &fstest.MapFile{Data: blob}
	}
	store["refs/docker.io/kubernetesui/dashboard/_tags/v2.2.0.json"] = &fstest.MapFile{Data: example["ref"]}
	lock, err := imagespec.ParseLock(example["lock"])
	if err != nil {
		t.Fatal(err)
	}
	if err := storetest.Validate(t.Context(), store, lock); err != nil {
		t.Error(err)
	}
	var size int64
	for name, file := range store {
		if path.Dir(name) == "blobs/sha256" {
			size += int64(len(file.Data))
		}
	}
	if lock.Images[0].Size != size {
		t.Errorf("the lock says %d bytes, the store has %d", lock.Images[0].Size, size)
	}
}

func TestSpecificationHasTheReadersLimits(t *testing.T) {
	text, err := os.ReadFile("SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := bytes.Cut(text, []byte("## 8. Limits"))
	limits := regexp.MustCompile(`(?m)^\| [^|]+ \| (\d+)( MiB| KiB| levels)?\b.*\|$`).FindAllSubmatch(section, -1)
	var got []string
	for _, limit := range limits {
		got = append(got, string(limit[1])+string(limit[2]))
	}
	if want := []string{"4 MiB", "16 MiB", "64 KiB", "4 levels", "500", "4096", "96 KiB", "128 MiB", "128 KiB"}; !slices.Equal(got, want) {
		t.Fatalf("the table has %q, this test knows %q", got, want)
	}
	if imagespec.MaxManifestSize != 4<<20 || imagespec.MaxLockSize != 16<<20 || imagespec.MaxIndexDepth != 4 || imagespec.MaxLayers != 500 ||
		imagespec.MaxTreeSize != 128<<10 || imagespec.MaxTreeEntries != 20000 {
		t.Error("the reader has other limits than the specification")
	}
}
