package repository

import (
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// platforms are the build constraints that are not our own tags.
var platforms = []string{"linux", "unix", "darwin", "windows", "amd64", "arm64"}

// TestNoTestIsSkipped: what a test needs decides its build tag. A test that skips itself looks like one
// that has passed.
func TestNoTestIsSkipped(t *testing.T) {
	root := repositoryRoot(t)
	seen := 0
	for _, name := range goFiles(t, root) {
		if !strings.HasSuffix(name, "_test.go") {
			continue
		}
		seen++
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, filepath.Join(root, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.SelectorExpr); ok && skips(call) {
				t.Errorf("%s: %s: give the test a build tag and a make target instead", set.Position(n.Pos()), call.Sel.Name)
			}
			return true
		})
	}
	if seen < 50 {
		t.Errorf("only %d test files seen", seen)
	}
}

// skips reports whether a name is of what skips a test.
func skips(name *ast.SelectorExpr) bool {
	of, ok := name.X.(*ast.Ident)
	if !ok {
		return false
	}
	switch name.Sel.Name {
	case "Skip", "Skipf", "SkipNow":
		return len(of.Name) == 1 || of.Name == "tb"
	case "Short":
		return of.Name == "testing"
	}
	return false
}

// TestBuildTagsHaveTargets checks that lint reads the code behind each build tag, and that a make
// target runs the tests behind it.
func TestBuildTagsHaveTargets(t *testing.T) {
	root := repositoryRoot(t)
	makefile := read(t, filepath.Join(root, "Makefile"))
	list := regexp.MustCompile(`(?m)^TAGS := (\S+)$`).FindStringSubmatch(makefile)
	if list == nil {
		t.Fatal("the Makefile has no list TAGS")
	}
	listed := strings.Split(list[1], ",")
	seen := 0
	for _, name := range goFiles(t, root) {
		for tag, wanted := range tags(t, filepath.Join(root, name)) {
			seen++
			if !wanted {
				t.Errorf("%s is for builds without the tag %s, which lint never reads", name, tag)
			}
			if !slices.Contains(listed, tag) {
				t.Errorf("%s has the tag %s, which is not in TAGS of the Makefile", name, tag)
			}
			if strings.HasSuffix(name, "_test.go") && !runs(makefile, tag, filepath.ToSlash(filepath.Dir(name))) {
				t.Errorf("%s: no line of the Makefile has -tags %s and this folder", name, tag)
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d build tags seen", seen)
	}
}

// tags returns the tags of ours in a file's build constraint, and whether the file is for builds with
// them.
func tags(t *testing.T, name string) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	for line := range strings.Lines(read(t, name)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "package ") {
			break
		}
		if !constraint.IsGoBuild(line) {
			continue
		}
		expr, err := constraint.Parse(line)
		if err != nil {
			t.Fatal(name, ": ", err)
		}
		// Eval asks for every tag of it, as long as no operand decides.
		for _, value := range []bool{true, false} {
			expr.Eval(func(tag string) bool { found[tag] = true; return value })
		}
		for tag := range maps.Clone(found) {
			if slices.Contains(platforms, tag) {
				delete(found, tag)
				continue
			}
			found[tag] = expr.Eval(func(other string) bool { return other == tag || slices.Contains(platforms, other) })
		}
	}
	return found
}

// runs reports whether a line of the Makefile runs the tests of a folder with a tag.
func runs(makefile, tag, dir string) bool {
	for line := range strings.Lines(makefile) {
		_, line, found := strings.Cut(line, "-tags "+tag+" ")
		if !found {
			continue
		}
		for _, word := range strings.Fields(line) {
			pattern, below := strings.CutSuffix(word, "/...")
			if pattern == "./"+dir || below && strings.HasPrefix("./"+dir+"/", pattern+"/") {
				return true
			}
		}
	}
	return false
}

// goFiles returns the Go files of the repository, including those of nested modules.
func goFiles(t *testing.T, root string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() && name != root && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(base, ".go") {
			rel, err := filepath.Rel(root, name)
			if err != nil {
				return err
			}
			names = append(names, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
