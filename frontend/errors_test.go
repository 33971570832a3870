package frontend_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/apicaps"
)

// places are the lines of the source that a client shows under an error.
func places(err error) string {
	var all []string
	for _, source := range errdefs.Sources(err) {
		for _, r := range source.Ranges {
			all = append(all, fmt.Sprintf("%s:%d-%d", source.Info.Filename, r.Start.Line, r.End.Line))
		}
	}
	return strings.Join(all, " ")
}

// TestErrorsNameTheirLines: an error of a build says what is wrong, and the client shows the lines that it comes from.
func TestErrorsNameTheirLines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const pipe = "FROM scratch\nCOPY a.yaml /\nCOPY a.yaml /etc/.wh.hosts\n"
	for name, tt := range map[string]struct {
		kubefile string
		at       string
		want     []string
	}{
		"unknown instruction":    {"FROM scratch\n\nUNKNOWN x\n", "Kubefile:3-3", []string{"unknown instruction: UNKNOWN"}},
		"no Kubefile":            {"", "Kubefile:0-0", []string{"file with no instructions"}},
		"missing file":           {"FROM scratch\nCMD a\nCMD b\nCOPY nothing /\n", "Kubefile:4-4", []string{`"/nothing": not found`}},
		"failing command":        {"FROM scratch\nCMD a \\\n  b\nRUN exit 7\n", "Kubefile:4-4", []string{"exit code: 7"}},
		"unknown program":        {"FROM scratch\nRUN [\"nosuchprogram\"]\n", "Kubefile:2-2", []string{"nosuchprogram"}},
		"missing secret":         {"FROM scratch\nRUN --mount=type=secret,id=none,required=true true\n", "Kubefile:2-2", []string{"secret none: not found"}},
		"secret of the frontend": {"FROM scratch\nRUN --mount=type=secret,id=kubefile.dockerconfig true\n", "Kubefile:2-2", []string{"the secret kubefile.dockerconfig is for the steps of the frontend only"}},
		"cache of the frontend":  {"FROM scratch\nRUN --mount=type=cache,id=kubefile/blobs,target=/c true\n", "Kubefile:2-2", []string{"the cache kubefile/blobs is for the steps of the frontend only"}},
		"unknown variable":       {"FROM scratch\nFROM --platform=${NONE} scratch\n", "Kubefile:2-2", []string{"empty platform"}},
		"unknown base":           {"# a comment\nFROM docker.io/library/none:v1\n", "Kubefile:2-2", []string{"docker.io/library/none:v1: not found"}},
		"unknown application":    {"FROM scratch\nCOPY a.yaml .\nLAUNCH nothing\n", "Kubefile:3-3", []string{"there is no application nothing"}},
		"nothing to start":       {"FROM scratch\nAPP a local://a.txt\nLAUNCH a\n", "Kubefile:3-3", []string{"nothing in applications/a can be started"}},
		"unknown flag":           {"FROM scratch\nAPP --chmod=1 a local://a.yaml\n", "Kubefile:2-2", []string{"APP: it has no flag --chmod, only --checksum"}},
		"before FROM":            {"LAUNCH a\nFROM scratch\n", "Kubefile:1-1", []string{"LAUNCH has to come after the first FROM"}},
		"another Kubernetes":     {"FROM scratch\nLABEL io.kubefile.kubernetes.version=v1.34.4\nKUBEVERSION 1.19.x\n", "Kubefile:3-3", []string{"Kubernetes v1.34.4 is not in the supported range 1.19.x"}},
		"no chart":               {"FROM scratch\nAPP a helm+http://127.0.0.1:1/charts/a@1\n", "Kubefile:2-2", []string{"fetching helm+http://127.0.0.1:1/charts/a@1"}},
		"variable in LAUNCH":     {"FROM scratch\nAPP a local://a.yaml\nLAUNCH --set=tag=$V a\n", "Kubefile:3-3", []string{"the variable V is not set"}},
		"whiteout":               {pipe, "Kubefile:3-3", []string{"hosts would refuse this image:", `"/etc/.wh.hosts"`}},
		"reserved name":          {"FROM scratch\nCOPY a.yaml /\nCOPY a.yaml /.kubefile/unpacked.json\n", "Kubefile:3-3", []string{`"/.kubefile/unpacked.json"`, "reserved"}},
		"of another stage":       {"FROM scratch AS a\nCOPY a.yaml /.kubefile/unpacked.json\nFROM scratch\nCOPY a.yaml /\nCOPY --from=a / /\n", "Kubefile:5-5", []string{`"/.kubefile/unpacked.json"`, "reserved"}},
		"NUL in a command":       {"FROM scratch\nCOPY a.yaml /\nCMD true\nCMD [\"echo\", \"a\\u0000b\"]\n", "Kubefile:4-4", []string{"NUL"}},
		"no program":             {"FROM scratch\nCOPY a.yaml /\nCMD [\"\", \"b\"]\n", "Kubefile:3-3", []string{"program"}},
		"no version":             {"FROM scratch\nLABEL io.kubefile.kubernetes.version=new\nCOPY a.yaml /\n", "", []string{"io.kubefile.kubernetes.version", `"new"`}},
		"unknown format":         {"FROM scratch\nLABEL io.kubefile.version=99\nCOPY a.yaml /\n", "", []string{"reading the config of the base image and the labels"}},
		"the embedded store":     {"FROM scratch\nCOPY a.txt registry/refs/x\n", "", []string{"registry/refs", "only the build itself adds to them"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := w.fails(t, files{"Kubefile": tt.kubefile, "a.yaml": "a: 1\n", "a.txt": "x"}, request{})
			if at := places(err); at != tt.at {
				t.Errorf("got the place %q, want %q: %v", at, tt.at, err)
			}
			contains(t, "the error", err.Error(), tt.want...)
		})
	}
}

// TestUnresolvableImages: all of them at once, with every place that names them, and what to do.
func TestUnresolvableImages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	err := w.fails(t, files{
		"Kubefile":         "FROM scratch\nCOPY manifests manifests\n",
		"manifests/a.yaml": pod("docker.io/library/none:v1"),
		"manifests/b.yaml": "# a comment\n" + pod("docker.io/library/none:v1") + "---\n" + pod("gcr.io/lab/neither:v2") + "---\n" + pod("quay.io/lab/tool:v1"),
	}, request{})
	const want = `2 images cannot be embedded:
manifests/a.yaml:8: docker.io/library/none:v1 (pod-spec)
manifests/b.yaml:9: docker.io/library/none:v1 (pod-spec)
    resolving it for linux/amd64: failed to resolve source metadata for docker.io/library/none:v1: docker.io/library/none:v1: not found
manifests/b.yaml:18: gcr.io/lab/neither:v2 (pod-spec)
    resolving it for linux/amd64: failed to resolve source metadata for gcr.io/lab/neither:v2: gcr.io/lab/neither:v2: not found
Correct or remove these references in the files, or ignore them with a reason in .kubefile.yaml (and platforms, where only some lack them); for images of a private registry, log in to it (docker login) and build again.`
	if err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// TestRequestsThatAreRefused: before anything is built.
func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	opts := func(name, value string) request { return request{opts: map[string]string{name: value}} }
	for name, tt := range map[string]struct {
		request
		want string
	}{
		"BuildKit before 0.11":   {request{without: []apicaps.CapID{pb.CapSourceDateEpoch}}, "this BuildKit is too old for Kubefiles: 0.11 or later is needed"},
		"unknown capability":     {opts("frontend.caps", "moby.buildkit.frontend.flying"), "moby.buildkit.frontend.flying"},
		"mirrors without URL":    {opts("build-arg:KUBEFILE_MIRRORS", "docker.io"), `build argument KUBEFILE_MIRRORS: "docker.io" is not of the form`},
		"platform":               {opts("platform", "linux/amd64/x/y"), "linux/amd64/x/y"},
		"frozen":                 {opts("build-arg:KUBEFILE_FROZEN", "maybe"), `build argument KUBEFILE_FROZEN: "maybe" is neither 0 nor 1`},
		"layers":                 {opts("build-arg:KUBEFILE_LAYERS", "none"), "build argument KUBEFILE_LAYERS"},
		"no lock":                {opts("build-arg:KUBEFILE_FROZEN", "1"), "the build context has no images.lock.json, which KUBEFILE_FROZEN or KUBEFILE_LOCK require"},
		"no lock at that place":  {opts("build-arg:KUBEFILE_LOCK", "pins/site.json"), "the build context has no pins/site.json"},
		"unknown stage":          {opts("target", "none"), "target stage \"none\" could not be found"},
		"unknown file":           {opts("filename", "Clusterimage"), "Clusterimage"},
		"unknown subrequest":     {opts("requestid", "frontend.fly"), "frontend.fly"},
		"no scanner":             {opts("attest:sbom", "generator=quay.io/lab/scanner:v1"), "quay.io/lab/scanner:v1: not found"},
		"scanner without a name": {opts("attest:sbom", "generator="), "failed to parse sbom scanner"},
	} {
		t.Run(name, func(t *testing.T) {
			err := w.fails(t, files{"Kubefile": "FROM scratch\nCOPY Kubefile /\n"}, tt.request)
			contains(t, "the error", err.Error(), tt.want)
		})
	}
}
