//go:build lab

package build

import (
	"strings"
	"testing"
)

func TestUnresolvableReferences(t *testing.T) {
	t.Parallel()
	output := fails(t, files{
		"Kubefile":         "FROM scratch\nCOPY . /\n",
		".dockerignore":    "Kubefile\n",
		"manifests/a.yaml": pod("docker.io/library/does-not-exist:v1", "quay.io/lab/fine:v1"),
		"manifests/b.yaml": "# a comment\n" + pod("docker.io/library/does-not-exist:v1", "gcr.io/lab/also-does-not-exist:v2"),
	})
	contains(t, output,
		"2 images cannot be embedded",
		"manifests/a.yaml:8: docker.io/library/does-not-exist:v1 (pod-spec)",
		"manifests/b.yaml:9: docker.io/library/does-not-exist:v1 (pod-spec)",
		"manifests/b.yaml:11: gcr.io/lab/also-does-not-exist:v2 (pod-spec)",
		"docker login")
	if strings.Contains(output, "quay.io/lab/fine:v1 (") {
		t.Errorf("a good reference is reported:\n%s", output)
	}
}

func TestWrongPlatform(t *testing.T) {
	t.Parallel()
	for _, reference := range []string{"docker.io/lab-arm64/app:v1", "docker.io/lab-single/app:v1"} {
		platform := "linux/amd64"
		if strings.Contains(reference, "single") {
			platform = "linux/arm64"
		}
		output := fails(t, files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod(reference)}, "--platform", platform)
		contains(t, output, "a.yaml:8: "+reference+" (pod-spec)", platform)
	}
}

func TestCredentialsAreMissing(t *testing.T) {
	t.Parallel()
	output := fails(t, files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod("docker.io/lab-private/app:v1")})
	contains(t, output, "a.yaml:8: docker.io/lab-private/app:v1", "docker login")
}

func TestErrorsPointAtTheKubefile(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		kubefile string
		want     []string
	}{
		"unknown instruction": {"FROM scratch\n\nUNKNOWN x\n", []string{"Kubefile:3", "unknown instruction: UNKNOWN"}},
		"missing file":        {"FROM scratch\nCMD a\nCMD b\nCOPY nothing /\n", []string{"Kubefile:4", `"/nothing": not found`}},
		"failing command":     {"FROM scratch\nCMD a \\\n  b\nRUN echo broken; exit 7\n", []string{"Kubefile:4", "exit code: 7"}},
		"unknown variable":    {"FROM scratch\nFROM --platform=${NONE} scratch\n", []string{"Kubefile:2", "empty platform"}},
		"unknown base":        {"# a comment\nFROM docker.io/library/does-not-exist:v1\n", []string{"Kubefile:2", "does-not-exist"}},
	} {
		t.Run(name, func(t *testing.T) {
			contains(t, fails(t, files{"Kubefile": tt.kubefile}), tt.want...)
		})
	}
}

func TestMirrorsAreChecked(t *testing.T) {
	t.Parallel()
	output := fails(t, files{"Kubefile": "FROM scratch\n"}, "--build-arg", "KUBEFILE_MIRRORS=docker.io")
	contains(t, output, "KUBEFILE_MIRRORS", `"docker.io" is not of the form`)
}

// TestABuildRefusesWhatHostsWould: with the line that made it, and the path.
func TestABuildRefusesWhatHostsWould(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		kubefile string
		want     []string
	}{
		"named pipe":       {"FROM scratch\nCOPY a.yaml /\nRUN mkdir -p run && mkfifo run/pipe\nCOPY a.yaml /etc/\n", []string{"Kubefile:3", `"/run/pipe"`, "a named pipe"}},
		"device":           {"FROM scratch\nCOPY a.yaml /\nRUN mkdir nodes && mknod nodes/sda b 8 0\n", []string{"Kubefile:3", `"/nodes/sda"`, "a device"}},
		"whiteout":         {"FROM scratch\nCOPY a.yaml /etc/hosts\nCOPY a.yaml /etc/.wh.hosts\n", []string{"Kubefile:3", `"/etc/.wh.hosts"`, ".wh."}},
		"reserved name":    {"FROM scratch\nCOPY a.yaml /\nCOPY a.yaml /.kubefile/unpacked.json\n", []string{"Kubefile:3", `"/.kubefile/unpacked.json"`, "reserved"}},
		"a link":           {"FROM scratch\nRUN mkdir x && ln -s x registry\n", []string{"Kubefile:2", `"/registry"`, "reserved"}},
		"a dangling link":  {"FROM scratch\nCOPY a.yaml /\nRUN ln -s nothing registry\n", []string{"Kubefile:3", `"/registry"`, "reserved"}},
		"of another stage": {"FROM scratch AS a\nRUN mkfifo pipe\nFROM scratch\nCOPY a.yaml /\nCOPY --from=a /pipe /p\n", []string{"Kubefile:5", `"/p"`, "a named pipe"}},
		"NUL in a command": {"FROM scratch\nCOPY a.yaml /\nCMD true\nCMD [\"echo\", \"a\\u0000b\"]\n", []string{"Kubefile:4", "NUL"}},
		"no program":       {"FROM scratch\nCOPY a.yaml /\nCMD [\"\", \"b\"]\n", []string{"Kubefile:3", "program"}},
		"no version":       {"FROM scratch\nLABEL io.kubefile.kubernetes.version=new\nCOPY a.yaml /\n", []string{"io.kubefile.kubernetes.version", `"new"`}},
	} {
		t.Run(name, func(t *testing.T) {
			contains(t, fails(t, files{"Kubefile": tt.kubefile, "a.yaml": "a: 1\n"}), tt.want...)
		})
	}
}
