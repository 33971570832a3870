package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// TestProgramIsBuiltOnce compiles a real module: the pinned version is stamped, a second run builds nothing, a changed source does.
func TestProgramIsBuiltOnce(t *testing.T) {
	root, cache, out := t.TempDir(), t.TempDir(), t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(root, "hello"), 0o755); err != nil {
		t.Fatal(err)
	}
	write("go.mod", "module example.com/root\n\ngo 1.26\n\nrequire example.com/hello v1.2.3\n")
	write("go.sum", "")
	source := "package main\n\nvar version string\n\nfunc main() { print(version) }\n"
	write("hello/main.go", source)
	p := program{name: "hello", dir: ".", module: "example.com/hello", packages: []string{"./hello"},
		set: []string{"main.version={version}/{major}.{minor}"}}

	build := func() (dir string, built bool) {
		t.Helper()
		tool, err := p.tool(root)
		if err != nil {
			t.Fatal(err)
		}
		dir, built, err = ensure(t.Context(), cache, tool, ignore)
		if err != nil {
			t.Fatal(err)
		}
		if err := link(out, dir, tool.binaries); err != nil {
			t.Fatal(err)
		}
		return dir, built
	}
	first, built := build()
	if !built {
		t.Error("nothing was built into an empty cache")
	}
	said, err := exec.Command(filepath.Join(out, "hello")).CombinedOutput()
	if err != nil || string(said) != "v1.2.3/1.2" {
		t.Errorf("hello said %q, %v", said, err)
	}
	if again, built := build(); built || again != first {
		t.Errorf("the second run: built %v, %s after %s", built, again, first)
	}
	write("hello/main.go", source+"\n// changed\n")
	second, built := build()
	if !built || second == first {
		t.Errorf("a changed source: built %v, %s after %s", built, second, first)
	}
	if target, err := os.Readlink(filepath.Join(out, "hello")); err != nil || target != filepath.Join(second, "hello") {
		t.Errorf("the link points to %s, %v", target, err)
	}
}

func TestInterruptedBuildIsRepeated(t *testing.T) {
	cache := t.TempDir()
	interrupted := errors.New("interrupted")
	tool := script(func(dir string) error {
		return errors.Join(os.WriteFile(filepath.Join(dir, "x"), []byte("half"), 0o755), interrupted)
	})
	if _, _, err := ensure(t.Context(), cache, tool, ignore); !errors.Is(err, interrupted) {
		t.Fatalf("the failure is not reported: %v", err)
	}
	// A killed process leaves more: its directory, and binaries in it.
	left := filepath.Join(cache, "x", ".unfinished-1")
	if err := os.MkdirAll(left, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(left, "x"), []byte("half"), 0o755); err != nil {
		t.Fatal(err)
	}
	tool = script(func(dir string) error { return os.WriteFile(filepath.Join(dir, "x"), []byte("whole"), 0o755) })
	dir, built, err := ensure(t.Context(), cache, tool, ignore)
	if err != nil || !built {
		t.Fatalf("built %v, %v", built, err)
	}
	if data, _ := os.ReadFile(filepath.Join(dir, "x")); string(data) != "whole" {
		t.Errorf("the binary is %q", data)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what the killed run left is still there: %v", err)
	}
}

func TestIncompleteBuildIsAnError(t *testing.T) {
	_, _, err := ensure(t.Context(), t.TempDir(), script(func(string) error { return nil }), ignore)
	if err == nil {
		t.Fatal("a build without a binary passed")
	}
}

func TestConcurrentRunsBuildOnce(t *testing.T) {
	cache := t.TempDir()
	var builds atomic.Int32
	tool := script(func(dir string) error {
		builds.Add(1)
		return os.WriteFile(filepath.Join(dir, "x"), []byte("whole"), 0o755)
	})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, _, err := ensure(t.Context(), cache, tool, ignore); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := builds.Load(); n != 1 {
		t.Errorf("%d builds", n)
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	file := filepath.Join(t.TempDir(), ".lock")
	unlock, err := lock(t.Context(), file, func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lock(ctx, file, func() {}); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for a held lock: %v", err)
	}
}

// ignore is for callers whom what ensure is doing does not interest.
func ignore(string) {}

// script is a tool "x" made by a function.
func script(build func(dir string) error) tool {
	return tool{name: "x", version: "v1", key: "k", binaries: []string{"x"},
		build: func(_ context.Context, dir string) error { return build(dir) }}
}
