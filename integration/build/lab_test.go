//go:build lab

// Package build tests the frontend against a real BuildKit, registry and stand-in for the public registries: the lab that "make up"
// starts.
package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubefile/kubefile/integration/lab/environment"
)

// out is the lab's output directory.
const out = "../../_out"

var lab *environment.Environment

func TestMain(m *testing.M) {
	var err error
	if lab, err = environment.Read(out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// files are a build context by file name.
type files map[string]string

func (f files) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range f {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// newName is a reference in the lab's registry whose repository is empty.
func newName(t *testing.T) string {
	clean := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(t.Name()), "-")
	return fmt.Sprintf("%s/test/%s/%d:v1", lab.Registry, clean, time.Now().UnixNano())
}

// build pushes what docker buildx build makes of the files, and returns its reference and output.
func build(t *testing.T, context files, args ...string) (ref, output string) {
	t.Helper()
	ref = newName(t)
	output, err := buildx(t, context.write(t), append([]string{"-t", ref, "--push"}, args...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return ref, output
}

// fails returns the output of a build that has to fail.
func fails(t *testing.T, context files, args ...string) string {
	t.Helper()
	output, err := buildx(t, context.write(t), args...)
	if err == nil {
		t.Fatalf("the build did not fail:\n%s", output)
	}
	return output
}

// buildx runs docker buildx build with the frontend of this clone.
func buildx(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	return run(t, tool("buildx"), buildxArgs(lab.BuildxBuilder, dir, args...)...)
}

func buildxArgs(builder, dir string, args ...string) []string {
	args = append([]string{"build", "--builder", builder, "--progress", "plain", "--provenance", "false",
		"--build-arg", "BUILDKIT_SYNTAX=" + lab.Frontend, "--build-arg", "KUBEFILE_MIRRORS=" + lab.Mirrors,
		"-f", filepath.Join(dir, "Kubefile")}, args...)
	return append(args, dir)
}

func tool(name string) string { return filepath.Join(lab.Bin, name) }

func run(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(lab.Lines(), append(os.Environ(), "OTEL_TRACES_EXPORTER=none")...) // a test's own variables come last
	dt, err := cmd.CombinedOutput()
	return string(dt), err
}

// newBuilder starts a BuildKit that has built nothing yet, configured as the lab's, and returns its address.
func newBuilder(t *testing.T) string {
	t.Helper()
	return startBuilder(t, "buildkitd")
}

// startBuilder is newBuilder for a BuildKit by the name of its program.
func startBuilder(t *testing.T, program string) string {
	t.Helper()
	dir := t.TempDir()
	config, err := os.ReadFile(filepath.Join(out, "lab", "buildkitd.toml"))
	if err != nil {
		t.Fatal(err)
	}
	socket := "unix://" + filepath.Join(dir, "s") // a socket's path is short
	text := regexp.MustCompile(`(?m)^root = .*$`).ReplaceAllString(string(config), fmt.Sprintf("root = %q", filepath.Join(dir, "root")))
	text = regexp.MustCompile(`(?m)^  address = .*$`).ReplaceAllString(text, fmt.Sprintf("  address = [%q]", socket))
	text = regexp.MustCompile(`(?m)^  socketPath = .*$`).ReplaceAllString(text, fmt.Sprintf("  socketPath = %q", filepath.Join(dir, "o")))
	file := filepath.Join(dir, "buildkitd.toml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool(program), "--config", file)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
			t.Error(err)
		}
		log.Close()
	})
	deadline := time.Now().Add(time.Minute)
	for {
		output, err := run(t, tool("buildctl"), "--addr", socket, "debug", "workers")
		if err == nil {
			return socket
		}
		if time.Now().After(deadline) {
			dt, _ := os.ReadFile(log.Name())
			t.Fatalf("%v: %s\n%s", err, output, dt)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// buildOn pushes what buildctl makes of a directory on a BuildKit of its own.
func buildOn(t *testing.T, address, dir, ref string, args ...string) {
	t.Helper()
	if output, err := buildctl(t, address, dir, append([]string{"--output", "type=image,push=true,name=" + ref}, args...)...); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
}

// buildctl runs buildctl build with the frontend of this clone.
func buildctl(t *testing.T, address, dir string, args ...string) (string, error) {
	t.Helper()
	return run(t, tool("buildctl"), append([]string{"--addr", address, "build", "--progress", "plain",
		"--frontend", "gateway.v0", "--opt", "source=" + lab.Frontend, "--opt", "filename=Kubefile",
		"--opt", "build-arg:KUBEFILE_MIRRORS=" + lab.Mirrors,
		"--local", "context=" + dir, "--local", "dockerfile=" + dir}, args...)...)
}

// buildxOn is buildx with a builder of its own at the address, and further variables in its environment.
func buildxOn(t *testing.T, address, dir string, env []string, args ...string) (string, error) {
	t.Helper()
	env = append(env, "BUILDX_CONFIG="+t.TempDir())
	if output, err := run(t, "env", append(env, tool("buildx"), "create", "--name", "own", "--driver", "remote", address)...); err != nil {
		return output, err
	}
	return run(t, "env", append(append(env, tool("buildx")), buildxArgs("own", dir, args...)...)...)
}

// contains fails for every text that the output has not.
func contains(t *testing.T, output string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(output, text) {
			t.Errorf("%q is missing in:\n%s", text, output)
		}
	}
}
