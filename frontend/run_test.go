package frontend_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/frontend/gatewaytest"
)

// fs is a file system with the files.
func (f files) fs() fs.FS {
	all := fstest.MapFS{}
	for name, content := range f {
		all[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return all
}

// TestRun: what a RUN can mount, on a rootfs without a shell. Nothing of it stays in the image but what the step writes.
func TestRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	secrets := map[string]string{"token": "hidden away"}
	for name, tt := range map[string]struct {
		lines string
		want  string
	}{
		"nothing":                        {"RUN echo made > result\n", "made\n"},
		"secret":                         {"RUN --mount=type=secret,id=token read x < /run/secrets/token || test \"$x\" = 'hidden away' && echo known > result\n", "known\n"},
		"secret in the environment":      {"RUN --mount=type=secret,id=token,env=TOKEN test \"$TOKEN\" = 'hidden away' && echo known > result\nRUN echo ${TOKEN-gone} >> result\n", "known\ngone\n"},
		"secret that may be missing":     {"RUN --mount=type=secret,id=none,required=false,target=/s test ! -e /s && echo none > result\n", "none\n"},
		"cache":                          {"RUN --mount=type=cache,target=/c echo kept > /c/kept\nRUN --mount=type=cache,target=/c test -e /c/kept && echo kept > result\n", "kept\n"},
		"tmpfs":                          {"RUN --mount=type=tmpfs,target=/t echo lost > /t/x && echo kept > result\n", "kept\n"},
		"bind from the context":          {"RUN --mount=type=bind,source=kept,target=/in/kept read x < /in/kept || echo $x > result\n", "x\n"},
		"bind from a stage, written to":  {"FROM scratch AS a\nRUN echo staged > x\nFROM scratch\nRUN --mount=type=bind,from=a,target=/a,rw echo lost >> /a/x && echo kept > result\n", "kept\n"},
		"argument":                       {"ARG NAME=default\nRUN echo $NAME > result\n", "given\n"},
		"platform":                       {"ARG TARGETARCH\nRUN echo $TARGETARCH > result\n", "amd64\n"},
		"working directory":              {"WORKDIR /opt\nCOPY kept .\nRUN read x < kept || echo $x > /result\n", "x\n"},
		"in a stage with its own system": {"FROM docker.io/library/debian:12 AS debian\nRUN echo from debian > result\nFROM scratch\nCOPY --from=debian result /\n", "from debian\n"},
		"heredoc":                        {"COPY <<E result\nhere\nE\n", "here\n"},
	} {
		t.Run(name, func(t *testing.T) {
			context := files{"Kubefile": "FROM scratch\n" + tt.lines, "kept": "x"}
			b := w.build(t, context, request{secrets: secrets, opts: map[string]string{"build-arg:NAME": "given"}})
			if got := b.read(t, "result"); got != tt.want {
				t.Errorf("the result is %q, want %q", got, tt.want)
			}
			for _, layer := range b.Layers {
				if strings.Contains(string(layer), "hidden away") || strings.Contains(string(layer), "lost") || strings.Contains(string(layer), "toolbox") {
					t.Error("a layer has more than what the step writes")
				}
			}
		})
	}
}

// packed is a packed chart that runs one image.
func packed(t *testing.T, name, image string) []byte {
	t.Helper()
	var buffer bytes.Buffer
	w := gzip.NewWriter(&buffer)
	if _, err := w.Write(gatewaytest.Layer(t, files{
		name + "/Chart.yaml":         "apiVersion: v2\nname: " + name + "\nversion: 1.0.0\n",
		name + "/templates/pod.yaml": pod(image),
	})); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// newChartRepository serves a packed chart, stored 1.0.0, to those who log in as user with the password secret. It returns its address.
func newChartRepository(t *testing.T, stored []byte) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/stable/index.yaml", func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user+":"+password != "user:secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, "entries: {stored: [{version: 1.0.0, urls: [stored-1.0.0.tgz], digest: %s}]}\n", digest.FromBytes(stored).Encoded())
	})
	mux.HandleFunc("/stable/stored-1.0.0.tgz", func(w http.ResponseWriter, _ *http.Request) { w.Write(stored) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// allInstructions is a context whose Kubefile has each instruction that a Dockerfile does not have.
func allInstructions(repository string) files {
	return files{
		"Kubefile": `FROM scratch
ARG VERSION=1.0.0
LABEL io.kubefile.kubernetes.version=v1.34.4
KUBEVERSION >=1.30, <1.35
CMD first
APP web local://web
APP web local://web-values.yaml
APP stored helm+` + repository + `/stable/stored@$VERSION
APP script local://install.sh
CNI net.yaml
CSI disk local://net.yaml
LAUNCH --namespace=front --values=applications/web/web-values.yaml --set=replicas=2 web
LAUNCH ["stored", "script"]
CMDS ["kubectl get pods", "echo \"done\""]
COPY shell.yaml plugin
`,
		"web/Chart.yaml":         "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"web/templates/pod.yaml": pod("docker.io/library/nginx:1.27"),
		"web-values.yaml":        "color: red\n",
		"install.sh":             "#!/bin/bash\ntrue\n",
		"net.yaml":               pod("quay.io/lab/tool:v1"),
		"shell.yaml":             "kind: Plugin\n",
	}
}

// TestInstructions: each instruction that a Dockerfile does not have, in one build.
func TestInstructions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stored := packed(t, "stored", "docker.io/library/redis:7")
	repository := newChartRepository(t, stored)
	login := fmt.Sprintf(`{"auths":{%q:{"auth":"dXNlcjpzZWNyZXQ="}}}`, strings.TrimPrefix(repository, "http://"))
	context := allInstructions(repository)
	b := w.build(t, context, request{secrets: map[string]string{"kubefile.dockerconfig": login}})
	equal(t, "commands", b.commands(t), []string{
		"kubectl apply -f applications/cni/net.yaml",
		"kubectl apply -f applications/disk/net.yaml",
		"first",
		"helm upgrade --install web ./applications/web --namespace front --create-namespace --values applications/web/web-values.yaml --set replicas=2",
		"helm upgrade --install stored ./applications/stored/stored-1.0.0.tgz",
		"bash applications/script/install.sh",
		"kubectl get pods",
		`echo "done"`,
	})
	equal(t, "embedded", b.references(t), []string{"docker.io/library/nginx:1.27", "docker.io/library/redis:7", "quay.io/lab/tool:v1"})
	if got := b.read(t, "applications/stored/stored-1.0.0.tgz"); got != string(stored) {
		t.Error("the chart from the repository has other bytes")
	}
	if got := b.read(t, "plugins/shell.yaml"); got != "kind: Plugin\n" {
		t.Errorf("the plugin is %q", got)
	}
	var apps []string
	for _, a := range b.describe(t).Apps {
		apps = append(apps, a.Name+":"+a.Role)
	}
	equal(t, "applications", apps, []string{"web:", "stored:", "script:", "cni:cni", "disk:csi"})
	if warned := b.warned(); warned != "" {
		t.Errorf("warnings: %s", warned)
	}
	err := w.fails(t, context, request{})
	contains(t, "the error without a login", err.Error(), "fetching helm+"+repository+"/stable/stored@1.0.0", "401")
}

// TestWarnings: rules of BuildKit and of ours are printed once for all platforms, with their lines, and can be made errors.
func TestWarnings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(t, "docker.io/library/nginx:latest", "amd64", "arm64")
	context := files{
		"Kubefile":         "FROM scratch\nmaintainer me\nAPP web local://chart\nCMD kubectl apply -f manifests/none.yaml\nCOPY a.yaml manifests/\n",
		"a.yaml":           pod("nginx"),
		"chart/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n", "chart/templates/a.yaml": pod("quay.io/lab/tool:v1"),
	}
	images, _ := w.buildAll(t, context, request{opts: bothPlatforms})
	rules := map[string]int{}
	for _, warning := range images["linux/amd64"].gateway.Warnings() {
		rule, _, _ := strings.Cut(warning.Message, ":")
		rules[rule]++
		if len(warning.Range) > 0 && !strings.HasSuffix(warning.Message, fmt.Sprintf("(line %d)", warning.Range[0].Start.Line)) {
			t.Errorf("%s is shown at line %d", warning.Message, warning.Range[0].Start.Line)
		}
	}
	for _, rule := range []string{"MaintainerDeprecated", "ConsistentInstructionCasing", "UnpinnedImage", "MissingCommandFile", "ChartNotInstalled"} {
		if rules[rule] != 1 {
			t.Errorf("%s was warned of %d times, want once: %v", rule, rules[rule], rules)
		}
	}
	context["Kubefile"] = "# check=error=true;skip=MaintainerDeprecated,ConsistentInstructionCasing\n" + context["Kubefile"]
	err := w.fails(t, context, request{})
	contains(t, "the error", err.Error(), "lint violation found for rules", "MissingCommandFile")
	context["Kubefile"] = strings.Replace(context["Kubefile"], "Casing", "Casing,UnpinnedImage,MissingCommandFile,ChartNotInstalled", 1)
	if warned := w.build(t, context, request{}).warned(); warned != "" {
		t.Errorf("skipped rules warn: %s", warned)
	}
}
