//go:build lab

package build

import (
	"crypto/ed25519"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// exampleBuild builds the image of examples/kubernetes, once for all tests.
var exampleBuild sync.Once

// kubernetes is the image of examples/kubernetes, with the real programs and without a shell.
func kubernetes(t *testing.T) string {
	t.Helper()
	exampleBuild.Do(func() {
		if output, err := run(t, "env", "PREFIX=build/", "../lab/examples.sh", "kubernetes"); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
	})
	return lab.Registry + "/build/kubernetes:v1.34.4"
}

// runCase is steps on a base without a shell, and what they leave.
type runCase struct {
	steps string
	args  []string
	want  string // pattern of the whole result
}

// TestRunOnABaseWithoutShell: what RUN can do, it can do in a rootfs that has programs of Kubernetes and nothing else. A step leaves what it
// writes, here a file "result", and nothing of the toolbox or of its mounts.
func TestRunOnABaseWithoutShell(t *testing.T) {
	base := kubernetes(t)
	cases := runsWithMounts(t)
	maps.Copy(cases, runsOfScripts())
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.check(t, base)
		})
	}
}

func (tt runCase) check(t *testing.T, base string) {
	t.Helper()
	ref, _ := build(t, files{"Kubefile": "FROM " + base + " AS base\n" + tt.steps, "kept": "x"}, tt.args...)
	image := pull(t, ref, "linux/amd64")
	if got := image.file(t, "result"); !regexp.MustCompile("^" + tt.want + "$").MatchString(got) {
		t.Errorf("result %q, want %q", got, tt.want)
	}
	below, _ := pull(t, base, "linux/amd64").split(t)
	own, _ := image.split(t)
	for _, layer := range own[len(below):] {
		for _, e := range image.entries(t, layer.Descriptor) {
			if !slices.Contains([]string{"result", "opt/", "registry/", "registry/images.lock.json"}, e.Name) {
				t.Errorf("a layer has %s", e.Name)
			}
			if strings.Contains(string(e.content), "hidden away") {
				t.Errorf("the secret is in %s", e.Name)
			}
		}
	}
}

// runsWithMounts run packed programs, and see what BuildKit mounts.
func runsWithMounts(t *testing.T) map[string]runCase {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hidden away"), 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]runCase{
		"packed programs": {
			steps: "RUN kubectl version --client > result && helm version --short >> result && kubeadm version -o short >> result && command -v helm >> result\n",
			want:  `(?s)Client Version: v1\.34\.4.*\nv4\.\S+\nv1\.34\.4\n/bin/helm\n`,
		},
		"packed program in exec form": {
			steps: "RUN [\"kubectl\", \"create\", \"configmap\", \"x\", \"--dry-run=client\", \"-o\", \"name\"]\nRUN echo ran > result\n",
			want:  "ran\n",
		},
		"chart rendered by the packed helm": {
			steps: "RUN --mount=type=tmpfs,target=/t cd /t && helm create c > /dev/null && helm template r c --show-only templates/service.yaml | grep -c 'name: r-c' > /result\n",
			want:  "[1-9]\n",
		},
		"cache mount": {
			steps: "RUN --mount=type=cache,target=/c,id=run-test echo kept > /c/kept && echo one > /c/$(date +%s)\nRUN --mount=type=cache,target=/c,id=run-test cat /c/kept > result\n",
			want:  "kept\n",
		},
		"secret": {
			steps: "RUN --mount=type=secret,id=s sha256sum < /run/secrets/s > result && stat -c %a /run/secrets/s >> result\n",
			args:  []string{"--secret", "id=s,src=" + secret},
			want:  "[0-9a-f]{64}  -\n400\n",
		},
		"secret in the environment": {
			steps: "RUN --mount=type=secret,id=s,env=TOKEN test \"$TOKEN\" = 'hidden away' && echo known > result\nRUN echo ${TOKEN-gone} >> result\n",
			args:  []string{"--secret", "id=s,src=" + secret},
			want:  "known\ngone\n",
		},
		"secret that may be missing": {
			steps: "RUN --mount=type=secret,id=s,required=false,target=/s test ! -e /s && echo none > result\n",
			want:  "none\n",
		},
		"ssh": {
			steps: "RUN --mount=type=ssh test -S \"$SSH_AUTH_SOCK\" && echo agent > result\n",
			args:  []string{"--ssh", "default=" + sshKey(t)},
			want:  "agent\n",
		},
		"bind from the context": {
			steps: "RUN --mount=type=bind,source=kept,target=/in/kept cat /in/kept > result\n",
			want:  "x",
		},
		"bind from a stage, written to": {
			steps: "FROM scratch AS a\nRUN echo staged > x\nFROM base\nRUN --mount=type=bind,from=a,target=/a,rw echo lost >> /a/x && cat /a/x > result\nRUN --mount=type=bind,from=a,target=/a cat /a/x >> result\n",
			want:  "staged\nlost\nstaged\n",
		},
		"tmpfs": {
			steps: "RUN --mount=type=tmpfs,target=/t echo lost > /t/x && echo kept > result\n",
			want:  "kept\n",
		},
	}
}

// runsOfScripts are heredocs, and steps with and without a network.
func runsOfScripts() map[string]runCase {
	url := "http://" + lab.Upstream + "/files/dashboard/recommended.yaml"
	return map[string]runCase{
		"heredoc": {
			steps: "RUN <<E\nset -e\nfor i in 1 2; do\n  echo \"$i\" >> result\ndone\nE\n",
			want:  "1\n2\n",
		},
		"heredoc of bash": {
			steps: "RUN <<\"E\"\n#!/bin/bash\na=(x \"y z\")\necho \"${#a[@]}\" > result\nE\n",
			want:  "2\n",
		},
		"heredoc as input": {
			steps: "WORKDIR /opt\nRUN cat > /result <<E\nin $PWD\nE\n",
			want:  "in /opt\n",
		},
		"network": {
			steps: "RUN wget -q -O- " + url + " | grep -c image: > result\n",
			want:  "2\n",
		},
		"no network": {
			steps: "RUN --network=none ls /sys/class/net > result; ! wget -q -T 2 -O- " + url + "\n",
			want:  "lo\n",
		},
	}
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	for steps, want := range map[string]string{
		"RUN exit 3\n":                                         "exit code: 3",
		"RUN <<E\nset -e\n(exit 4)\ntrue\nE\n":                 "exit code: 4",
		"RUN [\"nosuchprogram\"]\n":                            "nosuchprogram",
		"RUN nosuchprogram\n":                                  "exit code: 127",
		"RUN --mount=type=secret,id=none,required=true true\n": "secret none: not found",
	} {
		contains(t, fails(t, files{"Kubefile": "FROM scratch\n" + steps}), want, "Kubefile:2")
	}
}

// sshKey is a file with a new private key.
func sshKey(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
