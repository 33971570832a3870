//go:build lab

package build

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/frontend/discovery"
	"github.com/kubefile/kubefile/frontend/lint"
)

// TestRulePages builds both examples of every rule's page: the first one is warned of, the second is not.
func TestRulePages(t *testing.T) {
	t.Parallel()
	base := onExample(t)
	for _, rule := range lint.Rules() {
		t.Run(rule.Name, func(t *testing.T) {
			text, err := os.ReadFile("../../docs/rules/" + rule.Page())
			if err != nil {
				t.Fatal(err)
			}
			examples := example.FindAllStringSubmatch(string(text), -1)
			if len(examples) != 2 {
				t.Fatalf("%d examples", len(examples))
			}
			for i, e := range examples {
				context := documented(t)
				context["Kubefile"] = e[2]
				output, err := buildx(t, context.write(t), base...)
				if err != nil {
					t.Fatalf("%v\n%s", err, output)
				}
				if warned := strings.Contains(output, rule.Name+":"); warned != (i == 0) {
					t.Errorf("warned of example %d: %v\n%s", i+1, warned, output)
				}
			}
		})
	}
}

// wrong has something for BuildKit's rules and for ours.
const wrong = `FROM docker.io/library/busybox AS tools
FROM scratch
maintainer me
APP web local://web
LAUNCH web
CMD helm install x ./web
`

func TestCheck(t *testing.T) {
	t.Parallel()
	dir := files{"Kubefile": wrong}.write(t)
	output, err := buildx(t, dir, "--check")
	if err == nil {
		t.Error("warnings leave the exit status alone")
	}
	contains(t, output, "MaintainerDeprecated", "UnpinnedBase", "docs/rules/unpinned-base.md", "NonIdempotentCommand", ">>> CMD helm install x ./web", "4 warnings have been found")
	output, err = buildx(t, files{"Kubefile": "# check=skip=UnpinnedBase,NonIdempotentCommand,MaintainerDeprecated,ConsistentInstructionCasing\n" + wrong}.write(t), "--check")
	if err != nil || !strings.Contains(output, "no warnings found") {
		t.Errorf("%v\n%s", err, output)
	}
	output, err = buildx(t, files{"Kubefile": "FROM scratch\nLAUNCH --x=1 web\n"}.write(t), "--check")
	if err == nil {
		t.Error("a mistake passes the check")
	}
	contains(t, output, "Kubefile:2", "LAUNCH: it has no flag --x")
	output = fails(t, files{"Kubefile": "# check=error=true\nFROM scratch\nCOPY a.yaml /\nCMD kubectl create -f a.yaml\n", "a.yaml": pod("docker.io/library/busybox:latest")})
	contains(t, output, "lint violation found for rules")
}

func TestCalls(t *testing.T) {
	t.Parallel()
	context := files{
		"Kubefile": "FROM scratch AS apps\nAPP web local://web.yaml\n# the release\nARG RELEASE=web\nFROM apps AS all\nLAUNCH web\nCMD kubectl run x --image=docker.io/kubefile/x:2\n",
		"web.yaml": pod("does-not-exist.invalid/web:1"),
	}
	dir := context.write(t)
	output, err := buildx(t, dir, "--call", "outline")
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	contains(t, output, "RELEASE", "web")
	if output, err = buildx(t, dir, "--call", "targets"); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	contains(t, output, "apps", "all (default)")
	if output, err = buildx(t, dir, "--call", "subrequests.describe"); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	contains(t, output, "List the images that a build would embed")
	if output, err = buildx(t, dir, "--call", "images"); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	contains(t, output, "does-not-exist.invalid/web:1", "applications/web/web.yaml:8", "docker.io/kubefile/x:2")
	output, err = buildx(t, dir, "--call", "images,format=json", "--platform", "linux/amd64,linux/arm64", "--progress", "none")
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	var listings []struct {
		Platform string
		discovery.Result
	}
	if err := json.Unmarshal([]byte(output[strings.Index(output, "["):]), &listings); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if len(listings) != 2 || listings[1].Platform != "linux/arm64" || strings.Join(listings[1].Lines(), " ") != "docker.io/kubefile/x:2 does-not-exist.invalid/web:1" {
		t.Errorf("%+v", listings)
	}
}
