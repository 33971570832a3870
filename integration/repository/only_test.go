package repository

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOnly runs tests of a package of its own by pattern, with the output that people and make test read. It is compiled once: the go that
// only.sh finds starts what the real one has made.
func TestOnly(t *testing.T) {
	root := t.TempDir()
	put(t, root, "go.mod", "module example.com/m\n\ngo 1.26\n")
	put(t, root, "a_test.go", `package a

import "testing"

func TestOne(t *testing.T) { t.Run("good", func(t *testing.T) {}); t.Run("bad", func(t *testing.T) { t.Fail() }) }

func TestTwo(t *testing.T) {}
`)
	compile := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-o", "a.test", ".")
	compile.Dir = root
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("compiling the tests: %v: %s", err, out)
	}
	real, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	put(t, root, "b/b_test.go", "package b\n\nfunc TestOther(t *testing.T) {}\n")
	put(t, root, "a_lab_test.go", "//go:build lab\n\npackage a\n\nfunc TestTagged(t *testing.T) {}\n")
	// What the package of another test would print is not a test's.
	put(t, root, "fakes/go", `#!/bin/sh
case "$1 $2 $4 $5 $6 $7" in
"list -tags "*) exec "`+real+`" "$@" ;;
"test -run -v $PWD "*) exec ./a.test -test.v -test.run "$3" 2>&1 ;;
"test -run -v -json $PWD "*) "`+real+`" tool test2json ./a.test -test.v=test2json -test.run "$3" ;;
*) echo "go $*" && exit 2 ;;
esac
`)
	for pattern, want := range map[string]string{
		"TestTwo":             "ok",
		"TestOne/go":          "ok",
		"TestTwo|TestNone/x":  "ok",
		"TestOne":             "--- FAIL: TestOne/bad",
		"TestThree":           "no test matches RUN=TestThree",
		"TestTagged":          "no test matches RUN=TestTagged",
		"TestOther":           "go test -run TestOther -v",
		`^TestT\w+$`:          "ok",
		"TestOne/goood":       "no test matches RUN=TestOne/goood",
		"TestOne/good/deeper": "no test matches RUN=TestOne/good/deeper",
		"TestTwo(":            "missing closing )",
	} {
		for _, flags := range [][]string{nil, {"-json"}} {
			args := append(append([]string{pattern, "go", "test"}, flags...), "./...")
			cmd := exec.CommandContext(t.Context(), filepath.Join(repositoryRoot(t), "integration", "repository", "only.sh"), args...)
			cmd.Dir = root
			cmd.Env = append(os.Environ(), "PATH="+filepath.Join(root, "fakes")+":"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			if (err == nil) != (want == "ok") || want != "ok" && !strings.Contains(string(out), want) {
				t.Errorf("RUN=%s with %q: got %v, %s, want %q", pattern, flags, err, out, want)
			}
			if flags == nil && strings.Contains(string(out), "no tests to run") {
				t.Errorf("RUN=%s prints a package without a match: %s", pattern, out)
			}
		}
	}
}
