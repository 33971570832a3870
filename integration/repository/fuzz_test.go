package repository

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFuzzScript runs fuzz.sh in a directory that is not a clone, with a go that compiles nothing.
func TestFuzzScript(t *testing.T) {
	root := t.TempDir()
	put(t, root, "integration/repository/fuzz.sh", read(t, filepath.Join(repositoryRoot(t), "integration", "repository", "fuzz.sh")))
	put(t, root, "one/one_test.go", "package one\n\nfunc FuzzOne(f *testing.F) {}\n")
	put(t, root, "one/testdata/old_test.go", "func FuzzOld(f *testing.F) {}\n")
	put(t, root, "deep/two/two_test.go", "package two\n\nfunc FuzzTwo(f *testing.F) {}\n")
	put(t, root, "three/three_test.go", "package three\n")
	// The binary lists a target, and succeeds for any other call.
	put(t, root, "fakes/go", `#!/bin/sh
echo "go $*" >> `+"'"+root+`/calls'
[ -z "$FAIL" ] || { echo "FAIL one [build failed]"; exit 1; }
while [ "$1" != -o ]; do shift; done
for package in one two; do
  printf '#!/bin/sh\n[ "$1" != -test.list ] || echo Fuzz'$package'\n' > "$2$package.test"
  chmod +x "$2$package.test"
done
`)
	for _, tt := range []struct{ name, seconds, variable, want string }{
		{"all targets", "3", "", "deep/two Fuzztwo\none Fuzzone\n"},
		{"not a number", "abc", "", "fuzz: invalid number of seconds \"abc\"; use FUZZ=3, for example\n"},
		{"an empty number", "", "", "fuzz: invalid number of seconds \"\"; use FUZZ=3, for example\n"},
		{"nothing", "0", "", "fuzz: invalid number of seconds \"0\"; use FUZZ=3, for example\n"},
		{"code that is not compiled", "3", "FAIL=1", "FAIL one [build failed]\nfuzz: the tests are not compiled; see above\n"},
		{"no room", "3", "TMPDIR=" + root + "/nowhere", "fuzz: there is no room for the compiled tests; set TMPDIR to another directory\n"},
	} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(root, "integration", "repository", "fuzz.sh"), tt.seconds)
		cmd.Env = append(os.Environ(), "PATH="+filepath.Join(root, "fakes")+":"+os.Getenv("PATH"), tt.variable)
		out, err := cmd.CombinedOutput()
		got := string(out)
		if tt.name == "all targets" {
			got = sortedLines(got)
		}
		if (err == nil) != (tt.name == "all targets") || !strings.HasSuffix(got, tt.want) || strings.Contains(got, "unbound") {
			t.Errorf("%s: %v, printed %q, want %q", tt.name, err, got, tt.want)
		}
	}
	calls := read(t, filepath.Join(root, "calls"))
	if !strings.Contains(calls, " ./deep/two ./one\n") {
		t.Errorf("compiled were %q, want the packages that have targets", calls)
	}
}

func sortedLines(text string) string {
	lines := strings.SplitAfter(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}
