package lint

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/kubefile/kubefile/frontend/kubefile"
)

// warnings returns "Rule line" for each, and the messages.
func warnings(t *testing.T, text string, built *Built) (got []string, messages string) {
	t.Helper()
	f, err := kubefile.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	l, err := New([]byte(text), nil, func(rule, _, url, message string, at []parser.Range) {
		place := "0"
		if len(at) > 0 {
			place = fmt.Sprint(at[0].Start.Line)
			if len(at) == 1 && at[0].End.Character > 0 {
				place += fmt.Sprintf(":%d-%d", at[0].Start.Character, at[0].End.Character)
			}
		}
		got = append(got, rule+" "+place)
		messages += message + "\n"
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.File(f, kubefile.Scope{IsReplaced: func(name string) bool { return name == "given" }}); err != nil {
		t.Fatal(err)
	}
	if built != nil {
		l.Built(*built)
	}
	if wantErr := strings.Contains(text, "error=true") && len(got) > 0; (l.Error() != nil) != wantErr {
		t.Errorf("the error is %v", l.Error())
	}
	return got, messages
}

func TestFileRules(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want string
		says string
	}{
		"clean":             {text: "FROM kubernetes:v1.34.4\nRUN true\nCMD helm upgrade --install a b && kubectl apply -f c\nCMD [\"kubectl\", \"get\", \"pods\"]\n"},
		"base":              {text: "ARG TAG=latest\nFROM a AS x\nFROM b:1 AS y\nFROM c:$TAG\nFROM d@sha256:" + strings.Repeat("0", 64) + "\nFROM x\nFROM scratch\nFROM given\n", want: "UnpinnedBase 2:5-6,UnpinnedBase 4:5-11", says: `base image "c:latest"`},
		"skipped":           {text: "# check=skip=UnpinnedBase\nFROM a\n"},
		"all skipped":       {text: "# check=skip=all\nFROM a\nCMD helm install a b\n"},
		"skipped here":      {text: "FROM scratch\n# check=skip=NonIdempotentCommand\nCMD helm install a b\nCMD helm install a b\n# check=skip=NonIdempotentCommand\nCMDS helm install a b\n# check=skip=UnpinnedBase\nFROM a\n# check=skip=IgnoredInstruction\nUSER 1\n# check=skip=CommandList,SecretInCommand\nCMD [\"a b\"]\n"},
		"of one stage":      {text: "FROM a:1 AS x\n# check=skip=NonIdempotentCommand\nCMD helm install a b\nCMD helm install a b\nFROM x\n", want: "NonIdempotentCommand 4:4-16"},
		"error":             {text: "# check=error=true\nFROM a\n", want: "UnpinnedBase 2:5-6"},
		"ignored":           {text: "FROM scratch\nENTRYPOINT x\nEXPOSE 1\n  healthcheck NONE\nSTOPSIGNAL 9\nVOLUME /a\nUSER 1\nONBUILD CMD x\nONBUILD RUN x\n", want: "IgnoredInstruction 2:0-10,IgnoredInstruction 3:0-6,IgnoredInstruction 4:0-13,IgnoredInstruction 5:0-10,IgnoredInstruction 6:0-6,IgnoredInstruction 8:0-7,IgnoredInstruction 7:0-4", says: "EXPOSE has no effect"},
		"root again":        {text: "FROM scratch\nUSER 1\nRUN x\nUSER root:root\n"},
		"shell":             {text: "FROM scratch\nSHELL [\"/bin/bash\", \"-c\"]\nRUN x\nCMD y\n", want: "IgnoredInstruction 2:0-5", says: "run by sh"},
		"shell for RUN":     {text: "FROM scratch\nSHELL [\"/bin/bash\", \"-c\"]\nRUN x\nCMD [\"y\"]\n"},
		"of other stages":   {text: "FROM b:1 AS tools\nUSER 1\nENTRYPOINT x\nFROM scratch\n"},
		"list":              {text: "FROM scratch\nCMD [\"bash a.sh\"]\n", want: "CommandList 2:0-3", says: "CMDS"},
		"helm install":      {text: "FROM scratch\nCMD a && \\\n  helm install b c\n", want: "NonIdempotentCommand 3:2-14", says: "helm upgrade --install"},
		"kubectl create":    {text: "FROM scratch\nCMD kubectl -n x create ns y\n", want: "NonIdempotentCommand 2:4-23", says: "kubectl create fails"},
		"guarded":           {text: "FROM scratch\nCMD kubectl create -f x || true\nCMD kubectl get ns y || kubectl create ns y\nCMD kubectl create ns y --dry-run=client -o yaml | kubectl apply -f -\nCMD if x; then helm install y z; fi\nCMD kubectl run --rm x --image=y\nCMD kubectl create token x\n"},
		"kubectl run":       {text: "FROM scratch\nCMDS [\"kubectl run a --image=b\"]\n", want: "NonIdempotentCommand 2:7-18", says: "kubectl apply"},
		"in sh":             {text: "FROM scratch\nCMD [\"sh\", \"-c\", \"helm install b c\"]\n", want: "NonIdempotentCommand 2:18-30"},
		"secret":            {text: "FROM scratch\nCMD helm upgrade -i a b --set adminPassword=hunter2 --set x.token=$TOKEN --set existingSecret=c --set password=false\nAPP web x\nLAUNCH --set=db.password=hunter2 web\n", want: "SecretInCommand 2:30-43,SecretInCommand 4:13-24", says: "the value of adminPassword is"},
		"directory":         {text: "FROM scratch\nCOPY tidb .\nCMD kubectl apply -f tidb/crd.yaml\n", want: "CopiedDirectory 2", says: "COPY tidb tidb/"},
		"no such directory": {text: "FROM scratch\nCOPY tidb tidb\nCOPY x .\nCOPY . .\nCMD kubectl apply -f tidb/crd.yaml\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, messages := warnings(t, tt.text, nil)
			if strings.Join(got, ",") != tt.want || !strings.Contains(messages, tt.says) {
				t.Errorf("warnings %q, want %q\n%s", got, tt.want, messages)
			}
			if strings.Contains(messages, "hunter2") {
				t.Errorf("a secret is printed: %s", messages)
			}
		})
	}
}

func TestBuiltRules(t *testing.T) {
	at := kubefile.Place{Location: []parser.Range{{Start: parser.Position{Line: 3}}, {Start: parser.Position{Line: 4}}}}
	skipped := kubefile.Place{Comments: []string{"check=skip=MissingCommandFile"}}
	got, messages := warnings(t, "FROM scratch\n\nCMD é \\\n kubectl apply -f é/e.yaml\n", &Built{
		Images:  []Image{{Reference: "docker.io/library/a:1", Found: "x"}, {Reference: "docker.io/library/b:latest", Found: "c.yaml:3"}, {Reference: "docker.io/library/d", Found: "CMD", At: at}},
		Missing: []Missing{{File: "é/e.yaml", At: at}, {File: "f.yaml", At: skipped}},
		Charts:  []string{"charts/f"},
	})
	if want := []string{"UnpinnedImage 0", "UnpinnedImage 3", "MissingCommandFile 4:18-26", "ChartNotInstalled 0"}; !slices.Equal(got, want) {
		t.Errorf("warnings %q, want %q", got, want)
	}
	for _, text := range []string{"docker.io/library/b:latest of c.yaml:3", "no file é/e.yaml", "the chart charts/f"} {
		if !strings.Contains(messages, text) {
			t.Errorf("%q is missing in\n%s", text, messages)
		}
	}
}

// TestPages: each rule has a page and a row in the index, and each page a rule.
func TestPages(t *testing.T) {
	index, err := os.ReadFile("../../docs/rules/README.md")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("../../docs/rules")
	if err != nil {
		t.Fatal(err)
	}
	var pages, want []string
	for _, e := range entries {
		pages = append(pages, e.Name())
	}
	for _, r := range Rules() {
		want = append(want, r.Page())
		text, err := os.ReadFile("../../docs/rules/" + r.Page())
		if err != nil {
			t.Error(err)
			continue
		}
		for _, part := range []string{"# " + r.Name + "\n", r.Description, "## Instead"} {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s has no %q", r.Page(), part)
			}
		}
		when := "always"
		if r.built != nil {
			when = "in a build"
		}
		if row := "| [" + r.Name + "](" + r.Page() + ") | " + when + " |\n"; !strings.Contains(string(index), row) {
			t.Errorf("docs/rules/README.md has no row %q", row)
		}
	}
	want = append(want, "README.md")
	slices.Sort(want)
	if !slices.Equal(pages, want) {
		t.Errorf("pages %q, rules want %q", pages, want)
	}
}
