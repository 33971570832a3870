//go:build lab

package build

import (
	"archive/tar"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDockerfileFeatures: what BuildKit's own frontend can do passes through. Each Kubefile writes /result.
func TestDockerfileFeatures(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hidden"), 0o600); err != nil {
		t.Fatal(err)
	}
	archive := tarball(t, "result", "unpacked")
	other := files{"x": "from a named context"}.write(t)
	for name, tt := range map[string]struct {
		kubefile string
		args     []string
		want     string
	}{
		"build argument": {"ARG A=1\nFROM scratch\nARG A\nARG B=$A-b\nRUN echo $A $B > result\n", []string{"--build-arg", "A=2"}, "2 2-b\n"},
		"environment":    {"FROM scratch\nENV A=x\nRUN echo $A > result\n", nil, "x\n"},
		"secret":         {"FROM scratch\nRUN --mount=type=secret,id=s cat /run/secrets/s > result\n", []string{"--secret", "id=s,src=" + secret}, "hidden"},
		"cache mount":    {"FROM scratch\nRUN --mount=type=cache,target=/c echo cached > /c/x && cp /c/x result\n", nil, "cached\n"},
		"bind mount":     {"FROM scratch AS a\nRUN echo bound > x\nFROM scratch\nRUN --mount=type=bind,from=a,target=/a cat /a/x > result\n", nil, "bound\n"},
		"no network":     {"FROM scratch\nRUN --network=none ls /sys/class/net > result\n", nil, "lo\n"},
		"stages":         {"FROM scratch AS a\nRUN echo staged > x\nFROM scratch\nCOPY --from=a /x /result\n", nil, "staged\n"},
		"target":         {"FROM scratch AS a\nRUN echo chosen > result\nFROM scratch\nRUN false\n", []string{"--target", "a"}, "chosen\n"},
		"RUN heredoc":    {"FROM scratch\nRUN <<E\necho one > result\necho two >> result\nE\n", nil, "one\ntwo\n"},
		"script heredoc": {"FROM scratch\nRUN <<E\n#!/usr/bin/env bash\na=(arrays too)\necho ${a[*]} > result\nE\n", nil, "arrays too\n"},
		"COPY heredoc":   {"FROM scratch\nARG A=1\nCOPY <<E /result\nvalue $A\nE\n", nil, "value 1\n"},
		"named context":  {"FROM scratch\nCOPY --from=other x /result\n", []string{"--build-context", "other=" + other}, "from a named context"},
		"exec form":      {"FROM scratch\nRUN [\"sh\", \"-c\", \"echo $0 > result\", \"argument\"]\n", nil, "argument\n"},
		"working dir":    {"FROM scratch\nWORKDIR /a/b\nRUN pwd > /result\n", nil, "/a/b\n"},
		"user":           {"FROM scratch\nUSER 1000\nRUN --mount=type=tmpfs,target=/t id -u > /t/x && echo fine\nUSER 0\nRUN echo done > result\n", nil, "done\n"},
		"shell":          {"FROM scratch\nSHELL [\"/.kubefile/toolbox/bin/bash\", \"-o\", \"pipefail\", \"-c\"]\nRUN false | true || echo $? > result\n", nil, "1\n"},
		"onbuild":        {"FROM scratch AS a\nONBUILD RUN echo triggered > result\nFROM a\n", nil, "triggered\n"},
		"escape":         {"# escape=`\nFROM scratch\nRUN echo a `\n  b > result\n", nil, "a b\n"},
		"ignored files":  {"FROM scratch\nCOPY . /in\nRUN ls -A /in > result\n", nil, "archive.tar\nkept\n"},
		"ADD unpacks":    {"FROM scratch\nADD archive.tar /\n", nil, "unpacked"},
		"add a file":     {"FROM scratch\nADD http://" + lab.Upstream + "/files/dashboard/recommended.yaml /\nRUN grep -c image: recommended.yaml > result; rm recommended.yaml\n", nil, "2\n"},
		"chmod":          {"FROM scratch\nCOPY --chmod=750 kept /kept\nRUN stat -c %a kept > result\n", nil, "750\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ref, _ := build(t, files{"Kubefile": tt.kubefile, "kept": "x", "archive.tar": archive, "ignored": "y", ".dockerignore": "ignored\nKubefile\n.dockerignore\n"}, tt.args...)
			if got := pull(t, ref, "linux/amd64").file(t, "result"); got != tt.want {
				t.Errorf("result %q, want %q", got, tt.want)
			}
		})
	}
}

// tarball is an archive of files, given by name and content.
func tarball(t *testing.T, pairs ...string) string {
	t.Helper()
	var b strings.Builder
	w := tar.NewWriter(&b)
	for pair := range slices.Chunk(pairs, 2) {
		err := w.WriteHeader(&tar.Header{Name: pair[0], Mode: 0o644, Size: int64(len(pair[1]))})
		if err == nil {
			_, err = w.Write([]byte(pair[1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestOrdinaryImagesAreLeftAlone: a stage on any other image runs as with a Dockerfile. The lab's images for the toolbox's programs run.
func TestOrdinaryImagesAreLeftAlone(t *testing.T) {
	t.Parallel()
	ref, output := build(t, files{"Kubefile": `FROM docker.io/library/busybox:latest AS tools
RUN echo $PATH > /path && ls -d /.kubefile 2>/dev/null >> /path || true
FROM scratch
COPY --from=tools /path /result
`})
	if got := pull(t, ref, "linux/amd64").file(t, "result"); strings.Contains(got, "kubefile") {
		t.Errorf("the stage has the toolbox: %q\n%s", got, output)
	}
}

func TestSubrequests(t *testing.T) {
	t.Parallel()
	content := files{"Kubefile": `FROM scratch AS tools
ARG EXTRA=x
CMD one
CMD two
FROM tools AS final
COPY . /
`}
	for call, want := range map[string][]string{
		"outline": {"final", "EXTRA"},
		"targets": {"tools", "final (default)"},
		"check":   {"Check complete, no warnings found."},
	} {
		output, err := buildx(t, content.write(t), "--call", call)
		if err != nil {
			t.Errorf("%s: %v", call, err)
		}
		contains(t, output, want...)
	}
}

func TestLintPointsAtTheLine(t *testing.T) {
	t.Parallel()
	content := files{"Kubefile": "FROM scratch\nCMD one\nCMD two\nENTRYPOINT a\nENTRYPOINT b\nENV PASSWORD=x\nrun true\n"}
	output, err := buildx(t, content.write(t), "--call", "check")
	if err == nil {
		t.Error("check did not fail")
	}
	contains(t, output, "MultipleInstructionsDisallowed", "Kubefile:4", "SecretsUsedInArgOrEnv", "Kubefile:6", "ConsistentInstructionCasing", "Kubefile:7")
	if strings.Contains(output, "JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/\nJSON arguments recommended for CMD") ||
		strings.Contains(output, "Multiple CMD instructions") {
		t.Errorf("a rule against CMD speaks:\n%s", output)
	}
	build(t, content) // warnings do not fail a build
}

func TestErrorOnWarnings(t *testing.T) {
	t.Parallel()
	build(t, files{"Kubefile": "# check=error=true\nFROM scratch\nCMD one\nCMD two\n"})
	output := fails(t, files{"Kubefile": "# check=error=true\nFROM scratch\nENV PASSWORD=x\n"})
	contains(t, output, "SecretsUsedInArgOrEnv")
}
