package repository

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// testCommand is a command line "go test".
type testCommand struct {
	dir, tags string
	packages  []string
	names     []string // patterns of -run, -fuzz and -bench: each has to name something
	flags     []string // those that only the test's own package can know
}

var ownFlags = []string{"-v", "-race", "-short", "-c", "-json"}

// parseTestCommand takes the words of a command line apart; words before "go" are variables.
func parseTestCommand(words []string) (c testCommand, err error) {
	c.dir = "."
	i := slices.Index(words, "go") + 1
	if i+1 < len(words) && words[i] == "-C" {
		c.dir, i = words[i+1], i+2
	}
	if i == 0 || i >= len(words) || words[i] != "test" {
		return c, errors.New("not a command go test")
	}
	for i++; i < len(words); i++ {
		name, value, joined := strings.Cut(strings.Trim(words[i], `'"`), "=")
		switch name {
		case "-run", "-fuzz", "-bench", "-tags", "-count", "-timeout", "-fuzztime", "-cpu", "-coverprofile":
			if i++; joined {
				i--
			} else if i == len(words) {
				return c, fmt.Errorf("%s has no value", name)
			} else {
				value = strings.Trim(words[i], `'"`)
			}
			switch name {
			case "-tags":
				c.tags = value
			case "-run", "-fuzz", "-bench":
				c.names = append(c.names, value)
			}
			continue
		case "-args":
			return c, nil // the test's own
		}
		switch {
		case slices.Contains(ownFlags, name):
		case strings.HasPrefix(name, "-"):
			c.flags = append(c.flags, strings.TrimLeft(name, "-"))
		default:
			c.packages = append(c.packages, strings.Trim(words[i], `'"`))
		}
	}
	return c, nil
}

var testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w*)\(`)

// check looks for the packages of the command, their tests and their flags below root.
func (c testCommand) check(t *testing.T, root string) (problems []string) {
	t.Helper()
	args := append([]string{"list", "-tags", c.tags, "-json=Dir,TestGoFiles,XTestGoFiles"}, c.packages...)
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = filepath.Join(root, c.dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return []string{strings.TrimSpace(stderr.String())}
	}
	var text strings.Builder
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			Dir                       string
			TestGoFiles, XTestGoFiles []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, name := range append(p.TestGoFiles, p.XTestGoFiles...) {
			text.WriteString(read(t, filepath.Join(p.Dir, name)))
		}
	}
	var tests []string
	for _, match := range testFunction.FindAllStringSubmatch(text.String(), -1) {
		tests = append(tests, match[1])
	}
	if len(tests) == 0 {
		return []string{fmt.Sprintf("%s: no test with the tags %q", strings.Join(c.packages, " "), c.tags)}
	}
	for _, pattern := range c.names {
		top, _, _ := strings.Cut(pattern, "/")
		expression, err := regexp.Compile(top)
		if err != nil {
			problems = append(problems, err.Error())
		} else if top != "^$" && !slices.ContainsFunc(tests, expression.MatchString) {
			problems = append(problems, fmt.Sprintf("%s: no test matches %s", strings.Join(c.packages, " "), top))
		}
	}
	for _, name := range c.flags {
		if !regexp.MustCompile(`flag\.\w+\((?:&\w+, )?"` + regexp.QuoteMeta(name) + `"`).MatchString(text.String()) {
			problems = append(problems, fmt.Sprintf("%s: no flag -%s", strings.Join(c.packages, " "), name))
		}
	}
	return problems
}

func TestCheckTestCommand(t *testing.T) {
	root := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":      "module example.com/m\n\ngo 1.26\n",
		"a/a_test.go": "package a\n\nimport \"flag\"\n\nvar update = flag.Bool(\"update\", false, \"\")\n\nfunc TestOne(t *testing.T) {}\n\nfunc FuzzOne(f *testing.F) {}\n",
		"b/b_test.go": "//go:build lab\n\npackage b\n\nfunc TestTwo(t *testing.T) {}\n",
	} {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string]string{
		"go test ./a":   "",
		"go test ./...": "",
		"A=b go test -count=1 -run '^TestOne$/case' ./a -update": "",
		"go test -run '^$' -fuzz FuzzOne -fuzztime 5s ./a":       "",
		"go test -tags lab -run TestTwo ./b -args -soak 1s":      "",
		"go -C a test .":            "",
		"go test -run TestTwo ./a":  "no test matches TestTwo",
		"go test -fuzz FuzzTwo ./a": "no test matches FuzzTwo",
		"go test ./a -golden":       "no flag -golden",
		"go test -run TestTwo ./b":  "build constraints exclude all Go files",
		"go test ./c":               "directory not found",
		"go test -run":              "-run has no value",
	} {
		command, err := parseTestCommand(strings.Fields(line))
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = strings.Join(command.check(t, root), "\n")
		}
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}
