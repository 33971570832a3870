//go:build lab

package build

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
)

// chart is a packed chart that runs one image.
func chart(t *testing.T, name, image string) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	fmt.Fprint(w, tarball(t,
		name+"/Chart.yaml", "apiVersion: v2\nname: "+name+"\nversion: 1.0.0\n",
		name+"/templates/pod.yaml", pod(image)))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// chartSite is a Helm repository at /stable with one chart, and a place for files.
func chartSite(t *testing.T, name string, packed []byte) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/stable/index.yaml", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "entries: {%[1]s: [{version: 1.0.0, urls: [%[1]s-1.0.0.tgz], digest: %[2]s}]}\n", name, digest.FromBytes(packed).Encoded())
	})
	mux.HandleFunc("/stable/"+name+"-1.0.0.tgz", func(w http.ResponseWriter, _ *http.Request) { w.Write(packed) })
	mux.HandleFunc("/db.yaml", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, pod("docker.io/kubefile/db:1")) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// TestInstructions: each instruction that a Dockerfile has not, and what two derived images make of it.
func TestInstructions(t *testing.T) {
	t.Parallel()
	packed := chart(t, "stored", "docker.io/kubefile/stored:1")
	site := chartSite(t, "stored", packed)
	first, output := build(t, files{
		"Kubefile": `FROM scratch
ARG VERSION=1.0.0
LABEL io.kubefile.kubernetes.version=v1.34.4
KUBEVERSION >=1.30, <1.35
CMD first
APP web local://web
APP web local://web-values.yaml
APP --checksum=` + digest.FromString(pod("docker.io/kubefile/db:1")).String() + ` db ` + site + `/db.yaml
APP stored helm+` + site + `/stable/stored@$VERSION
APP script local://install.sh
CNI net.yaml
CSI disk local://disk.yaml
LAUNCH --namespace=front --values=applications/web/web-values.yaml --set=replicas=2 web
LAUNCH ["db", "script"]
CMDS ["kubectl get pods", "echo \"done\""]
COPY shell.yaml plugin
ENV MODE=small
`,
		"web/Chart.yaml":         "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"web/templates/pod.yaml": pod("docker.io/kubefile/web:1"),
		"web-values.yaml":        "color: red\n",
		"install.sh":             "#!/bin/bash\ntrue\n",
		"net.yaml":               pod("docker.io/kubefile/net:1"),
		"disk.yaml":              pod("docker.io/kubefile/disk:1"),
		"shell.yaml":             "kind: Plugin\n",
	})
	if strings.Contains(output, "WARN") {
		t.Errorf("warnings:\n%s", output)
	}
	image := pull(t, first, "linux/amd64")
	if got := image.file(t, "applications/stored/stored-1.0.0.tgz"); got != string(packed) {
		t.Error("the chart from the repository has other bytes")
	}
	if got := image.file(t, "plugins/shell.yaml"); got != "kind: Plugin\n" {
		t.Errorf("the plugin is %q", got)
	}
	want := []string{
		"kubectl apply -f applications/cni/net.yaml",
		"kubectl apply -f applications/disk/disk.yaml",
		"first",
		"helm upgrade --install web ./applications/web --namespace front --create-namespace --values applications/web/web-values.yaml --set replicas=2",
		"kubectl apply -f applications/db/db.yaml",
		"bash applications/script/install.sh",
		"kubectl get pods",
		`echo "done"`,
	}
	if got := commandsOf(t, first); !slices.Equal(got, want) {
		t.Errorf("commands\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	image.checkStore(t, "docker.io/kubefile/db:1", "docker.io/kubefile/disk:1", "docker.io/kubefile/net:1", "docker.io/kubefile/stored:1", "docker.io/kubefile/web:1")
	derivedInstructions(t, first, want)
}

// derivedInstructions derives two images from the image of TestInstructions; want are the commands of that image.
func derivedInstructions(t *testing.T, first string, want []string) {
	t.Helper()
	second, _ := build(t, files{"Kubefile": "FROM " + first + "\nLAUNCH --namespace=back stored\nCOPY more.yaml plugins\n", "more.yaml": "kind: Plugin\n"})
	third, _ := build(t, files{"Kubefile": "FROM " + second + "\nCNI calico calico.yaml\nCMD last\n", "calico.yaml": pod("docker.io/kubefile/calico:1")})
	derived := pull(t, third, "linux/amd64")
	want[0] = "kubectl apply -f applications/calico/calico.yaml"
	want = append(want, "helm upgrade --install stored ./applications/stored/stored-1.0.0.tgz --namespace back --create-namespace", "last")
	if got := commandsOf(t, third); !slices.Equal(got, want) {
		t.Errorf("commands of the derived image\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	d := derived.describe(t)
	var apps []string
	for _, a := range d.Apps {
		apps = append(apps, strings.TrimSuffix(a.Name+":"+a.Role, ":"))
	}
	if want := []string{"web", "db", "stored", "script", "disk:csi", "calico:cni"}; !slices.Equal(apps, want) {
		t.Errorf("applications %q, want %q", apps, want)
	}
	if !slices.Contains(d.Env, "MODE=small") {
		t.Errorf("environment %q", d.Env)
	}
	for _, name := range []string{"plugins/shell.yaml", "plugins/more.yaml"} {
		if derived.file(t, name) != "kind: Plugin\n" {
			t.Errorf("%s is lost", name)
		}
	}
	for reference := range map[string]bool{"docker.io/kubefile/web:1": true, "docker.io/kubefile/calico:1": true} {
		if _, ok := d.Lock.Lookup(reference); !ok {
			t.Errorf("%s is not in the lock", reference)
		}
	}
}

// TestInstructionsRefused: errors name the line of the instruction.
func TestInstructionsRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		kubefile string
		want     []string
	}{
		"unknown application": {"FROM scratch\nCOPY a.yaml .\nLAUNCH nothing\n", []string{"Kubefile:3", ">>> LAUNCH nothing", "there is no application nothing"}},
		"nothing to start":    {"FROM scratch\nAPP a local://a.txt\nLAUNCH a\n", []string{"Kubefile:3", "nothing in applications/a can be started"}},
		"no flag":             {"FROM scratch\nAPP --chmod=1 a local://a.yaml\n", []string{"Kubefile:2", "APP: it has no flag --chmod, only --checksum"}},
		"before FROM":         {"LAUNCH a\nFROM scratch\n", []string{"Kubefile:1", "LAUNCH has to come after the first FROM"}},
		"other Kubernetes":    {"FROM scratch\nLABEL io.kubefile.kubernetes.version=v1.34.4\nKUBEVERSION 1.19.x\n", []string{"Kubefile:3", "Kubernetes v1.34.4 is not in the supported range 1.19.x"}},
		"no such chart":       {"FROM scratch\nAPP a helm+http://127.0.0.1:1/charts/a@1\n", []string{"Kubefile:2", "fetching helm+http://127.0.0.1:1/charts/a@1"}},
		"missing file":        {"FROM scratch\nAPP a local://b.yaml\n", []string{"Kubefile:2", "/b.yaml\": not found"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			contains(t, fails(t, files{"Kubefile": tt.kubefile, "a.yaml": pod("docker.io/library/busybox:latest"), "a.txt": "x"}), tt.want...)
		})
	}
}

// TestApplicationInAnyStage: a chart is fetched in a rootfs with a shell of its own, too.
func TestApplicationInAnyStage(t *testing.T) {
	t.Parallel()
	site := chartSite(t, "stored", chart(t, "stored", "docker.io/kubefile/stored:1"))
	ref, _ := build(t, files{"Kubefile": "FROM docker.io/library/busybox:latest\nAPP stored helm+" + site + "/stable/stored\nLAUNCH stored\n"})
	if got := commandsOf(t, ref); !slices.Equal(got, []string{"helm upgrade --install stored ./applications/stored/stored-1.0.0.tgz"}) {
		t.Errorf("commands %q", got)
	}
	if d := pull(t, ref, "linux/amd64").describe(t); d.Kind != imagespec.KindApp {
		t.Errorf("the kind is %s", d.Kind)
	}
}

// TestChartOfTheBase: a derived image that installs a chart of its base with other values, or exchanges its values, embeds what these want.
func TestChartOfTheBase(t *testing.T) {
	t.Parallel()
	base, _ := build(t, files{
		"Kubefile":                    "FROM scratch\nCOPY charts charts\nCOPY web.yaml etc/\nCMD helm upgrade --install web ./charts/web -f etc/web.yaml\n",
		"charts/web/Chart.yaml":       "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"charts/web/values.yaml":      "image: quay.io/lab/web:default\n",
		"charts/web/templates/a.yaml": pod("{{ .Values.image }}"),
		"web.yaml":                    "image: quay.io/lab/web:base\n",
	})
	if got := references(pull(t, base, "linux/amd64").describe(t).Lock); got != "quay.io/lab/web:base" {
		t.Fatalf("the base has embedded %s", got)
	}
	for name, tt := range map[string]struct {
		kubefile string
		want     string
	}{
		"another installation": {"CMD helm upgrade --install other ./charts/web --set image=quay.io/lab/web:other\n", "quay.io/lab/web:base quay.io/lab/web:other"},
		"other values":         {"COPY web.yaml etc/\n", "quay.io/lab/web:base quay.io/lab/web:exchanged"},
		"another default":      {"CMD []\nCMD helm upgrade --install web ./charts/web\nCOPY web.yaml charts/web/values.yaml\n", "quay.io/lab/web:base quay.io/lab/web:exchanged"},
		"nothing of it":        {"ENV A=b\n", "quay.io/lab/web:base"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ref, _ := build(t, files{"Kubefile": "FROM " + base + "\n" + tt.kubefile, "web.yaml": "image: quay.io/lab/web:exchanged\n"})
			image := pull(t, ref, "linux/amd64")
			if got := references(image.describe(t).Lock); got != tt.want {
				t.Errorf("embedded %s, want %s", got, tt.want)
			}
			image.checkStore(t, strings.Fields(tt.want)...)
		})
	}
}
