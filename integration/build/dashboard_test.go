//go:build lab

package build

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/imagespec"
)

var dashboardImages = []string{"docker.io/kubernetesui/dashboard:v2.2.0", "docker.io/kubernetesui/metrics-scraper:v1.0.6"}

// base is a small base image: Kubernetes by its label, an image, a program.
func base(t *testing.T) string {
	t.Helper()
	ref, _ := build(t, files{
		"Kubefile": `FROM scratch
LABEL io.kubefile.kubernetes.version=v1.34.4
COPY scripts /scripts
COPY manifests /manifests
CMD kubectl apply -f manifests/cni.yaml
`,
		"scripts/init.sh":    "echo init\n",
		"manifests/cni.yaml": pod("quay.io/lab/cni:v1"),
	})
	return ref
}

// pod is a manifest with one container per image.
func pod(images ...string) string {
	text := "apiVersion: v1\nkind: Pod\nmetadata:\n  name: pod\nspec:\n  containers:\n"
	for _, image := range images {
		text += "  - name: c\n    image: " + image + "\n"
	}
	return text
}

// dashboard builds the example unchanged; the base and the URL are given by options, as a user would.
func dashboard(t *testing.T, base string) image {
	t.Helper()
	kubefile, err := os.ReadFile("../../examples/dashboard/Kubefile")
	if err != nil {
		t.Fatal(err)
	}
	ref, output := build(t, files{"Kubefile": string(kubefile)},
		"--build-context", "kubernetes:v1.34.4=docker-image://"+base,
		"--build-arg", "URL=http://"+lab.Upstream+"/files/dashboard/recommended.yaml")
	if strings.Contains(output, "WARN") {
		t.Errorf("the example gives warnings:\n%s", output)
	}
	return pull(t, ref, "linux/amd64")
}

func TestDashboard(t *testing.T) {
	t.Parallel()
	image := dashboard(t, base(t))
	image.checkStore(t, append(dashboardImages, "quay.io/lab/cni:v1")...)

	d := image.describe(t)
	if d.Kind != imagespec.KindCluster || d.KubernetesVersion != "v1.34.4" {
		t.Errorf("kind %q, Kubernetes %q", d.Kind, d.KubernetesVersion)
	}
	found := d.Lock.Images[0].Found
	if len(found) != 1 || found[0].File != "recommended.yaml" || found[0].Line != 190 || found[0].Class != imagespec.ClassCertain {
		t.Errorf("found at %+v", found)
	}
	var lock imagespec.Lock
	decode(t, []byte(image.file(t, imagespec.LockPath)), &lock)
	if label, err := lock.Label(); err != nil || label != image.config.Config.Labels[imagespec.LabelImages] {
		t.Errorf("lock file and label differ: %v", err)
	}
	image.file(t, imagespec.RunnerPath)
}

func TestLayersAreMarkedByWhatTheyHold(t *testing.T) {
	t.Parallel()
	image := dashboard(t, base(t))
	rootfs, images := image.split(t)
	if len(images) != 2 { // small images: one packed layer of base and example each
		t.Errorf("%d image layers", len(images))
	}
	for _, l := range images {
		for _, e := range image.entries(t, l.Descriptor) {
			if e.Name != "registry/" && !strings.HasPrefix(e.Name, "registry/blobs/") &&
				!strings.HasPrefix(e.Name, "registry/refs/") && e.Name != "registry/oci-layout" {
				t.Errorf("an image layer holds %s", e.Name)
			}
			if e.Uid != 0 || e.Gid != 0 || e.ModTime.Unix() != 0 || e.Mode&0o777 != 0o644 && e.Mode&0o777 != 0o755 {
				t.Errorf("%s has owner %d:%d, mode %o, time %s", e.Name, e.Uid, e.Gid, e.Mode, e.ModTime)
			}
		}
	}
	for _, l := range rootfs {
		for _, name := range names(image.entries(t, l.Descriptor)) {
			if strings.HasPrefix(name, "registry/blobs") || strings.HasPrefix(name, "registry/refs") {
				t.Errorf("a layer that is not marked holds %s", name)
			}
		}
	}
}

func TestToolboxLeavesNothing(t *testing.T) {
	t.Parallel()
	image := dashboard(t, base(t))
	var layers [][]string
	for _, l := range image.manifest.Layers {
		layers = append(layers, names(image.entries(t, l)))
	}
	// BuildKit itself leaves the directories it mounts below every RUN.
	if want := []string{"dev/", "proc/", "recommended.yaml", "sys/"}; !slices.ContainsFunc(layers, func(l []string) bool { return slices.Equal(l, want) }) {
		t.Errorf("no layer is %q: %q", want, layers)
	}
	config, err := json.Marshal(image.config)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(config), "toolbox") || strings.Contains(strings.Join(slices.Concat(layers...), " "), "toolbox") {
		t.Errorf("the toolbox has left traces:\n%s\n%q", config, layers)
	}
}
