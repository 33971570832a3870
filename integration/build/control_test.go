//go:build lab

package build

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/imagespec"
)

func references(lock *imagespec.Lock) string {
	var all []string
	for _, i := range lock.Images {
		all = append(all, i.Reference)
	}
	return strings.Join(all, " ")
}

// TestControlFile: images are added, ignored with the reason kept, and fetched from elsewhere under their own names; a chart is rendered
// with more values; the file counts although .dockerignore hides it.
func TestControlFile(t *testing.T) {
	t.Parallel()
	context := files{
		"Kubefile":      "FROM scratch\nCOPY . /\nCMD helm upgrade --install web ./charts/web\n",
		".dockerignore": ".*\n",
		".kubefile.yaml": `images:
  add:
  - image: quay.io/lab/operand:3
    reason: the operator starts it
  ignore:
  - image: quay.io/lab/debug
    reason: for developers
  - image: quay.io/lab/stale
    reason: was there once
  rewrite:
  - from: missing.invalid/
    to: docker.io/
charts:
- path: charts/web
  sets:
  - values: [etc/large.yaml]
  - set: [image=quay.io/lab/web:set]
`,
		"pod.yaml":                    pod("quay.io/lab/debug:7", "missing.invalid/library/redis:8"),
		"etc/large.yaml":              "image: quay.io/lab/web:large\n",
		"charts/web/Chart.yaml":       "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"charts/web/values.yaml":      "image: quay.io/lab/web:small\n",
		"charts/web/templates/a.yaml": pod("{{ .Values.image }}"),
	}
	ref, output := build(t, context)
	contains(t, output, ".kubefile.yaml:8: nothing needs quay.io/lab/stale, which is ignored")
	image := pull(t, ref, "linux/amd64")
	lock := image.describe(t).Lock
	want := "missing.invalid/library/redis:8 quay.io/lab/operand:3 quay.io/lab/web:large quay.io/lab/web:set quay.io/lab/web:small"
	if got := references(lock); got != want {
		t.Errorf("embedded %s, want %s", got, want)
	}
	if len(lock.Ignored) != 1 || lock.Ignored[0].Reference != "quay.io/lab/debug:7" || lock.Ignored[0].Reason != "for developers" || lock.Ignored[0].Found[0].File != "pod.yaml" {
		t.Errorf("ignored %+v", lock.Ignored)
	}
	operand, _ := lock.Lookup("quay.io/lab/operand:3")
	if f := operand.Found[0]; f.File != ".kubefile.yaml" || f.Line != 3 || f.Rule != "control-file" || !slices.Equal(f.Chain, []string{"the operator starts it"}) {
		t.Errorf("found %+v", f)
	}
	other, _ := build(t, files{"Kubefile": "FROM scratch\nCMD kubectl run x --image=docker.io/library/redis:8\n"})
	redis, _ := pull(t, other, "linux/amd64").describe(t).Lock.Lookup("docker.io/library/redis:8")
	if rewritten, _ := lock.Lookup("missing.invalid/library/redis:8"); rewritten.Digest != redis.Digest {
		t.Errorf("what comes from docker.io is %s, not %s", rewritten.Digest, redis.Digest)
	}

	derived, _ := build(t, files{"Kubefile": "FROM " + ref + "\nCOPY x.yaml /\n", "x.yaml": pod("quay.io/lab/debug:7")})
	if ignored := pull(t, derived, "linux/amd64").describe(t).Lock.Ignored; len(ignored) != 0 {
		t.Errorf("what is embedded is ignored, too: %+v", ignored)
	}
}

func TestControlArguments(t *testing.T) {
	t.Parallel()
	context := files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod("quay.io/lab/a:1", "missing.invalid/b:1")}
	ref, _ := build(t, context, "--build-arg", "KUBEFILE_IMAGES_ADD=quay.io/lab/c:1", "--build-arg", "KUBEFILE_IMAGES_IGNORE=missing.invalid/*")
	if got := references(pull(t, ref, "linux/amd64").describe(t).Lock); got != "quay.io/lab/a:1 quay.io/lab/c:1" {
		t.Errorf("embedded %s", got)
	}
	output := fails(t, context)
	contains(t, output, "a.yaml:10: missing.invalid/b:1 (pod-spec)", "ignore them with a reason in .kubefile.yaml")
	context[".kubefile.yaml"] = "classes: {certain: warn}\n"
	ref, output = build(t, context)
	contains(t, output, "missing.invalid/b:1 looks like an image at a.yaml:10, but it cannot be resolved, and is left out of linux/amd64")
	if got := references(pull(t, ref, "linux/amd64").describe(t).Lock); got != "quay.io/lab/a:1" {
		t.Errorf("embedded %s", got)
	}
	context[".kubefile.yaml"] = "images:\n  ignores: []\n"
	contains(t, fails(t, context), ".kubefile.yaml:2", "unknown field ignores: did you mean ignore?")
	delete(context, ".kubefile.yaml")
	contains(t, fails(t, context, "--build-arg", "KUBEFILE_LAYERS=none"), "build argument KUBEFILE_LAYERS")
}

// TestLayerBudget: the budget bounds what a build adds, however many images there are.
func TestLayerBudget(t *testing.T) {
	t.Parallel()
	ref, _ := build(t, files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod("docker.io/library/redis:8"), ".kubefile.yaml": "layers: 4\n"})
	if n := len(pull(t, ref, "linux/amd64").manifest.Layers); n != 4 {
		t.Errorf("%d layers", n)
	}
}

// TestFrozen: the lock of an earlier build pins what a later one embeds.
func TestFrozen(t *testing.T) {
	t.Parallel()
	context := files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod("quay.io/lab/frozen:1")}
	first, _ := build(t, context)
	lock := pull(t, first, "linux/amd64").describe(t).Lock
	older, _ := build(t, files{"Kubefile": "FROM scratch\nCOPY b.yaml /\n", "b.yaml": pod("quay.io/lab/frozen:0")})
	pinned, _ := pull(t, older, "linux/amd64").describe(t).Lock.Lookup("quay.io/lab/frozen:0")
	pinned.Reference = "quay.io/lab/frozen:1" // as if the tag had meant this one then
	lock.Images[0] = pinned
	text, err := json.Marshal(lock)
	if err != nil {
		t.Fatal(err)
	}
	context["images.lock.json"] = string(text)
	second, _ := build(t, context, "--build-arg", "KUBEFILE_FROZEN=1")
	if got, _ := pull(t, second, "linux/amd64").describe(t).Lock.Lookup("quay.io/lab/frozen:1"); got.Digest != pinned.Digest {
		t.Errorf("embedded %s, want %s", got.Digest, pinned.Digest)
	}

	context["a.yaml"] = pod("quay.io/lab/new:1")
	output := fails(t, context, "--build-arg", "KUBEFILE_FROZEN=1")
	contains(t, output, "a.yaml:8: quay.io/lab/new:1", "it is not in the lock, and the build is frozen (KUBEFILE_FROZEN)")
	_, output = build(t, context)
	contains(t, output, "images.lock.json lists quay.io/lab/frozen:1, which nothing needs")

	delete(context, "images.lock.json")
	contains(t, fails(t, context, "--build-arg", "KUBEFILE_FROZEN=1"), "the build context has no images.lock.json")
	context["pins/images.lock.json"] = "{}"
	contains(t, fails(t, context, "--build-arg", "KUBEFILE_LOCK=pins/images.lock.json"), "reading pins/images.lock.json of the build context")
}

// TestPlatforms: one index, and for each platform its own images and runner; what one of them lacks can be left out there by a rule.
func TestPlatforms(t *testing.T) {
	t.Parallel()
	context := files{
		"Kubefile": "FROM --platform=$BUILDPLATFORM docker.io/library/busybox:latest AS tools\nARG TARGETARCH\nRUN echo $TARGETARCH > /arch\n" +
			"FROM scratch\nCOPY --from=tools /arch /\nCOPY a.yaml /\n",
		"a.yaml": pod("quay.io/lab/both:1", "docker.io/lab-single/app:v1"),
	}
	contains(t, fails(t, context, "--platform", "linux/amd64,linux/arm64"), "a.yaml:10: docker.io/lab-single/app:v1 (pod-spec)", "linux/arm64",
		"ignore them with a reason in .kubefile.yaml (and platforms, where only some lack them)")

	context[".kubefile.yaml"] = "images:\n  ignore:\n  - {image: docker.io/lab-single/app, reason: there is none, platforms: [linux/arm64]}\n"
	ref, _ := build(t, context, "--platform", "linux/amd64,linux/arm64")
	for platform, want := range map[string]struct {
		images  string
		machine elf.Machine
	}{
		"linux/amd64": {"docker.io/lab-single/app:v1 quay.io/lab/both:1", elf.EM_X86_64},
		"linux/arm64": {"quay.io/lab/both:1", elf.EM_AARCH64},
	} {
		image := pull(t, ref, platform)
		lock := image.describe(t).Lock
		if got := references(lock); got != want.images || !slices.Equal(lock.Platforms, []string{platform}) {
			t.Errorf("%s: embedded %s for %v, want %s", platform, got, lock.Platforms, want.images)
		}
		image.checkStore(t, strings.Fields(want.images)...)
		runner, err := elf.NewFile(strings.NewReader(image.file(t, imagespec.RunnerPath)))
		if err != nil || runner.Machine != want.machine {
			t.Errorf("%s: the runner is for %v (%v)", platform, runner, err)
		}
		if arch := image.file(t, "arch"); "linux/"+strings.TrimSpace(arch) != platform {
			t.Errorf("%s: built for %s", platform, arch)
		}
	}
}

// TestReproducible: two builders that have built nothing, asked in two ways, make the same image. Without SOURCE_DATE_EPOCH the layers of
// embedded images are the same all the same.
func TestReproducible(t *testing.T) {
	t.Parallel()
	context := files{
		"Kubefile": "FROM scratch\nCOPY a.yaml manifests/\nRUN mkdir /made && echo $SOURCE_DATE_EPOCH > /made/at\nAPP web local://a.yaml\nLAUNCH web\n",
		"a.yaml":   pod("docker.io/library/redis:8", "quay.io/lab/a:1"),
	}
	dir := context.write(t)
	const output = "type=image,push=true,rewrite-timestamp=true,name="
	var manifests, layers []string
	for _, reproduce := range []func(builder, ref string) (string, error){
		func(builder, ref string) (string, error) {
			return buildctl(t, builder, dir, "--opt", "build-arg:SOURCE_DATE_EPOCH=1700000000", "--no-cache", "--output", output+ref)
		},
		func(builder, ref string) (string, error) { // buildx takes it from its environment
			return buildxOn(t, builder, dir, []string{"SOURCE_DATE_EPOCH=1700000000"}, "--no-cache", "--output", output+ref)
		},
	} {
		builder := newBuilder(t)
		ref, plain := newName(t), newName(t)
		buildOn(t, builder, dir, plain)
		if output, err := reproduce(builder, ref); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		manifests = append(manifests, fmt.Sprint(pull(t, ref, "linux/amd64").manifest))
		_, images := pull(t, plain, "linux/amd64").split(t)
		layers = append(layers, fmt.Sprint(diffIDs(images)))
	}
	if manifests[0] != manifests[1] {
		t.Errorf("two builders made %q", manifests)
	}
	if layers[0] != layers[1] {
		t.Errorf("the layers of embedded images differ: %q", layers)
	}
}
