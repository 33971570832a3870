package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// publish runs publish.sh with programs that do nothing in place of make and docker, and returns what they were called with.
func publish(t *testing.T, variables ...string) (calls, output string, status int) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "calls")
	for _, name := range []string{"make", "docker"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho "+name+" \"$@\" >> "+log+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "bash", "./publish.sh")
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "KUBEFILE_VERSION=v1.2.3")
	cmd.Env = append(cmd.Env, variables...)
	out, _ := cmd.CombinedOutput() // the status is what counts
	data, err := os.ReadFile(log)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(data), string(out), cmd.ProcessState.ExitCode()
}

// TestPublishRefuses: what cannot be published is said before anything is built or pushed.
func TestPublishRefuses(t *testing.T) {
	for _, c := range []struct {
		variables []string
		want      string
	}{
		{[]string{"REGISTRY="}, "make publish REGISTRY=registry.example.com/kubefile"},
		{[]string{"REGISTRY=/"}, "no registry given"},
		{[]string{"REGISTRY=https://registry.example.com/a"}, "as in REGISTRY=registry.example.com/a"},
		{[]string{"REGISTRY=registry.example.com", "BASES=kubernetes nosuch"}, `no base image is called "nosuch"; BASES can have: kubernetes`},
	} {
		calls, out, status := publish(t, c.variables...)
		if status != 2 || calls != "" || !strings.Contains(out, c.want) {
			t.Errorf("%q: got status %d and calls %q, want status 2, none, and %q in:\n%s", c.variables, status, calls, c.want, out)
		}
	}
}

// TestPublishToADirectory: the slash that ends the name of a directory is not part of an image's name.
func TestPublishToADirectory(t *testing.T) {
	calls, out, status := publish(t, "REGISTRY=registry.example.com/a/")
	if status != 0 || strings.Contains(calls+out, "//") {
		t.Errorf("got status %d, calls\n%sand\n%s", status, calls, out)
	}
	for _, want := range []string{"published registry.example.com/a/frontend:1.2.3\n", "published registry.example.com/a/kubernetes:v1."} {
		if !strings.Contains(out, want) {
			t.Errorf("got no %q in:\n%s", want, out)
		}
	}
}
