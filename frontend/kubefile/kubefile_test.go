package kubefile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
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

func TestContent(t *testing.T) {
	const stages = `ARG BASE=a
FROM scratch AS a
CMD one
FROM scratch AS b
CMD two
FROM ${BASE}
CMD three
`
	for name, tt := range map[string]struct {
		text  string
		scope Scope
		want  string // a step a line
		apps  string
		reset bool
	}{
		"none":                {text: "FROM scratch\n"},
		"in order":            {text: "FROM scratch\nCMD a\nENV X=y\nCMD b $X\n", want: "sh a\nsh b $X"},
		"exec form":           {text: "FROM scratch\nCMD [\"a\", \"b c\"]\n", want: `exec ["a","b c"]`},
		"list of lines":       {text: "FROM scratch\nCMD [\"bash a.sh\", \"b\"]\n", want: "sh bash a.sh\nsh b"},
		"one line in a list":  {text: "FROM scratch\nCMD [\"bash entrypoint.sh\"]\n", want: "sh bash entrypoint.sh"},
		"continued":           {text: "FROM scratch\nCMD a \\\n  # why\n  b\n", want: "sh a   b"},
		"taken back":          {text: "FROM scratch\nCMD a\nLAUNCH x\nCMD []\nCMD b\nLAUNCH y\n", want: "sh b\nlaunch y", reset: true},
		"CMDS":                {text: "FROM scratch\nCMDS [\"a b\", \"c\"]\nCMDS d e\n", want: "sh a b\nsh c\nsh d e"},
		"LAUNCH":              {text: "FROM scratch\nCMD a\nLAUNCH x y\nlaunch [\"z\"]\nCMD b\n", want: "sh a\nlaunch x\nlaunch y\nlaunch z\nsh b"},
		"LAUNCH with flags":   {text: "FROM scratch\nLAUNCH --namespace=n --values=a.yaml --values=b.yaml --set=a=b x\n", want: "launch x n [a.yaml b.yaml] [a=b]"},
		"APP":                 {text: "FROM scratch\nAPP web local://a\nAPP web https://x/y\nAPP db ./c\n", apps: "web db"},
		"CNI":                 {text: "FROM scratch\nCMD a\nCNI calico.yaml\nCSI rook local://r local://s\nCSI rook local://t\n", want: "sh a\nlaunch cni\nlaunch rook", apps: "cni:cni rook:csi"},
		"stage by variable":   {text: stages, want: "sh one\nsh three"},
		"build argument":      {text: stages, scope: Scope{BuildArgs: map[string]string{"BASE": "b"}}, want: "sh two\nsh three"},
		"target":              {text: stages, scope: Scope{Target: "B"}, want: "sh two"},
		"other base":          {text: stages, scope: Scope{BuildArgs: map[string]string{"BASE": "debian"}}, want: "sh three"},
		"platform variable":   {text: "FROM scratch AS x-arm64\nCMD a\nFROM x-$TARGETARCH\n", scope: Scope{Platform: map[string]string{"TARGETARCH": "arm64"}}, want: "sh a"},
		"stage replaced":      {text: stages, scope: Scope{IsReplaced: func(stage string) bool { return stage == "a" }}, want: "sh three"},
		"later of two stages": {text: "FROM scratch AS a\nCMD old\nFROM scratch AS a\nCMD new\nFROM a\n", want: "sh new"},
		"own name":            {text: "FROM debian AS debian\nCMD a\n", want: "sh a"},
		"other stage's":       {text: "FROM scratch AS a\nAPP x y\nLAUNCH x\nFROM scratch\nAPP z y\n", apps: "z"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.scope.IsReplaced == nil {
				tt.scope.IsReplaced = noContexts
			}
			content, err := parse(t, tt.text).Content(tt.scope)
			if err != nil {
				t.Fatal(err)
			}
			var steps, apps []string
			for _, s := range content.Steps {
				steps = append(steps, stepText(s))
			}
			for _, a := range content.Apps {
				apps = append(apps, strings.TrimSuffix(a.Name+":"+a.Role, ":"))
			}
			if got := strings.Join(steps, "\n"); got != tt.want || content.Reset != tt.reset || strings.Join(apps, " ") != tt.apps {
				t.Errorf("steps\n%s\nreset %v, apps %v; want\n%s\n%v, %v", got, content.Reset, apps, tt.want, tt.reset, tt.apps)
			}
		})
	}
}

func TestVariablesInLaunch(t *testing.T) {
	for name, tt := range map[string]struct {
		text  string // before LAUNCH
		flags string
		scope Scope
		want  string // of the step, or the error with its line
	}{
		"ARG":                     {"ARG V=v3\n", "--set=tag=$V", Scope{}, "launch x  [] [tag=v3]"},
		"ENV":                     {"ENV W=v4\n", "--set=tag=${W}-a", Scope{}, "launch x  [] [tag=v4-a]"},
		"every flag":              {"ARG V=v3\n", "--namespace=$V --values=$V.yaml --values=b.yaml --set=a=$V", Scope{}, "launch x v3 [v3.yaml b.yaml] [a=v3]"},
		"build argument":          {"ARG V=v3\n", "--set=a=$V", Scope{BuildArgs: map[string]string{"V": "given"}}, "launch x  [] [a=given]"},
		"undeclared argument":     {"", "--set=a=$V", Scope{BuildArgs: map[string]string{"V": "given"}}, "LAUNCH: --set=a=$V: the variable V is not set; set it by ARG or ENV before this line"},
		"global argument":         {"ARG G\n", "--set=a=$G", Scope{}, "launch x  [] [a=global]"},
		"global, not declared":    {"", "--set=a=$G", Scope{}, "LAUNCH: --set=a=$G: the variable G is not set; set it by ARG or ENV before this line"},
		"platform argument":       {"ARG TARGETARCH\n", "--set=a=$TARGETARCH", Scope{Platform: map[string]string{"TARGETARCH": "arm64"}}, "launch x  [] [a=arm64]"},
		"last one":                {"ENV V=1\nENV V=2\n", "--set=a=$V", Scope{}, "launch x  [] [a=2]"},
		"ENV out of ARG":          {"ARG V=3\nENV W=v$V\n", "--set=a=$W", Scope{}, "launch x  [] [a=v3]"},
		"of the base":             {"", "--set=a=$B", Scope{BaseEnv: []string{"B=base"}}, "launch x  [] [a=base]"},
		"base not known":          {"", "--set=a=$B", Scope{BaseEnv: []string(nil)}, "launch x  [] [a=$B]"},
		"set afterwards":          {"", "--set=a=$LATER", Scope{}, "LAUNCH: --set=a=$LATER: the variable LATER is not set; set it by ARG or ENV before this line"},
		"default":                 {"", "--set=a=${V:-d}", Scope{}, "launch x  [] [a=d]"},
		"empty":                   {"ENV V=\n", "--set=a=$V", Scope{}, "launch x  [] [a=]"},
		"required":                {"", "--set=a=${V:?unset}", Scope{}, "V: unset"},
		"no variable":             {"", "--set=a=b\\\\,c", Scope{}, `launch x  [] [a=b\,c]`},
		"of the stage it is from": {"ARG V=v3\nFROM first\n", "--set=a=$V", Scope{}, "launch x  [] [a=v3]"},
	} {
		t.Run(name, func(t *testing.T) {
			text := "ARG G=global\nFROM scratch AS first\n" + tt.text + "LAUNCH " + tt.flags + " x\nENV LATER=1\n"
			tt.scope.IsReplaced = noContexts
			if name != "base not known" && tt.scope.BaseEnv == nil {
				tt.scope.BaseEnv = []string{}
			}
			content, err := parse(t, text).Content(tt.scope)
			got := ""
			if err != nil {
				got = err.Error()
				var at *parser.LocationError
				if !errors.As(err, &at) {
					t.Errorf("no line in: %v", err)
				}
			} else {
				l := content.Steps[0].Launch
				got = fmt.Sprintf("launch %s %s %v %v", l.App, l.Namespace, l.Values, l.Set)
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func stepText(s Step) string {
	switch {
	case s.Launch != nil && s.Launch.Namespace != "":
		return fmt.Sprintf("launch %s %s %v %v", s.Launch.App, s.Launch.Namespace, s.Launch.Values, s.Launch.Set)
	case s.Launch != nil:
		return "launch " + s.Launch.App
	case s.Command.Shell != "":
		return "sh " + s.Command.Shell
	}
	return "exec " + list(s.Command.Exec)
}

func TestDockerfile(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"untouched":   {"# c\nFROM scratch\nRUN <<E\nCMD x\nE\n", "# c\nFROM scratch\nRUN <<E\nCMD x\nE\n"},
		"last one":    {"FROM scratch\nCMD a\nRUN b\nCMD c \"d\"\n", "FROM scratch\n#\nRUN b\nCMD [\"/bin/sh\",\"-c\",\"c \\\"d\\\"\"]\n"},
		"every stage": {"FROM scratch AS a\nCMD a\nFROM a\nCMD b\n", "FROM scratch AS a\nCMD [\"/bin/sh\",\"-c\",\"a\"]\nFROM a\nCMD [\"/bin/sh\",\"-c\",\"b\"]\n"},
		"long ones":   {"FROM scratch\nCMD a \\\n  b\nCMD c \\\n  d\n", "FROM scratch\n#\n#\nCMD [\"/bin/sh\",\"-c\",\"c   d\"]\n#\n"},
		"exec form":   {"FROM scratch\ncmd [\"a\", \"b\"]\n", "FROM scratch\ncmd [\"a\",\"b\"]\n"},
		"empty":       {"FROM scratch\nCMD []\n", "FROM scratch\nCMD []\n"},
		"APP, files":  {"FROM scratch\nAPP a local://b c \\\n  local:///d\n", "FROM scratch\nCOPY [\"b\",\"c\",\"d\",\"/applications/a/\"]\n#\n"},
		"APP, URL":    {"FROM scratch\nAPP --checksum=sha256:1 a https://x/y.tgz\n", "FROM scratch\nADD --unpack=false --checksum=sha256:1 [\"https://x/y.tgz\",\"/applications/a/\"]\n"},
		"APP, chart": {"FROM scratch\napp a helm://x/y@1 oci://z:$V\n", "FROM scratch\nrun " +
			"[\"/.kubefile/chart\",\"helm://x/y@1\",\"oci://z:$V\",\"/applications/a/\"]\n"},
		"CNI":           {"FROM scratch\nCNI https://x/y.yaml\n", "FROM scratch\nADD --unpack=false [\"https://x/y.yaml\",\"/applications/cni/\"]\n"},
		"CSI":           {"FROM scratch\nCSI rook a b\n", "FROM scratch\nCOPY [\"a\",\"b\",\"/applications/rook/\"]\n"},
		"no traces":     {"FROM scratch\nLAUNCH a\nCMDS [\"b\"]\n", "FROM scratch\n#\n#\n"},
		"KUBEVERSION":   {"FROM scratch\nKUBEVERSION \">=1.28, <1.35\"\n", "FROM scratch\nLABEL io.kubefile.kubernetes.supported=\">=1.28, <1.35\"\n"},
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
		"FROM scratch\nNONE x\n":                               2,
		"RUN a\nFROM scratch\n":                                1,
		"FROM scratch\nRUN <<E\nx":                             2,
		"FROM a b c d\n":                                       1,
		"FROM scratch\n\nCOPY one\n":                           3,
		"APP a b\nFROM scratch\n":                              1,
		"FROM scratch\nAPP a\n":                                2,
		"FROM scratch\nAPP A b\n":                              2,
		"FROM scratch\nAPP a ftp://b/c\n":                      2,
		"FROM scratch\nAPP a helm://b/c d\n":                   2,
		"FROM scratch\nAPP --checksum=1 a b c\n":               2,
		"FROM scratch\nAPP --checksum a b\n":                   2,
		"FROM scratch\nAPP --other=1 a b\n":                    2,
		"FROM scratch\nCNI\n":                                  2,
		"FROM scratch\nLAUNCH\n":                               2,
		"FROM scratch\nLAUNCH $A\n":                            2,
		"FROM scratch\nLAUNCH --namespace=a --namespace=b c\n": 2,
		"FROM scratch\nCMDS [\"\"]\n":                          2,
		"FROM scratch\nCMDS --a=b c\n":                         2,
		"FROM scratch\nKUBEVERSION new\n":                      2,
		"FROM scratch\nKUBEVERSION\n":                          2,
		"FROM scratch\nRUN a\nONBUILD launch a\n":              3,
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
	f.Add("FROM scratch\nAPP a helm://b/c@1\nCNI d \\\n  e\nLAUNCH --set=x=y a\nCMDS [\"f g\"]\nKUBEVERSION >1\n")
	f.Add("FROM scratch\n# check=skip=all\nRUN a\n# check=error=x\nLAUNCH b\n# check\nCMD c\n")
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
		if _, err := file.Content(Scope{IsReplaced: noContexts}); err != nil {
			return // a variable that cannot be read
		}
		again, err := parser.Parse(bytes.NewReader(out))
		if err != nil {
			t.Fatalf("%v: %q", err, out)
		}
		stages, _, err := instructions.Parse(again.AST, linter.New(&linter.Config{}))
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
