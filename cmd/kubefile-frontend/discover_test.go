package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// asProgram makes the test binary the program itself.
const asProgram = "KUBEFILE_FRONTEND_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program runs kubefile-frontend as a process of its own.
func program(t *testing.T, dir string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), complaints.String(), cmd.ProcessState.ExitCode()
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, data := range files {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(data), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDiscover(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"rootfs/charts/web/Chart.yaml":         "{apiVersion: v2, name: web, version: 0.1.0}",
		"rootfs/charts/web/templates/pod.yaml": "spec:\n  containers:\n  - image: web:{{ .Values.tag }}-{{ .Capabilities.KubeVersion.Minor }}\n",
		"rootfs/charts/web/values.yaml":        "tag: own",
		"rootfs/pod.yaml":                      "spec:\n  containers:\n  - image: localhost:5000/a/pod@sha256:" + strings.Repeat("0", 64) + "\n",
		"rootfs/broken/Chart.yaml":             "{apiVersion: v2, name: broken}",
		"Kubefile":                             "FROM scratch\nCOPY rootfs .\nCMD helm install web charts/web --set tag=kubefile\n",
		"values.yaml":                          "tag: file",
	})
	const pod = "localhost:5000/a/pod@sha256:0000000000000000000000000000000000000000000000000000000000000000\n"
	for _, test := range []struct {
		name   string
		args   []string
		stdout string
		stderr string // a part of it; empty for none at all
		code   int
	}{
		{"not readable", []string{"rootfs"}, "docker.io/library/web:own-34\n" + pod, "broken: the chart cannot be loaded", 1},
		{"ignored", []string{"--ignore", "broken", "rootfs"}, "docker.io/library/web:own-34\n" + pod, "", 0},
		{"ignored by a pattern, after the directory", []string{"rootfs", "--ignore", "brok*", "--ignore=charts/"}, pod, "", 0},
		{"bad pattern", []string{"rootfs", "--ignore", "["}, "", "syntax error in pattern", 2},
		{"unknown format", []string{"--format", "yaml", "rootfs"}, "", "flag --format: \"yaml\" is not one of lines, table and json", 2},
		{"why what", []string{"--why", "A::b", "rootfs"}, "", "flag --why: ", 2},
		{"why as JSON", []string{"--why", "web:1", "--format", "json", "rootfs"}, "", "--why and --format are mutually exclusive", 2},
		{"values of no file", []string{"--values", "charts/web=", "rootfs"}, "", "flag --values: write a file, or CHART=FILE", 2},
		{"values of no chart", []string{"--values", "=values.yaml", "rootfs"}, "", "flag --values: write a file, or CHART=FILE", 2},
		{"empty version", []string{"--kube-version", "", "rootfs"}, "", "flag --kube-version: the value is empty", 2},
		{"commands", []string{"--cmd", "helm upgrade -i a charts/web --set b=2,tag=1", "--cmd=helm install b charts/web --set tag=2", "--ignore", "broken", "--ignore", "pod.yaml", "rootfs"},
			"docker.io/library/web:1-34\ndocker.io/library/web:2-34\n", "", 0},
		{"kubefile", []string{"--kubefile", "Kubefile", "--cmd", "crictl pull tool:1", "--ignore", "broken", "--ignore", "pod.yaml", "rootfs"},
			"docker.io/library/tool:1\ndocker.io/library/web:kubefile-34\n", "", 0},
		{"values", []string{"--values", "values.yaml", "--ignore", "broken", "--ignore", "pod.yaml", "rootfs"}, "docker.io/library/web:file-34\n", "", 0},
		{"values of one chart", []string{"--values", "charts/web=values.yaml", "--values", "charts/other=values.yaml", "--ignore", "broken", "--ignore", "pod.yaml", "rootfs"},
			"docker.io/library/web:file-34\n", "", 0},
		{"version", []string{"--kube-version", "v1.19.8", "--ignore", "broken", "--ignore", "pod.yaml", "rootfs"}, "docker.io/library/web:own-19\n", "", 0},
		{"no version", []string{"--kube-version", "newest", "rootfs"}, "", `kubernetes version "newest"`, 2},
		{"no directory", []string{"gone"}, "", "gone", 1},
		{"no Kubefile", []string{"--kubefile", "gone", "rootfs"}, "", "flag --kubefile: gone does not exist", 2},
		{"no values", []string{"--values", "web=gone", "rootfs"}, "", "flag --values: gone does not exist", 2},
		{"why", []string{"--why", "web:own-34", "rootfs"},
			"REFERENCE                     CLASS    RULE      WHERE                            THROUGH\n" +
				"docker.io/library/web:own-34  certain  pod-spec  charts/web/templates/pod.yaml:3  chart charts/web (web 0.1.0)\n", "", 0},
		{"why not", []string{"--why", "web:2", "rootfs"}, "", "was not found", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"discover"}, test.args...)
			if !slices.Contains(args, "--kube-version") {
				args = append(args, "--kube-version", "v1.34.4")
			}
			stdout, stderr, code := program(t, dir, args...)
			if stdout != test.stdout || code != test.code {
				t.Errorf("exit status %d, stdout:\n%s\nstderr:\n%s", code, stdout, stderr)
			}
			if !strings.Contains(stderr, test.stderr) || test.stderr == "" && stderr != "" {
				t.Errorf("stderr: %s", stderr)
			}
		})
	}
}

// TestDiscoverDoesNotWait: a pipe that is named, or is in the directory, does not hold the program.
func TestDiscoverDoesNotWait(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "rootfs"), 0o755), syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{"--kubefile", "--values"} {
		if _, stderr, code := program(t, dir, "discover", flag, "pipe", "rootfs"); code != 1 || !strings.Contains(stderr, "pipe is a named pipe, not a regular file") {
			t.Errorf("%s: exit status %d:\n%s", flag, code, stderr)
		}
	}
	if err := os.Rename(filepath.Join(dir, "pipe"), filepath.Join(dir, "rootfs", ".kubefile.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := program(t, dir, "discover", "rootfs"); code != 1 || !strings.Contains(stderr, ".kubefile.yaml is not a regular file") {
		t.Errorf("exit status %d:\n%s", code, stderr)
	}
}

// TestOutputThatCannotBeWritten: a full disk is an error of every command that prints.
func TestOutputThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"rootfs/pod.yaml": "spec:\n  containers:\n  - image: web:1\n"})
	for _, line := range []string{"--help", "help", "version", "version -o json", "discover --help", "discover rootfs", "discover --format json rootfs", "discover --format table rootfs", "discover --why web:1 rootfs"} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer full.Close()
		var complaints bytes.Buffer
		cmd := exec.Command(os.Args[0], strings.Fields(line)...)
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), asProgram+"=1"), full, &complaints
		err = cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.HasSuffix(complaints.String(), "the output could not be written: no space left on device\n") {
			t.Errorf("%s: got %v, want exit status 1 and why in:\n%s", line, err, &complaints)
		}
	}
}

// TestDiscoverControlFile: the directory's .kubefile.yaml adds and ignores, and is not searched itself.
func TestDiscoverControlFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"pod.yaml":       "spec:\n  containers:\n  - image: quay.io/lab/app:1\n  - image: quay.io/lab/debug:1\n",
		".kubefile.yaml": "images:\n  add:\n  - image: quay.io/lab/added:1\n  ignore:\n  - {image: quay.io/lab/debug, reason: for developers}\n",
	})
	out, complaints, code := program(t, dir, "discover", ".")
	if out != "quay.io/lab/added:1\nquay.io/lab/app:1\n" || code != 0 {
		t.Errorf("printed %q, exit code %d: %s", out, code, complaints)
	}
	write(t, dir, map[string]string{".kubefile.yaml": "image: {}\n"})
	if _, complaints, code := program(t, dir, "discover", "."); code == 0 || !strings.Contains(complaints, ".kubefile.yaml:1: invalid control file: unknown field image: did you mean images?") {
		t.Errorf("exit code %d: %s", code, complaints)
	}
}
