package kubefile

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/kubefile/kubefile/imagespec"
)

func parse(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func noContexts(string) bool { return false }

func TestCommands(t *testing.T) {
	const stages = `ARG BASE=a
FROM scratch AS a
CMD one
FROM scratch AS b
CMD two
FROM ${BASE}
CMD three
`
	sh := func(lines ...string) (all []imagespec.Command) {
		for _, line := range lines {
			all = append(all, imagespec.Command{Shell: line})
		}
		return all
	}
	for name, tt := range map[string]struct {
		text  string
		scope Scope
		want  []imagespec.Command
		reset bool
	}{
		"none":                {text: "FROM scratch\n"},
		"in order":            {text: "FROM scratch\nCMD a\nENV X=y\nCMD b $X\n", want: sh("a", "b $X")},
		"exec form":           {text: "FROM scratch\nCMD [\"a\", \"b c\"]\n", want: []imagespec.Command{{Exec: []string{"a", "b c"}}}},
		"continued":           {text: "FROM scratch\nCMD a \\\n  # why\n  b\n", want: sh("a   b")},
		"taken back":          {text: "FROM scratch\nCMD a\nCMD []\nCMD b\n", want: sh("b"), reset: true},
		"stage by variable":   {text: stages, want: sh("one", "three")},
		"build argument":      {text: stages, scope: Scope{BuildArgs: map[string]string{"BASE": "b"}}, want: sh("two", "three")},
		"target":              {text: stages, scope: Scope{Target: "B"}, want: sh("two")},
		"other base":          {text: stages, scope: Scope{BuildArgs: map[string]string{"BASE": "debian"}}, want: sh("three")},
		"platform variable":   {text: "FROM scratch AS x-arm64\nCMD a\nFROM x-$TARGETARCH\n", scope: Scope{Platform: map[string]string{"TARGETARCH": "arm64"}}, want: sh("a")},
		"stage replaced":      {text: stages, scope: Scope{IsReplaced: func(stage string) bool { return stage == "a" }}, want: sh("three")},
		"later of two stages": {text: "FROM scratch AS a\nCMD old\nFROM scratch AS a\nCMD new\nFROM a\n", want: sh("new")},
		"own name":            {text: "FROM debian AS debian\nCMD a\n", want: sh("a")},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.scope.IsReplaced == nil {
				tt.scope.IsReplaced = noContexts
			}
			got, reset, err := parse(t, tt.text).Commands(tt.scope)
			if err != nil || reset != tt.reset || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("commands %+v, reset %v (%v); want %+v, %v", got, reset, err, tt.want, tt.reset)
			}
		})
	}
}

func TestDockerfile(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"untouched":     {"# c\nFROM scratch\nRUN <<E\nCMD x\nE\n", "# c\nFROM scratch\nRUN <<E\nCMD x\nE\n"},
		"last one":      {"FROM scratch\nCMD a\nRUN b\nCMD c \"d\"\n", "FROM scratch\n#\nRUN b\nCMD [\"/bin/sh\",\"-c\",\"c \\\"d\\\"\"]\n"},
		"every stage":   {"FROM scratch AS a\nCMD a\nFROM a\nCMD b\n", "FROM scratch AS a\nCMD [\"/bin/sh\",\"-c\",\"a\"]\nFROM a\nCMD [\"/bin/sh\",\"-c\",\"b\"]\n"},
		"long ones":     {"FROM scratch\nCMD a \\\n  b\nCMD c \\\n  d\n", "FROM scratch\n#\n#\nCMD [\"/bin/sh\",\"-c\",\"c   d\"]\n#\n"},
		"exec form":     {"FROM scratch\ncmd [\"a\", \"b\"]\n", "FROM scratch\ncmd [\"a\",\"b\"]\n"},
		"empty":         {"FROM scratch\nCMD []\n", "FROM scratch\nCMD []\n"},
		"split keyword": {"FROM scratch\nCM\\\nD a\n", "FROM scratch\nCMD [\"/bin/sh\",\"-c\",\"a\"]\n#\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(parse(t, tt.text).Dockerfile()); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestUnlinked(t *testing.T) {
	f := parse(t, "FROM scratch\nCOPY --link=false a b\nCOPY a b\nADD --link=false \\\n a b\nCOPY --link a b\n")
	for line, want := range map[int]bool{1: false, 2: true, 3: false, 4: true, 5: false, 6: false} {
		if f.Unlinked(line) != want {
			t.Errorf("line %d: %v", line, !want)
		}
	}
}

func TestErrorsHaveAPlace(t *testing.T) {
	for text, line := range map[string]int{
		"FROM scratch\nNONE x\n":     2,
		"RUN a\nFROM scratch\n":      1,
		"FROM scratch\nRUN <<E\nx":   2,
		"FROM a b c d\n":             1,
		"FROM scratch\n\nCOPY one\n": 3,
	} {
		_, err := Parse([]byte(text))
		var at *parser.LocationError
		if !errors.As(err, &at) || at.Locations[0][0].Start.Line != line {
			t.Errorf("%q: %v, want an error in line %d", text, err, line)
		}
	}
}

// FuzzDockerfile: whatever parses keeps its lines, and what comes out parses again with one CMD per stage at most.
func FuzzDockerfile(f *testing.F) {
	f.Add("FROM scratch\nCMD a\nCMD b \\\n  c\n")
	f.Add("# escape=`\nFROM a AS b\nCMD [\"x\"]\nFROM b\nCMD x `\n y\nONBUILD CMD z\n")
	f.Add("FROM scratch\nRUN <<CMD\nCMD\nCMD\nCMD x\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse([]byte(text))
		if err != nil {
			return
		}
		out := file.Dockerfile()
		if strings.Count(text, "\n") != bytes.Count(out, []byte("\n")) {
			t.Fatalf("other lines: %q", out)
		}
		if _, _, err := file.Commands(Scope{IsReplaced: noContexts}); err != nil {
			return // a variable that cannot be read
		}
		again, err := parser.Parse(bytes.NewReader(out))
		if err != nil {
			t.Fatalf("%v: %q", err, out)
		}
		stages, _, err := instructions.Parse(again.AST, nil)
		if err != nil {
			t.Fatalf("%v: %q", err, out)
		}
		if len(stages) != len(file.stages) {
			t.Fatalf("%d stages, %d before: %q", len(stages), len(file.stages), out)
		}
		for _, stage := range stages {
			if n := len(commandsOf(stage)); n > 1 {
				t.Fatalf("%d commands: %q", n, out)
			}
		}
	})
}
