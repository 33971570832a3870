package frontend_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/apicaps"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/frontend"
	"github.com/kubefile/kubefile/frontend/gatewaytest"
	"github.com/kubefile/kubefile/imagespec"
)

var amd64 = ocispec.Platform{OS: "linux", Architecture: "amd64"}

// TestDaemonsThatCanDoLess: the result is the same, base, RUN and copies included. Where BuildKit cannot fetch blobs, a warning says what that
// means.
func TestDaemonsThatCanDoLess(t *testing.T) {
	t.Parallel()
	for name, without := range map[string][]apicaps.CapID{
		"no merge":       {pb.CapMergeOp, pb.CapDiffOp},
		"no diff":        {pb.CapDiffOp},
		"no layer limit": {pb.CapSourceImageLayerLimit},
		"no blobs":       {pb.CapSourceImageBlob},
		"the oldest":     {pb.CapSourceImageBlob, pb.CapSourceImageLayerLimit, pb.CapMergeOp, pb.CapDiffOp},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			base := w.build(t, files{
				"Kubefile": "FROM scratch\nLABEL io.kubefile.kubernetes.version=v1.34.4\nCOPY a.yaml manifests/\nCMD first\n",
				"a.yaml":   pod("docker.io/library/redis:7"),
			}, request{without: without})
			equal(t, "embedded", base.references(t), []string{"docker.io/library/redis:7"})
			w.registry.Push(t, baseRef, base.Image)
			derived := w.build(t, files{
				"Kubefile": "FROM " + baseRef + "\nCOPY b.yaml manifests\nRUN test -e manifests/a.yaml && echo seen > seen\nCMD second\n",
				"b.yaml":   pod("docker.io/library/nginx:1.27"),
			}, request{without: without})
			equal(t, "embedded", derived.references(t), []string{"docker.io/library/nginx:1.27", "docker.io/library/redis:7"})
			equal(t, "commands", derived.commands(t), []string{"first", "second"})
			if got := derived.read(t, "seen"); got != "seen\n" {
				t.Errorf("RUN left %q", got)
			}
			warned := strings.Contains(derived.warned(), "this BuildKit is older than 0.28 and cannot fetch the blobs of images itself")
			if want := without[0] == pb.CapSourceImageBlob; warned != want {
				t.Errorf("warned of an older BuildKit: %v, want %v\n%s", warned, want, derived.warned())
			}
		})
	}
}

// TestManifestsThatTheStepCannotRead: BuildKit reads them as blobs where a registry serves them so; else the error says what to add to the build.
func TestManifestsThatTheStepCannotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const reference = "localhost/lab/app:v1" // where nothing listens
	w.push(t, reference, "amd64", "arm64")
	context := files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod(reference) + "---\n" + pod("docker.io/library/nginx:1.27")}
	err := w.fails(t, context, request{})
	contains(t, "the error", err.Error(), "an image cannot be embedded:\na.yaml:8: localhost/lab/app:v1 (pod-spec)\n    fetching its manifest: ",
		"--build-arg KUBEFILE_MIRRORS=localhost=https://MIRROR")
	if strings.Contains(err.Error(), "nginx") {
		t.Errorf("an image that could be fetched is in the error: %v", err)
	}

	private := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="lab"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(private.Close)
	mirrors := w.registry.Mirrors("docker.io") + ",localhost=" + private.URL
	err = w.fails(t, context, arg("KUBEFILE_MIRRORS", mirrors))
	contains(t, "the error", err.Error(), "a.yaml:8: localhost/lab/app:v1", "--secret id=kubefile.dockerconfig,src=$HOME/.docker/config.json")

	w.registry.ServeAsBlobs(t, reference, amd64)
	b := w.build(t, context, request{})
	equal(t, "embedded", b.references(t), []string{"docker.io/library/nginx:1.27", reference})

	err = w.fails(t, context, request{without: []apicaps.CapID{pb.CapSourceImageBlob}})
	contains(t, "the error of a BuildKit without blobs", err.Error(), "a.yaml:8: localhost/lab/app:v1")
}

// TestMissingBlob: the error of a blob names the images that want it.
func TestMissingBlob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const reference = "quay.io/lab/incomplete:v1"
	content := []byte("layer of " + reference)
	layer := digest.FromBytes(content)
	w.registry.Push(t, reference, image("amd64", content))
	w.registry.Remove(t, "quay.io/lab/incomplete", layer)
	err := w.fails(t, files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod("docker.io/library/nginx:1.27") + "---\n" + pod(reference)}, request{})
	contains(t, "the error", err.Error(), "an image cannot be embedded:\na.yaml:17: quay.io/lab/incomplete:v1 (pod-spec)\n    fetching its blob "+layer.String())
}

// TestWhichFrontend: the steps of a build run in the image that the daemon started as frontend.
func TestWhichFrontend(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	named := w.frontend
	w.frontend = ""
	context := files{"Kubefile": "FROM scratch\nCOPY Kubefile /etc/\n"}
	contains(t, "the error", w.fails(t, context, request{}).Error(), "BuildKit does not report the image of this frontend: set the option source")
	b := w.build(t, context, request{opts: map[string]string{"source": named}})
	if got := b.read(t, ".kubefile/sealer-run"); got != "runner for amd64" {
		t.Errorf("the runner is %q", got)
	}
	contains(t, "the error", w.fails(t, context, request{opts: map[string]string{"source": "quay.io/lab/tool:v1"}}).Error(), "/frontend")
}

// TestLargeConfig: a registry would not take it.
func TestLargeConfig(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	large := image("amd64", gatewaytest.Layer(t, files{"x": "x"}))
	large.Config.Config.Labels = map[string]string{"large": strings.Repeat("x", imagespec.MaxManifestSize-1000)}
	w.registry.Push(t, "quay.io/lab/large:v1", large)
	err := w.fails(t, files{"Kubefile": "FROM quay.io/lab/large:v1\nCMD x\n"}, request{})
	contains(t, "the error", err.Error(), "the image config would have", "split the Kubefile into several images")
}

// TestCommands: what a Kubefile runs, without a build.
func TestCommands(t *testing.T) {
	t.Parallel()
	dir := files{"applications/web/web.yaml": pod("docker.io/library/nginx:1.27")}
	root := dir.fs()
	got, err := frontend.Commands([]byte("FROM scratch\nCMD first\nAPP web local://web.yaml\nLAUNCH web\n"), root)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "commands", got, []string{"first", "kubectl apply -f applications/web/web.yaml"})
	if _, err := frontend.Commands([]byte("FROM scratch\nNONE\n"), root); err == nil {
		t.Error("an unknown instruction is no error")
	}
}
