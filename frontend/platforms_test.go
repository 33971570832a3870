package frontend_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/solver/result"
	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/frontend"
	"github.com/kubefile/kubefile/frontend/gatewaytest"
	"github.com/kubefile/kubefile/imagespec"
)

var bothPlatforms = map[string]string{"platform": "linux/amd64,linux/arm64"}

// buildAll builds a context for several platforms.
func (w *world) buildAll(t *testing.T, context files, r request) (map[string]built, *client.Result) {
	t.Helper()
	g := w.gateway(t, context, r)
	res, err := frontend.Build(t.Context(), g)
	if err != nil {
		t.Fatalf("the build failed: %v", err)
	}
	images := map[string]built{}
	for platform, image := range g.Export(t, res) {
		images[platform] = built{Image: image, gateway: g, result: res}
	}
	return images, res
}

// TestPlatforms: each platform has its own images and its own runner; what one of them lacks can be left out there.
func TestPlatforms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(t, "quay.io/lab/single:v1", "amd64")
	context := files{
		"Kubefile": "FROM --platform=$BUILDPLATFORM scratch AS tools\nARG TARGETARCH\nRUN echo $TARGETARCH > /arch\n" +
			"FROM scratch\nCOPY --from=tools /arch /\nCOPY a.yaml /\n",
		"a.yaml": pod("quay.io/lab/tool:v1") + "---\n" + pod("quay.io/lab/single:v1"),
	}
	err := w.fails(t, context, request{opts: bothPlatforms})
	contains(t, "the error", err.Error(), "a.yaml:17: quay.io/lab/single:v1 (pod-spec)\n    it is an image for linux/amd64, and linux/arm64 is built")

	context[".kubefile.yaml"] = "images:\n  ignore:\n  - {image: quay.io/lab/single, reason: there is none, platforms: [linux/arm64]}\n"
	images, res := w.buildAll(t, context, request{opts: bothPlatforms})
	for platform, want := range map[string][]string{
		"linux/amd64": {"quay.io/lab/single:v1", "quay.io/lab/tool:v1"},
		"linux/arm64": {"quay.io/lab/tool:v1"},
	} {
		b := images[platform]
		equal(t, "embedded for "+platform, b.references(t), want)
		equal(t, "platforms of the lock", b.describe(t).Lock.Platforms, []string{platform})
		arch := strings.TrimPrefix(platform, "linux/")
		if got := b.read(t, imagespec.RunnerPath); got != "runner for "+arch {
			t.Errorf("%s: the runner is %q", platform, got)
		}
		if got := b.read(t, "arch"); got != arch+"\n" {
			t.Errorf("%s: the stage was built for %q", platform, got)
		}
	}
	if len(res.Attestations) != 0 {
		t.Errorf("attested without being asked: %v", res.Attestations)
	}
}

// TestBaseOfAnotherPlatform: embedded images of a base are for its platform, and so is what is built on it.
func TestBaseOfAnotherPlatform(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.kubernetes(t) // for linux/amd64
	const want = "the base image is a cluster image for linux/amd64, and linux/arm64 is built"
	arm := map[string]string{"platform": "linux/arm64"}
	for _, from := range []string{"FROM --platform=linux/amd64 " + baseRef, "FROM " + baseRef} {
		contains(t, from, w.fails(t, files{"Kubefile": from + "\nCOPY Kubefile /x\n"}, request{opts: arm}).Error(), want)
	}
	w.build(t, files{"Kubefile": "FROM " + baseRef + " AS tools\nFROM scratch\nCOPY --from=tools /manifests /manifests\n"}, request{opts: map[string]string{"platform": "linux/amd64"}})
}

// TestNamedContexts: an image, a directory and an input can replace what a FROM or a COPY --from names.
func TestNamedContexts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.kubernetes(t)
	input := llb.Scratch().File(llb.Mkfile("/app.yaml", 0o644, []byte(pod("docker.io/library/nginx:1.27"))))
	b := w.build(t, files{"Kubefile": "FROM base\nCOPY --from=manifests more.yaml manifests/\nCOPY --from=generated app.yaml manifests/\n"}, request{
		opts: map[string]string{
			"context:base": "docker-image://" + baseRef, "context:manifests": "local:site", "context:generated": "input:generated",
		},
		locals: map[string]files{"site": {"more.yaml": pod("docker.io/library/redis:7")}},
		inputs: map[string]llb.State{"generated": input},
	})
	equal(t, "embedded", b.references(t), []string{"docker.io/library/nginx:1.27", "docker.io/library/redis:7", "quay.io/lab/tool:v1"})
	if got := b.describe(t).KubernetesVersion; got != "v1.34.4" {
		t.Errorf("the base has Kubernetes %q, want v1.34.4", got)
	}

	stage := w.build(t, files{"Kubefile": "FROM scratch AS files\nFROM files\nCMD x\n"}, request{
		opts:   map[string]string{"context:files": "local:site"},
		locals: map[string]files{"site": {"more.yaml": pod("docker.io/library/redis:7")}},
	})
	equal(t, "embedded of a stage that a directory replaces", stage.references(t), []string{"docker.io/library/redis:7"})
	if got := stage.Config.Architecture; got != "amd64" {
		t.Errorf("the image is for %q, want amd64", got)
	}
}

// TestTarget: --target names the stage that becomes the cluster image.
func TestTarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	context := files{"Kubefile": "ARG VERSION=7\nFROM scratch AS small\nCMD kubectl run x --image=docker.io/library/redis:7\nFROM small\nCMD kubectl run y --image=docker.io/library/nginx:1.27\n"}
	equal(t, "embedded", w.build(t, context, request{opts: map[string]string{"target": "small"}}).references(t), []string{"docker.io/library/redis:7"})
	equal(t, "embedded", w.build(t, context, request{}).references(t), []string{"docker.io/library/nginx:1.27", "docker.io/library/redis:7"})
}

// attested are the statements about a platform by type.
func attested(t *testing.T, res *client.Result, platform string) map[string]result.Attestation[client.Reference] {
	t.Helper()
	statements := map[string]result.Attestation[client.Reference]{}
	for _, a := range res.Attestations[platform] {
		statements[a.InToto.PredicateType] = a
	}
	return statements
}

// TestAttestations: the lock of each platform is attested with any other statement, and the user's scanner sees the rootfs without the
// embedded images.
func TestAttestations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	scanner := image("amd64", gatewaytest.Layer(t, files{"scan": gatewaytest.Executable("shell")}))
	scanner.Config.Config.Entrypoint = []string{"/scan", "-c"}
	scanner.Config.Config.Cmd = []string{"test -e /run/src/core/sbom/manifests/a.yaml && test ! -e /run/src/core/sbom/registry && " +
		"test -e /run/src/extras/sbom-tools/made && echo scanned > /run/out/x.spdx.json"}
	w.registry.Push(t, "quay.io/lab/scanner:v1", scanner)
	opts := map[string]string{"attest:sbom": "generator=quay.io/lab/scanner:v1", "attest:provenance": "mode=max"}
	maps.Copy(opts, bothPlatforms)
	images, res := w.buildAll(t, files{
		"Kubefile": "FROM scratch AS tools\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nRUN echo x >/made\nFROM scratch\nCOPY a.yaml manifests/\nCOPY --from=tools /made /\n",
		"a.yaml":   pod("docker.io/library/redis:7"),
	}, request{opts: opts})
	for platform, b := range images {
		statements := attested(t, res, platform)
		bill, err := statements["https://spdx.dev/Document"].Ref.ReadFile(t.Context(), client.ReadRequest{Filename: "x.spdx.json"})
		if err != nil || string(bill) != "scanned\n" {
			t.Errorf("%s: the SBOM is %q (%v)", platform, bill, err)
		}
		statement := statements[imagespec.PredicateLock]
		predicate, err := statement.Ref.ReadFile(t.Context(), client.ReadRequest{Filename: statement.Path})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(predicate), b.read(t, imagespec.LockPath); got != want {
			t.Errorf("%s: the attested lock is\n%s\nwant that of the image\n%s", platform, got, want)
		}
		if statement.Metadata[result.AttestationInlineOnlyKey] != nil {
			t.Errorf("%s: the lock stays out of exported directories, which nobody asked for", platform)
		}
	}
}

// TestDefaultAttestations: what buildx asks for by itself goes into images only.
func TestDefaultAttestations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, res := w.buildAll(t, files{"Kubefile": "FROM scratch\nCMD x\n"}, request{opts: map[string]string{"attest:provenance": "mode=min,inline-only=true"}})
	statement, ok := attested(t, res, "linux/amd64")[imagespec.PredicateLock]
	if !ok || string(statement.Metadata[result.AttestationInlineOnlyKey]) != "true" {
		t.Errorf("the lock is attested as %+v, want it in images only", statement)
	}
}

// TestNoCache: --no-cache and --no-cache-filter reach the steps of the Kubefile.
func TestNoCache(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	context := files{"Kubefile": "FROM scratch AS one\nRUN echo 1 > one\nFROM scratch AS two\nRUN echo 2 > two\nFROM scratch\nCOPY --from=one one /\nCOPY --from=two two /\n"}
	for value, want := range map[string][]string{"": {"RUN echo 1 > one", "RUN echo 2 > two"}, "two": {"RUN echo 2 > two"}} {
		b := w.build(t, context, request{opts: map[string]string{"no-cache": value}})
		got := uncached(t, b)
		equal(t, "not cached with --no-cache="+value, got, want)
	}
	equal(t, "not cached", uncached(t, w.build(t, context, request{})), nil)
}

// uncached are the RUN steps of a result that ignore the cache.
func uncached(t *testing.T, b built) []string {
	t.Helper()
	st, err := b.result.Ref.ToState()
	if err != nil {
		t.Fatal(err)
	}
	def, err := st.Marshal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	for _, dt := range def.Def {
		var op pb.Op
		if err := op.UnmarshalVT(dt); err != nil {
			t.Fatal(err)
		}
		meta := def.Metadata[digest.FromBytes(dt)]
		_, name, isRun := strings.Cut(meta.Description["llb.customname"], "] ")
		if op.GetExec() != nil && isRun && strings.HasPrefix(name, "RUN ") && meta.IgnoreCache {
			steps = append(steps, name)
		}
	}
	slices.Sort(steps)
	return steps
}

// TestSubrequests: what buildx --call asks for is answered without building an image.
func TestSubrequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	context := files{
		"Kubefile": "FROM scratch AS apps\nAPP web local://web.yaml\n# RELEASE is the release\nARG RELEASE=web\nFROM apps AS all\nLAUNCH web\nCMD kubectl run x --image=quay.io/lab/missing:2\nmaintainer me\n",
		"web.yaml": pod("missing.example.com/web:1"),
	}
	ask := func(name string, opts map[string]string) *client.Result {
		t.Helper()
		all := map[string]string{"requestid": name, "frontend.caps": "moby.buildkit.frontend.subrequests"}
		maps.Copy(all, opts)
		res, err := frontend.Build(t.Context(), w.gateway(t, context, request{opts: all}))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return res
	}
	for name, wanted := range map[string][]string{
		"frontend.outline":              {"RELEASE", "the release", "web"},
		"frontend.targets":              {"apps", "all (default)"},
		"frontend.lint":                 {"MaintainerDeprecated", "Kubefile:8"},
		"frontend.subrequests.describe": {"outline", "targets", "lint", "images", "List the images that a build would embed"},
		"frontend.images":               {"missing.example.com/web:1", "applications/web/web.yaml:8", "quay.io/lab/missing:2"},
	} {
		contains(t, name, string(ask(name, nil).Metadata["result.txt"]), wanted...)
	}
	var listings []struct {
		Platform string
		Findings []struct{ Reference string }
	}
	dt := ask("frontend.images", bothPlatforms).Metadata["result.json"]
	if err := json.Unmarshal(dt, &listings); err != nil {
		t.Fatalf("%v: %s", err, dt)
	}
	var lines []string
	for _, l := range listings {
		for _, f := range l.Findings {
			lines = append(lines, l.Platform+" "+f.Reference)
		}
	}
	slices.Sort(lines)
	equal(t, "listed", slices.Compact(lines), []string{
		"linux/amd64 missing.example.com/web:1", "linux/amd64 quay.io/lab/missing:2", "linux/arm64 missing.example.com/web:1", "linux/arm64 quay.io/lab/missing:2",
	})
}

// TestCheck: mistakes, BuildKit's rules and ours are in one answer.
func TestCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(t, "docker.io/library/debian:latest", "amd64")
	for name, tt := range map[string]struct {
		kubefile string
		want     []string
		fails    string
	}{
		"warnings": {"FROM docker.io/library/debian AS tools\nFROM scratch\nCMD helm install x ./web\n", []string{"UnpinnedBase", "docs/rules/unpinned-base.md", "NonIdempotentCommand"}, ""},
		"skipped":  {"# check=skip=UnpinnedBase,NonIdempotentCommand\nFROM docker.io/library/debian AS tools\nFROM scratch\nCMD helm install x ./web\n", []string{`"warnings": null`}, ""},
		"mistake":  {"FROM scratch\nLAUNCH --x=1 web\n", nil, "LAUNCH: it has no flag --x"},
		"errors":   {"# check=error=true\nFROM scratch\nCMD helm install x ./web\n", []string{"NonIdempotentCommand", "lint violation found for rules: NonIdempotentCommand"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := w.gateway(t, files{"Kubefile": tt.kubefile}, request{opts: map[string]string{"requestid": "frontend.lint"}})
			res, err := frontend.Build(t.Context(), g)
			if tt.fails != "" {
				if err == nil {
					t.Fatal("a mistake passes the check")
				}
				contains(t, "the error", err.Error(), tt.fails)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			contains(t, "the answer", string(res.Metadata["result.txt"])+string(res.Metadata["result.json"]), tt.want...)
		})
	}
}
