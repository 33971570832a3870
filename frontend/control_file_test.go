package frontend_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/kubefile/kubefile/imagespec"
)

func marshal(t *testing.T, lock *imagespec.Lock) string {
	t.Helper()
	dt, err := json.Marshal(lock)
	if err != nil {
		t.Fatal(err)
	}
	return string(dt)
}

func arg(name, value string) request {
	return request{opts: map[string]string{"build-arg:" + name: value}}
}

// TestControlFile: images are added, ignored with the reason kept, and fetched from elsewhere under their own names; a chart is rendered with
// more values; the file counts although .dockerignore hides it.
func TestControlFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, ref := range []string{"quay.io/lab/web:small", "quay.io/lab/web:large", "quay.io/lab/web:set"} {
		w.push(t, ref, "amd64")
	}
	b := w.build(t, files{
		"Kubefile":      "FROM scratch\nCOPY . /\nCMD helm upgrade --install web ./charts/web\n",
		".dockerignore": ".*\nsecret.yaml\n",
		"secret.yaml":   pod("quay.io/lab/not-sent:1"),
		".kubefile.yaml": `images:
  add:
  - image: quay.io/lab/tool:v1
    reason: the operator starts it
  ignore:
  - image: quay.io/lab/debug
    reason: for developers
  - image: quay.io/lab/stale
    reason: was there once
  rewrite:
  - from: missing.example.com/
    to: docker.io/
charts:
- path: charts/web
  sets:
  - values: [etc/large.yaml]
  - set: [image=quay.io/lab/web:set]
`,
		"pod.yaml":                    pod("quay.io/lab/debug:7") + "---\n" + pod("missing.example.com/library/redis:7"),
		"etc/large.yaml":              "image: quay.io/lab/web:large\n",
		"charts/web/Chart.yaml":       "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"charts/web/values.yaml":      "image: quay.io/lab/web:small\n",
		"charts/web/templates/a.yaml": pod("{{ .Values.image }}"),
	}, request{})
	equal(t, "embedded", b.references(t), []string{
		"missing.example.com/library/redis:7", "quay.io/lab/tool:v1", "quay.io/lab/web:large", "quay.io/lab/web:set", "quay.io/lab/web:small",
	})
	equal(t, "warned of", []string{b.warned()}, []string{".kubefile.yaml:8: nothing needs quay.io/lab/stale, which is ignored"})
	lock := b.describe(t).Lock
	if len(lock.Ignored) != 1 || lock.Ignored[0].Reference != "quay.io/lab/debug:7" || lock.Ignored[0].Reason != "for developers" {
		t.Errorf("the lock lists as ignored %+v", lock.Ignored)
	}
	tool, _ := lock.Lookup("quay.io/lab/tool:v1")
	if f := tool.Found[0]; f.File != ".kubefile.yaml" || f.Line != 3 || !slices.Equal(f.Chain, []string{"the operator starts it"}) {
		t.Errorf("quay.io/lab/tool:v1 was found at %+v, want line 3 of the control file", f)
	}
}

// TestControlFileMistakes: with the line of the file.
func TestControlFileMistakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, tt := range map[string]struct {
		control string
		want    string
	}{
		"unknown field":      {"images:\n  ignores: []\n", ".kubefile.yaml:2: invalid control file: unknown field ignores: did you mean ignore?"},
		"no YAML":            {"images: [\n", ".kubefile.yaml"},
		"image that is none": {"images:\n  add:\n  - image: UPPER/case:1\n", "UPPER/case"},
	} {
		t.Run(name, func(t *testing.T) {
			err := w.fails(t, files{"Kubefile": "FROM scratch\nCOPY Kubefile /\n", ".kubefile.yaml": tt.control}, request{})
			contains(t, "the error", err.Error(), tt.want)
		})
	}
}

// TestControlArguments: build arguments do a part of what the control file does; classes decide what happens to what cannot be resolved.
func TestControlArguments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	context := files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod("quay.io/lab/tool:v1") + "---\n" + pod("missing.example.com/b:1")}
	both := arg("KUBEFILE_IMAGES_ADD", "docker.io/library/nginx:1.27")
	both.opts["build-arg:KUBEFILE_IMAGES_IGNORE"] = "missing.example.com/*"
	equal(t, "embedded", w.build(t, context, both).references(t), []string{"docker.io/library/nginx:1.27", "quay.io/lab/tool:v1"})

	context[".kubefile.yaml"] = "classes: {certain: warn}\n"
	b := w.build(t, context, request{})
	equal(t, "embedded", b.references(t), []string{"quay.io/lab/tool:v1"})
	contains(t, "the warning", b.warned(), "missing.example.com/b:1 looks like an image at a.yaml:17, but it cannot be resolved, and is left out of linux/amd64")

	context[".kubefile.yaml"] = "classes: {certain: ignore}\n"
	b = w.build(t, context, request{})
	if warned := b.warned(); warned != "" {
		t.Errorf("warned of an image that is to be ignored: %s", warned)
	}
}

// TestFrozen: the lock of an earlier build pins what a later one embeds.
func TestFrozen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	context := files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod("quay.io/lab/tool:v1")}
	lock := w.build(t, context, request{}).describe(t).Lock
	pinned := lock.Images[0].Digest
	context["images.lock.json"] = marshal(t, lock)
	w.push(t, "quay.io/lab/tool:v1", "amd64") // the tag moves on
	frozen := arg("KUBEFILE_FROZEN", "1")

	locked, _ := w.build(t, context, frozen).describe(t).Lock.Lookup("quay.io/lab/tool:v1")
	if locked.Digest != pinned {
		t.Errorf("embedded %s, want %s, which the lock has", locked.Digest, pinned)
	}

	added := maps.Clone(context)
	added["a.yaml"] = pod("docker.io/library/nginx:1.27")
	err := w.fails(t, added, frozen)
	contains(t, "the error", err.Error(), "a.yaml:8: docker.io/library/nginx:1.27", "it is not in the lock, and the build is frozen (KUBEFILE_FROZEN)")
	b := w.build(t, added, request{})
	contains(t, "the warning", b.warned(), "images.lock.json lists quay.io/lab/tool:v1, which nothing needs for linux/amd64")

	elsewhere := maps.Clone(context)
	elsewhere["pins/site.json"] = context["images.lock.json"]
	delete(elsewhere, "images.lock.json")
	elsewhere["Kubefile"] = "FROM scratch\nCOPY . /\n" // the lock in the rootfs names no images
	locked, _ = w.build(t, elsewhere, arg("KUBEFILE_LOCK", "pins/site.json")).describe(t).Lock.Lookup("quay.io/lab/tool:v1")
	if locked.Digest != pinned {
		t.Errorf("embedded %s, want %s, which pins/site.json has", locked.Digest, pinned)
	}

	conflict := maps.Clone(context)
	conflict["a.yaml"] = pod("quay.io/lab/tool:v1@" + w.push(t, "quay.io/lab/tool:v2", "amd64").String())
	changed := *lock
	changed.Images = slices.Clone(lock.Images)
	changed.Images[0].Reference = "quay.io/lab/tool:v1@" + w.push(t, "quay.io/lab/tool:v2", "amd64").String()
	conflict["images.lock.json"] = marshal(t, &changed)
	err = w.fails(t, conflict, request{})
	contains(t, "the error", err.Error(), "quay.io/lab/tool:v1@sha256:")

	broken := maps.Clone(context)
	broken["images.lock.json"] = "{}"
	err = w.fails(t, broken, request{})
	contains(t, "the error", err.Error(), "reading images.lock.json of the build context")
}

// TestFrozenMaybe: what only may be an image is left out of a frozen build, with a warning, or refused if the control file says so.
func TestFrozenMaybe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	context := files{
		"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": "image: quay.io/lab/perhaps\n",
		"images.lock.json": `{"version":1,"platforms":[],"images":[]}`,
	}
	b := w.build(t, context, arg("KUBEFILE_FROZEN", "1"))
	equal(t, "embedded", b.references(t), nil)
	contains(t, "the warning", b.warned(), "quay.io/lab/perhaps:latest looks like an image at a.yaml:1", "it is not in the lock")
	context[".kubefile.yaml"] = "classes: {maybe: error}\n"
	err := w.fails(t, context, arg("KUBEFILE_FROZEN", "1"))
	contains(t, "the error", err.Error(), "a.yaml:1: quay.io/lab/perhaps:latest", "it is not in the lock")
}
