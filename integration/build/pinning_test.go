//go:build lab

package build

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// lockOf is the lock of an image, as the command of the document prints it.
func lockOf(t *testing.T, ref string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/kubefile.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Pinning\n")
	command := regexp.MustCompile(`(?m)^    (sealer-run images .*)$`).FindStringSubmatch(section)
	if command == nil {
		t.Fatalf("the document has no command for the lock:\n%s", section)
	}
	dir := t.TempDir()
	// The name of this machine, which every OCI client takes for a registry without TLS.
	local := strings.Replace(ref, "127.0.0.1", "localhost", 1)
	if output, err := shell(t, dir, strings.ReplaceAll(command[1], "registry.example.com/app:v1", local)); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	lock, err := os.ReadFile(filepath.Join(dir, "images.lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(lock)
}

// TestLockOfImage: a frozen build with the lock of an image makes the same for every platform, even if the lock is copied into the rootfs.
func TestLockOfImage(t *testing.T) {
	t.Parallel()
	both := []string{"--platform", "linux/amd64,linux/arm64"}
	frozen := append([]string{"--build-arg", "KUBEFILE_FROZEN=1"}, both...)
	context := files{"Kubefile": "FROM scratch\nCOPY . /\n", "a.yaml": pod("quay.io/lab/locked-a:1", "quay.io/lab/locked-b:1")}
	first, _ := build(t, context, both...)
	lock := lockOf(t, first)
	context["images.lock.json"] = lock
	second, _ := build(t, context, frozen...)
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		a, b := pull(t, first, platform), pull(t, second, platform)
		if want, got := a.describe(t).Lock, b.describe(t).Lock; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: embedded %+v, want %+v", platform, got, want)
		}
		_, want := a.split(t)
		_, got := b.split(t)
		if fmt.Sprint(diffIDs(got)) != fmt.Sprint(diffIDs(want)) {
			t.Errorf("%s: image layers %v, want %v", platform, diffIDs(got), diffIDs(want))
		}
	}

	context["a.yaml"] = pod("quay.io/lab/locked-a:1")
	ref, output := build(t, context, frozen...)
	contains(t, output, "images.lock.json lists quay.io/lab/locked-b:1, which nothing needs for linux/amd64, linux/arm64")
	if got := references(pull(t, ref, "linux/amd64").describe(t).Lock); got != "quay.io/lab/locked-a:1" {
		t.Errorf("embedded %s", got)
	}

	delete(context, "images.lock.json")
	context["pins/site.json"] = lock
	ref, output = build(t, context, append(frozen, "--build-arg", "KUBEFILE_LOCK=pins/site.json")...)
	contains(t, output, "pins/site.json lists quay.io/lab/locked-b:1, which nothing needs")
	if got := references(pull(t, ref, "linux/amd64").describe(t).Lock); got != "quay.io/lab/locked-a:1" {
		t.Errorf("embedded %s", got)
	}
}

// TestLockOfOnePlatform: what only the last platform needs is needed.
func TestLockOfOnePlatform(t *testing.T) {
	t.Parallel()
	context := files{
		"Kubefile":   "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH.yaml /\n",
		"amd64.yaml": pod("quay.io/lab/both:1"), "arm64.yaml": pod("quay.io/lab/both:1", "quay.io/lab/arm:1"),
	}
	ref, _ := build(t, context, "--platform", "linux/arm64")
	lock, err := json.Marshal(pull(t, ref, "linux/arm64").describe(t).Lock)
	if err != nil {
		t.Fatal(err)
	}
	context["images.lock.json"] = string(lock)
	_, output := build(t, context, "--platform", "linux/amd64,linux/arm64", "--build-arg", "KUBEFILE_FROZEN=1")
	if strings.Contains(output, "which nothing needs") {
		t.Errorf("what linux/arm64 needs is reported:\n%s", output)
	}
	_, output = build(t, context, "--platform", "linux/amd64", "--build-arg", "KUBEFILE_FROZEN=1")
	contains(t, output, "lists quay.io/lab/arm:1, which nothing needs for linux/amd64")
}

// TestFrozenMaybe: a frozen build leaves out images of class maybe with a warning, or refuses them if the control file requires it.
func TestFrozenMaybe(t *testing.T) {
	t.Parallel()
	context := files{
		"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": "image: quay.io/lab/perhaps\n",
		"images.lock.json": `{"version":1,"platforms":[],"images":[]}`,
	}
	frozen := []string{"--build-arg", "KUBEFILE_FROZEN=1"}
	ref, output := build(t, context, frozen...)
	contains(t, output, "quay.io/lab/perhaps:latest looks like an image at a.yaml:1", "it is not in the lock")
	if got := references(pull(t, ref, "linux/amd64").describe(t).Lock); got != "" {
		t.Errorf("embedded %s", got)
	}
	context[".kubefile.yaml"] = "classes: {maybe: error}\n"
	contains(t, fails(t, context, frozen...), "a.yaml:1: quay.io/lab/perhaps:latest", "it is not in the lock")
}

// TestControlFileIsNotSearched: what the control file ignores is not found because the rootfs has the file.
func TestControlFileIsNotSearched(t *testing.T) {
	t.Parallel()
	ref, output := build(t, files{
		"Kubefile": "FROM scratch\nCOPY . /etc/site/\n",
		"a.yaml":   pod("quay.io/lab/a:1", "quay.io/lab/debug:7"),
		".kubefile.yaml": "images:\n  ignore:\n  - {image: quay.io/lab/debug, reason: for developers}\n" +
			"  - {image: quay.io/lab/stale:1, reason: was there once}\n",
	})
	contains(t, output, ".kubefile.yaml:4: nothing needs quay.io/lab/stale:1, which is ignored")
	lock := pull(t, ref, "linux/amd64").describe(t).Lock
	if len(lock.Ignored) != 1 || lock.Ignored[0].Reference != "quay.io/lab/debug:7" {
		t.Errorf("ignored %+v", lock.Ignored)
	}
}

// TestLeftOutOfOnePlatform: an image that only the second platform lacks is not left out in silence.
func TestLeftOutOfOnePlatform(t *testing.T) {
	t.Parallel()
	context := files{
		"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod("quay.io/lab/both:1", "docker.io/lab-single/app:v1"),
		".kubefile.yaml": "classes: {certain: warn}\n",
	}
	ref, output := build(t, context, "--platform", "linux/amd64,linux/arm64")
	contains(t, output, "docker.io/lab-single/app:v1 looks like an image at a.yaml:10", "is left out of linux/arm64")
	if got := references(pull(t, ref, "linux/arm64").describe(t).Lock); got != "quay.io/lab/both:1" {
		t.Errorf("embedded %s", got)
	}
}
