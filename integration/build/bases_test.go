//go:build lab

package build

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/imagespec"
)

// TestOddBases: for every unusual config of a base, all layers are accounted for, and only those with images are marked.
func TestOddBases(t *testing.T) {
	t.Parallel()
	redis := files{"a.yaml": pod("docker.io/library/redis:8")}
	kubefile := func(text string) files { return files{"Kubefile": text, "a.yaml": redis["a.yaml"]} }

	layer := filepath.Join(t.TempDir(), "layer.tar")
	if err := os.WriteFile(layer, []byte(tarball(t, "etc/base", "x")), 0o644); err != nil {
		t.Fatal(err)
	}
	silent := newName(t) // an image without history
	if output, err := run(t, tool("crane"), "append", "--insecure", "--platform", "linux/amd64", "-f", layer, "-t", silent); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if output, err := run(t, tool("crane"), "mutate", "--insecure", "--set-platform", "linux/amd64", "-t", silent, silent); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	directory := files{"etc/base": "x"}.write(t)

	for name, tt := range map[string]struct {
		context files
		args    []string
		rootfs  int // layers with the runner and the lock file
	}{
		"nothing but images":    {kubefile("FROM scratch\nCOPY a.yaml /\n"), nil, 3},
		"a directory":           {kubefile("FROM base\nCOPY a.yaml /\n"), []string{"--build-context", "base=" + directory}, 4},
		"a replaced stage":      {kubefile("FROM debian AS base\nCMD old\nFROM base\nCOPY a.yaml /\n"), []string{"--build-context", "base=" + directory}, 4},
		"an ordinary image":     {kubefile("FROM docker.io/library/busybox:latest\nRUN true\nCOPY a.yaml /\n"), nil, -1},
		"an image by context":   {kubefile("FROM base\nCOPY a.yaml /\n"), []string{"--build-context", "base=docker-image://docker.io/library/busybox:latest"}, -1},
		"an image with nothing": {kubefile("FROM " + silent + "\nCOPY a.yaml /\n"), nil, 4},
	} {
		t.Run(name, func(t *testing.T) {
			ref, _ := build(t, tt.context, tt.args...)
			image := pull(t, ref, "linux/amd64")
			rootfs, images := image.split(t)
			if tt.rootfs >= 0 && len(rootfs) != tt.rootfs {
				t.Errorf("%d layers of the rootfs, want %d", len(rootfs), tt.rootfs)
			}
			if len(images) != 1 {
				t.Errorf("%d image layers", len(images))
			}
			for _, l := range images {
				for _, e := range image.entries(t, l.Descriptor) {
					if e.Typeflag == tar.TypeReg && !strings.HasPrefix(e.Name, "registry/") {
						t.Errorf("an image layer holds %s", e.Name)
					}
				}
			}
			if d := image.describe(t); d.Kind != imagespec.KindApp || len(d.Commands) != 0 {
				t.Errorf("kind %q, commands %q", d.Kind, d.Commands)
			}
		})
	}
}

// TestNoLayersOfItsOwn: a Kubefile may add nothing but a command.
func TestNoLayersOfItsOwn(t *testing.T) {
	t.Parallel()
	alone, _ := build(t, files{"Kubefile": "FROM scratch\nCMD kubectl run x --image=docker.io/library/redis:8\n"})
	pull(t, alone, "linux/amd64").checkStore(t, "docker.io/library/redis:8")
	onBase, _ := build(t, files{"Kubefile": "FROM " + base(t) + "\nCMD kubectl run x --image=docker.io/library/redis:8\n"})
	pull(t, onBase, "linux/amd64").checkStore(t, "docker.io/library/redis:8", "quay.io/lab/cni:v1")
}

func TestBaseOfEveryPlatform(t *testing.T) {
	t.Parallel()
	base, _ := build(t, files{
		"Kubefile": "FROM scratch\nLABEL io.kubefile.kubernetes.version=v1.34.4\nCOPY a.yaml /\nCMD first\n",
		"a.yaml":   pod("docker.io/library/redis:8"),
	}, "--platform", "linux/amd64,linux/arm64")
	ref, _ := build(t, files{
		"Kubefile": "FROM " + base + "\nCOPY b.yaml /\nCMD second\n",
		"b.yaml":   pod("quay.io/lab/app:v1"),
	}, "--platform", "linux/amd64,linux/arm64")
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		image := pull(t, ref, platform)
		image.checkStore(t, "docker.io/library/redis:8", "quay.io/lab/app:v1")
		for _, locked := range image.describe(t).Lock.Images {
			if len(locked.Platforms) != 1 || locked.Platforms[0].Platform != platform {
				t.Errorf("%s on %s is for %+v", locked.Reference, platform, locked.Platforms)
			}
		}
	}
}

// TestAppBecomesCluster: the kind follows the Kubernetes version, also when the base had none.
func TestAppBecomesCluster(t *testing.T) {
	t.Parallel()
	app, _ := build(t, files{"Kubefile": "FROM scratch\nCMD a\n"})
	ref, _ := build(t, files{"Kubefile": "FROM " + app + "\nLABEL io.kubefile.kubernetes.version=v1.34.4\n"})
	if d := pull(t, ref, "linux/amd64").describe(t); d.Kind != imagespec.KindCluster || d.KubernetesVersion != "v1.34.4" {
		t.Errorf("kind %q, Kubernetes %q", d.Kind, d.KubernetesVersion)
	}
}

func TestProblemsOfDiscoveryFailTheBuild(t *testing.T) {
	t.Parallel()
	output := fails(t, files{
		"Kubefile":                       "FROM scratch\nCOPY charts /charts\nCMD helm install x charts/needy\n",
		"charts/needy/Chart.yaml":        "apiVersion: v2\nname: needy\nversion: 1.0.0\n",
		"charts/needy/templates/pod.yml": "image: {{ required \"the image is needed\" .Values.image }}\n",
	})
	contains(t, output, "charts/needy", "the image is needed")
}
