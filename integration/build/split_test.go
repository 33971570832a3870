package build

import (
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/kubefile/kubefile/imagespec"
)

// TestRunLeavesTheImagesInTheRegistry: a RUN on a cluster image, and one on an image that was derived by RUN, pulls the rootfs layers
// of its base and none of the image layers; the result has all layers of the base.
func TestRunLeavesTheImagesInTheRegistry(t *testing.T) {
	first, _ := build(t, files{
		"Kubefile": "FROM scratch\nLABEL io.kubefile.kubernetes.version=v1.34.4\nCOPY a.yaml manifests/\nCMD first\n",
		"a.yaml":   pod("docker.io/library/redis:8", big),
	})
	references := []string{"docker.io/library/redis:8", big}
	base := first
	for i, app := range []string{"quay.io/lab/app:v1", "quay.io/lab/cni:v1", "docker.io/library/nginx:1.29"} {
		content := files{
			"Kubefile": "FROM " + base + "\nRUN test -e manifests/a.yaml && mkdir -p etc && touch etc/run" + strconv.Itoa(i) + "\nCOPY . manifests\n",
			"app.yaml": pod(app),
		}
		before := accessLog(t)
		ref := newName(t)
		buildOn(t, newBuilder(t), content.write(t), ref)
		log := accessLog(t)[len(before):]

		below, derived := pull(t, base, "linux/amd64"), pull(t, ref, "linux/amd64")
		references = append(references, app)
		derived.checkStore(t, references...)
		rootfs, images := below.split(t)
		for _, layer := range images {
			if n := downloaded(t, log, layer); n > 0 {
				t.Errorf("%d bytes of image layer %s were pulled", n, layer.Descriptor.Digest)
			}
		}
		if downloaded(t, log, rootfs[0]) == 0 {
			t.Error("the rootfs was not pulled, or the access log does not say")
		}
		ownRootfs, ownImages := derived.split(t)
		if !isPrefix(rootfs, ownRootfs) || !isPrefix(images, ownImages) {
			t.Errorf("the derived image has not the layers of its base")
		}
		base = ref
	}
}

// downloaded is how many bytes of the layer's blob the log says were sent.
func downloaded(t *testing.T, log string, layer imagespec.Layer) int {
	t.Helper()
	total := 0
	sent := regexp.MustCompile(`"GET /v2/[^"]*/` + layer.Descriptor.Digest.String() + ` HTTP/1.1" 20[06] (\d+)`)
	for _, match := range sent.FindAllStringSubmatch(log, -1) {
		n, err := strconv.Atoi(match[1])
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	return total
}

func isPrefix(prefix, layers []imagespec.Layer) bool {
	return len(layers) >= len(prefix) && slices.EqualFunc(prefix, layers[:len(prefix)], func(a, b imagespec.Layer) bool {
		return a.Descriptor.Digest == b.Descriptor.Digest && a.DiffID == b.DiffID
	})
}
