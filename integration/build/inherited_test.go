//go:build lab

package build

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kubefile/kubefile/imagespec"
)

// inheritable is a base whose commands read files, variables, charts and kustomizations.
func inheritable(t *testing.T) string {
	t.Helper()
	ref, _ := build(t, files{
		"Kubefile": `FROM scratch
LABEL io.kubefile.kubernetes.version=v1.34.4
ENV TAG=v1
COPY base/ /
APP web local://web
LAUNCH --set=tag=$TAG web
CMD helm upgrade --install app charts/app -f etc/values.yaml --set tag=$TAG
CMD bash scripts/install.sh
CMD kubectl apply -k kust/overlay
`,
		"base/charts/app/Chart.yaml":           "apiVersion: v2\nname: app\nversion: 1.2.3\n",
		"base/charts/app/values.yaml":          "extra: {enabled: false}\ntag: v1\n",
		"base/charts/app/templates/x.yaml":     template("app", "{{ .Values.tag }}") + "{{- if .Values.extra.enabled }}\n  - {name: e, image: \"quay.io/lab/extra:1\"}\n{{- end }}\n",
		"base/etc/values.yaml":                 "replicas: 1\n",
		"base/etc/script-values.yaml":          "tag: s1\n",
		"base/etc/environment":                 "RUN=r1\n",
		"base/scripts/install.sh":              "#!/bin/bash\n. etc/environment\nhelm upgrade --install s charts/app -f etc/script-values.yaml\nkubectl create deployment d --image=quay.io/lab/run:$RUN\n",
		"base/kust/base/pod.yaml":              pod("quay.io/lab/kust:1"),
		"base/kust/base/kustomization.yaml":    "resources: [pod.yaml]\n",
		"base/kust/overlay/kustomization.yaml": "resources: [../base]\n",
		"web/Chart.yaml":                       "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"web/templates/x.yaml":                 template("web", "{{ .Values.tag }}"),
	})
	pull(t, ref, "linux/amd64").checkStore(t, inheritedImages...)
	return ref
}

var inheritedImages = []string{"quay.io/lab/app:v1", "quay.io/lab/app:s1", "quay.io/lab/run:r1", "quay.io/lab/kust:1", "quay.io/lab/web:v1"}

// template is a manifest of a chart with one image.
func template(image, tag string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: {{ .Release.Name }}}\nspec:\n  containers:\n  - {name: a, image: \"quay.io/lab/%s:%s\"}\n", image, tag)
}

// TestInheritedCommandsAreReadAgain: if a build changes anything that a command of its base reads, the images that the command then needs
// are embedded.
func TestInheritedCommandsAreReadAgain(t *testing.T) {
	t.Parallel()
	base := inheritable(t)
	chart := files{"new/Chart.yaml": "apiVersion: v2\nname: app\nversion: 2.0.0\n", "new/templates/y.yaml": template("second", "2"), "new/values.yaml": "extra: {}\n"}
	for name, tt := range map[string]struct {
		steps string
		files files
		want  []string // in addition to the base's
	}{
		"variable":                {"ENV TAG=v9\n", nil, []string{"quay.io/lab/app:v9"}},
		"variable of an argument": {"ARG NEW=v8\nENV TAG=$NEW\n", nil, []string{"quay.io/lab/app:v8"}},
		"variable in a stage":     {"ENV TAG=v9\nFROM stage\n", nil, []string{"quay.io/lab/app:v9"}},
		"values":                  {"COPY v.yaml etc/values.yaml\n", files{"v.yaml": "extra: {enabled: true}\n"}, []string{"quay.io/lab/extra:1"}},
		"values of a script":      {"COPY v.yaml etc/script-values.yaml\n", files{"v.yaml": "tag: s2\n"}, []string{"quay.io/lab/app:s2"}},
		"values of the chart":     {"COPY values.yaml charts/app/\n", files{"values.yaml": "extra: {enabled: true}\ntag: c2\n"}, []string{"quay.io/lab/extra:1"}},
		"template of the chart":   {"COPY x.yaml charts/app/templates/\n", files{"x.yaml": template("other", "{{ .Values.tag }}")}, []string{"quay.io/lab/other:v1", "quay.io/lab/other:s1"}},
		"chart over the chart":    {"COPY new charts/app/\n", chart, []string{"quay.io/lab/second:2"}},
		"script":                  {"COPY install.sh scripts/\n", files{"install.sh": "kubectl create deployment d --image=quay.io/lab/newrun:$TAG\n"}, []string{"quay.io/lab/newrun:v1"}},
		"environment file":        {"COPY e etc/environment\n", files{"e": "RUN=r2\n"}, []string{"quay.io/lab/run:r2"}},
		"patch":                   {"COPY kustomization.yaml kust/overlay/\n", files{"kustomization.yaml": "resources: [../base]\nimages: [{name: quay.io/lab/kust, newTag: \"2\"}]\n"}, []string{"quay.io/lab/kust:2"}},
		"edited by RUN":           {"RUN sed -i s/s1/s3/ etc/script-values.yaml\n", nil, []string{"quay.io/lab/app:s3"}},
		"removed by RUN":          {"RUN rm etc/script-values.yaml && echo 'tag: s4' > charts/app/s && mv charts/app/s etc/script-values.yaml\n", nil, []string{"quay.io/lab/app:s4"}},
		"wrapped by CMD":          {"CMD []\nCMD RUN=r5 TAG=v5 && helm upgrade --install app charts/app --set tag=$TAG\n", nil, []string{"quay.io/lab/app:v5"}},
		"script called by CMD":    {"CMD []\nCOPY e etc/environment\nCMD bash scripts/install.sh\n", files{"e": "RUN=r6\n"}, []string{"quay.io/lab/run:r6"}},
		"started again":           {"COPY v.yaml etc/web.yaml\nLAUNCH --values=etc/web.yaml web\n", files{"v.yaml": "tag: w2\n"}, []string{"quay.io/lab/web:w2"}},
		"started with a variable": {"ARG V=w3\nLAUNCH --set=tag=$V web\n", nil, []string{"quay.io/lab/web:w3"}},
		"values in the chart":     {"COPY v6.yaml charts/app/\nCMD helm upgrade --install six charts/app -f charts/app/v6.yaml\n", files{"v6.yaml": "tag: v6\n"}, []string{"quay.io/lab/app:v6"}},
		"overlay":                 {"COPY o kust/third/\nCMD kubectl apply -k kust/third\n", files{"o/kustomization.yaml": "resources: [../base]\nimages: [{name: quay.io/lab/kust, newTag: \"3\"}]\n"}, []string{"quay.io/lab/kust:3"}},
		"own chart, base's values": {"COPY new charts/new\nCMD helm upgrade -i n charts/new -f etc/script-values.yaml\n", files{
			"new/Chart.yaml": "apiVersion: v2\nname: new\nversion: 1.0.0\n", "new/templates/y.yaml": template("mine", "{{ .Values.tag }}")}, []string{"quay.io/lab/mine:s1"}},
		"nothing of it": {"COPY b.yaml manifests/\n", files{"b.yaml": pod("quay.io/lab/mine:1")}, []string{"quay.io/lab/mine:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := files{"Kubefile": "FROM " + base + " AS stage\n" + tt.steps}
			maps.Copy(content, tt.files)
			ref, _ := build(t, content)
			lock := pull(t, ref, "linux/amd64").describe(t).Lock
			for _, want := range append(tt.want, inheritedImages...) {
				if _, ok := lock.Lookup(want); !ok {
					t.Errorf("%s is not embedded", want)
				}
			}
		})
	}
}

// TestBaseIsReadOnlyWhereNeeded: files that are complete in themselves need no file of a base with scripts and charts.
func TestBaseIsReadOnlyWhereNeeded(t *testing.T) {
	base := inheritable(t)
	content := files{
		"Kubefile":             "FROM " + base + "\nAPP db local://db\nLAUNCH db\nCOPY tool bin/\nCOPY list images/db-images.txt\n",
		"db/Chart.yaml":        "apiVersion: v2\nname: db\nversion: 1.0.0\n",
		"db/templates/pod.yml": template("db", "1"),
		"tool":                 "\x7fELF\x00",
		"list":                 "quay.io/lab/listed:1\n",
	}
	before := accessLog(t)
	ref := newName(t)
	buildOn(t, newBuilder(t), content.write(t), ref)
	log := accessLog(t)[len(before):]
	pull(t, ref, "linux/amd64").checkStore(t, append([]string{"quay.io/lab/db:1", "quay.io/lab/listed:1"}, inheritedImages...)...)
	for _, layer := range pull(t, base, "linux/amd64").manifest.Layers {
		if n := downloaded(t, log, base, imagespec.Layer{Descriptor: layer}); n > 0 {
			t.Errorf("%d bytes of layer %s of the base were pulled", n, layer.Digest)
		}
	}
}

// TestProblemsOfTheBaseStayItsOwn: what the base's user has accepted does not fail a build that reads the base again; what this build
// breaks does.
func TestProblemsOfTheBaseStayItsOwn(t *testing.T) {
	t.Parallel()
	base, output := build(t, files{
		"Kubefile": "FROM scratch\nLABEL io.kubefile.kubernetes.version=v1.34.4\nENV TAG=v1\nCOPY . /\n" +
			"CMD helm upgrade --install app charts/app --set tag=$TAG\n",
		"manifests/a.yaml":             pod("${FILLED_IN_LATER}"),
		"manifests/b.yaml.tmpl":        pod("quay.io/lab/site:{{ .TAG }}"),
		"charts/app/Chart.yaml":        "apiVersion: v2\nname: app\nversion: 1.0.0\n",
		"charts/app/templates/pod.yml": template("app", "{{ required \"the tag is needed\" .Values.tag }}"),
	})
	contains(t, output, "FILLED_IN_LATER")
	ref, output := build(t, files{"Kubefile": "FROM " + base + "\nENV TAG=v2\n"})
	if _, ok := pull(t, ref, "linux/amd64").describe(t).Lock.Lookup("quay.io/lab/app:v2"); !ok {
		t.Error("quay.io/lab/app:v2 is not embedded")
	}
	if strings.Contains(output, "FILLED_IN_LATER") {
		t.Errorf("a problem of the base is reported:\n%s", output)
	}
	// The site renders this template with another value than the base's.
	contains(t, output, "manifests/b.yaml.tmpl")
	contains(t, fails(t, files{"Kubefile": "FROM " + base + "\nENV TAG=\n"}), "charts/app", "the tag is needed")
}

func TestVariablesInLaunch(t *testing.T) {
	t.Parallel()
	chart := files{"web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n", "web/templates/x.yaml": template("web", "{{ .Values.tag }}")}
	good := files{"Kubefile": "FROM scratch\nARG V=v3\nAPP web local://web\nLAUNCH --set=tag=$V web\n"}
	maps.Copy(good, chart)
	ref, _ := build(t, good, "--build-arg", "V=v4")
	pull(t, ref, "linux/amd64").checkStore(t, "quay.io/lab/web:v4")
	bad := files{"Kubefile": "FROM scratch\nAPP web local://web\nLAUNCH --set=tag=$V web\n"}
	maps.Copy(bad, chart)
	contains(t, fails(t, bad), "Kubefile:3", "the variable V is not set")
}

// TestNestedIndexes: for every platform of a build.
func TestNestedIndexes(t *testing.T) {
	t.Parallel()
	references := []string{"quay.io/lab-nested/a:v1", "docker.io/lab-nested/b:v1"}
	ref, _ := build(t, files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod(references...)}, "--platform", "linux/amd64,linux/arm64")
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		pull(t, ref, platform).checkStore(t, references...)
	}
	alone, _ := build(t, files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod("quay.io/lab-no-platform/a:v1")})
	pull(t, alone, "linux/amd64").checkStore(t, "quay.io/lab-no-platform/a:v1")
	output := fails(t, files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod("quay.io/lab-no-platform/a:v1")}, "--platform", "linux/arm64")
	contains(t, output, "a.yaml:8: quay.io/lab-no-platform/a:v1 (pod-spec)", "linux/arm64")
}

// TestRegistryThatFailsForTheMoment: what is refused once is asked for again.
func TestRegistryThatFailsForTheMoment(t *testing.T) {
	t.Parallel()
	reference := "quay.io/lab-flaky/" + strconv.FormatInt(time.Now().UnixNano(), 36) + ":v1"
	ref, _ := build(t, files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod(reference)})
	pull(t, ref, "linux/amd64").checkStore(t, reference)
}

func TestMissingBlob(t *testing.T) {
	t.Parallel()
	const reference = "quay.io/lab-incomplete/a:v1"
	output := fails(t, files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod("quay.io/lab/fine:v1", reference)})
	last := output[strings.LastIndex(output, "cannot be embedded"):]
	contains(t, last, "a.yaml:10: "+reference+" (pod-spec)", "fetching its blob sha256:")
	if strings.Contains(last, "quay.io/lab/fine:v1 (") {
		t.Errorf("a good reference is reported:\n%s", output)
	}
}
