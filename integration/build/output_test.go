//go:build lab

package build

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/imagespec/storetest"
)

var small = files{"Kubefile": "FROM scratch\nCOPY a.yaml manifests/\nCMD x\n", "a.yaml": pod("docker.io/library/redis:8")}

func TestOutputLocal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if output, err := buildx(t, small.write(t), "--output", "type=local,dest="+dir); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, name := range []string{"manifests/a.yaml", imagespec.LockPath, imagespec.RunnerPath, "registry/oci-layout"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	dt, err := os.ReadFile(filepath.Join(dir, imagespec.LockPath))
	if err != nil {
		t.Fatal(err)
	}
	lock, err := imagespec.ParseLock(dt)
	if err != nil {
		t.Fatal(err)
	}
	if err := storetest.Validate(t.Context(), os.DirFS(filepath.Join(dir, imagespec.RegistryDir)), lock); err != nil {
		t.Error(err)
	}
}

func TestOutputArchives(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	archive := filepath.Join(dir, "app.tar")
	if output, err := buildx(t, small.write(t), "-t", "app:v1", "--output", "type=oci,dest="+archive); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	ref := newName(t)
	if output, err := run(t, tool("oras"), "cp", "--from-oci-layout", archive+":v1", "--to-plain-http", ref); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	pull(t, ref, "linux/amd64").checkStore(t, "docker.io/library/redis:8")

	archive = filepath.Join(dir, "docker.tar")
	if output, err := buildx(t, small.write(t), "-t", "app:v1", "--output", "type=docker,dest="+archive); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	ref = newName(t)
	if output, err := run(t, tool("crane"), "push", "--insecure", archive, ref); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	pull(t, ref, "linux/amd64").checkStore(t, "docker.io/library/redis:8")
}

// TestOutputCompressed: the README's command lines ask for zstd.
func TestOutputCompressed(t *testing.T) {
	t.Parallel()
	ref := newName(t)
	if output, err := buildx(t, small.write(t), "--output", "type=image,push=true,compression=zstd,name="+ref); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	pull(t, ref, "linux/amd64").checkStore(t, "docker.io/library/redis:8")
}

// TestSyntaxLine: the frontend is found by the Kubefile itself, and a plain docker buildx plugin needs nothing else.
func TestSyntaxLine(t *testing.T) {
	t.Parallel()
	ref := newName(t)
	dir := files{"Kubefile": "# syntax=" + lab.Frontend + "\n" + small["Kubefile"], "a.yaml": small["a.yaml"]}.write(t)
	output, err := run(t, filepath.Join(lab.DockerConfig, "cli-plugins", "docker-buildx"), "build", "--builder", lab.BuildxBuilder,
		"--build-arg", "KUBEFILE_MIRRORS", "-f", filepath.Join(dir, "Kubefile"), "-t", ref, "--push", dir)
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	pull(t, ref, "linux/amd64").checkStore(t, "docker.io/library/redis:8")
}
