package frontend_test

import (
	"testing"

	"github.com/kubefile/kubefile/imagespec"
)

// TestBuild: files, commands and the images that they need, from a directory to an image that a site reads.
func TestBuild(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.build(t, files{
		"Kubefile":   "FROM scratch\nLABEL io.kubefile.kubernetes.version=v1.34.4\nCOPY web.yaml manifests\nENV MODE=small\nRUN echo made > note\nCMD kubectl apply -f manifests/web.yaml\n",
		"web.yaml":   pod("nginx:1.27"),
		"other.yaml": pod("docker.io/library/redis:7"),
	}, request{})
	equal(t, "embedded", b.references(t), []string{"docker.io/library/nginx:1.27"})
	equal(t, "commands", b.commands(t), []string{"kubectl apply -f manifests/web.yaml"})
	d := b.describe(t)
	if d.Kind != imagespec.KindCluster || d.KubernetesVersion != "v1.34.4" {
		t.Errorf("got %s of Kubernetes %s, want a cluster of v1.34.4", d.Kind, d.KubernetesVersion)
	}
	found := d.Lock.Images[0].Found
	if len(found) != 1 || found[0].File != "manifests/web.yaml" || found[0].Line != 8 {
		t.Errorf("the lock says that the image was found at %+v, want manifests/web.yaml:8", found)
	}
	if got := b.read(t, imagespec.RunnerPath); got != "runner for amd64" {
		t.Errorf("the runner is %q", got)
	}
	if got := b.read(t, "note"); got != "made\n" {
		t.Errorf("RUN left %q", got)
	}
	if n := len(b.Config.History); n < len(b.Layers) {
		t.Errorf("%d layers have %d history entries", len(b.Layers), n)
	}
	if warned := b.warned(); warned != "" {
		t.Errorf("warnings: %s", warned)
	}
}
