package frontend_test

import (
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
)

const baseRef = "registry.example.com/kubernetes:v1.34.4"

// kubernetes pushes a base with a file, two commands and an embedded image.
func (w *world) kubernetes(t *testing.T) built {
	t.Helper()
	return w.base(t, baseRef, files{
		"Kubefile": "FROM scratch\nLABEL io.kubefile.kubernetes.version=v1.34.4\nENV TAG=v1\nCOPY cni.yaml manifests/\n" +
			"CNI net.yaml\nCMD kubectl apply -f manifests/cni.yaml\n",
		"cni.yaml": pod("quay.io/lab/tool:v1"),
		"net.yaml": pod("docker.io/library/redis:7"),
	})
}

// digests are those of layers.
func digests(layers [][]byte) []digest.Digest {
	var all []digest.Digest
	for _, l := range layers {
		all = append(all, digest.FromBytes(l))
	}
	return all
}

// splitOf returns the layers that every host gets, and those with embedded images.
func splitOf(t *testing.T, b built) (rootfs, images []digest.Digest) {
	t.Helper()
	n, ok := imagespec.RootfsFirst(b.Config.Image)
	if !ok {
		t.Fatal("a rootfs layer is above an image layer")
	}
	all := digests(b.Layers)
	return all[:n], all[n:]
}

// standsOn fails unless the lowest layers of a derived image are those of its base.
func standsOn(t *testing.T, derived, base built) {
	t.Helper()
	below, all := digests(base.Layers), digests(derived.Layers)
	if len(all) <= len(below) || !slices.Equal(all[:len(below)], below) {
		t.Errorf("got the layers %v, want those of the base below: %v", all, below)
	}
}

// TestDerivedBuild: what a base runs and embeds is inherited, its layers stay as they are, and copies onto it read none of them.
func TestDerivedBuild(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	base := w.kubernetes(t)
	derived := w.build(t, files{
		"Kubefile": "FROM " + baseRef + "\nCOPY app.yaml /manifests/\nCOPY note etc/\nCMD kubectl apply -f manifests/app.yaml\n",
		"app.yaml": pod("docker.io/library/nginx:1.27") + "---\n" + pod("quay.io/lab/tool:v1"),
		"note":     "x",
	}, request{})
	for _, layer := range digests(base.Layers) {
		if slices.Contains(derived.pulled, layer) {
			t.Errorf("the layer %s of the base was read", layer)
		}
	}
	equal(t, "embedded", derived.references(t), []string{"docker.io/library/nginx:1.27", "docker.io/library/redis:7", "quay.io/lab/tool:v1"})
	equal(t, "commands", derived.commands(t), []string{
		"kubectl apply -f applications/cni/net.yaml", "kubectl apply -f manifests/cni.yaml", "kubectl apply -f manifests/app.yaml",
	})
	standsOn(t, derived, base)
	if n := len(derived.Config.History); n < len(derived.Layers) {
		t.Errorf("%d layers have %d history entries", len(derived.Layers), n)
	}
	tool, _ := derived.describe(t).Lock.Lookup("quay.io/lab/tool:v1")
	if len(tool.Found) != 2 {
		t.Errorf("quay.io/lab/tool:v1 was found at %+v, want a place in the base and one in the derived image", tool.Found)
	}
	if d := derived.describe(t); d.Kind != imagespec.KindCluster || d.KubernetesVersion != "v1.34.4" {
		t.Errorf("got %s of Kubernetes %s, want what the base is", d.Kind, d.KubernetesVersion)
	}
}

// TestRunReadsTheRootfsOnly: a RUN on a cluster image needs its rootfs layers and none of the embedded images.
func TestRunReadsTheRootfsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	base := w.kubernetes(t)
	rootfs, images := splitOf(t, base)
	derived := w.build(t, files{"Kubefile": "FROM " + baseRef + "\nRUN test -e manifests/cni.yaml && echo seen > seen\n"}, request{})
	for _, layer := range images {
		if slices.Contains(derived.pulled, layer) {
			t.Errorf("the image layer %s was read", layer)
		}
	}
	if !slices.Contains(derived.pulled, rootfs[0]) {
		t.Errorf("the rootfs layer %s was not read, or the registry does not say", rootfs[0])
	}
	if got := derived.read(t, "seen"); got != "seen\n" {
		t.Errorf("RUN left %q", got)
	}
	standsOn(t, derived, base)
}

// TestWhatABaseRuns: commands of the base come first, and a Kubefile can take them back or replace the network.
func TestWhatABaseRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.kubernetes(t)
	for name, tt := range map[string]struct {
		lines string
		want  []string
	}{
		"nothing of its own": {"LABEL a=b\n", []string{"kubectl apply -f applications/cni/net.yaml", "kubectl apply -f manifests/cni.yaml"}},
		"another network":    {"CNI calico net.yaml\n", []string{"kubectl apply -f applications/calico/net.yaml", "kubectl apply -f manifests/cni.yaml"}},
		"storage":            {"CSI net.yaml\n", []string{"kubectl apply -f applications/cni/net.yaml", "kubectl apply -f applications/csi/net.yaml", "kubectl apply -f manifests/cni.yaml"}},
		"taken back":         {"CMD []\nCMD kubectl get nodes\n", []string{"kubectl get nodes"}},
		"a list":             {"CMD []\nCMDS [\"a b\", \"c\"]\nCMD [\"d\", \"e\"]\n", []string{"a b", "c", "d e"}},
	} {
		t.Run(name, func(t *testing.T) {
			derived := w.build(t, files{"Kubefile": "FROM " + baseRef + "\n" + tt.lines, "net.yaml": pod("docker.io/library/redis:7")}, request{})
			equal(t, "commands", derived.commands(t), tt.want)
		})
	}
}

// TestBaseWithTriggers: what an ONBUILD of the base says counts as if the derived Kubefile said it.
func TestBaseWithTriggers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.base(t, baseRef, files{"Kubefile": "FROM scratch\nLABEL io.kubefile.kubernetes.version=v1.34.4\nONBUILD COPY app.yaml manifests/\nONBUILD LABEL from=trigger\n"})
	derived := w.build(t, files{"Kubefile": "FROM " + baseRef + "\n", "app.yaml": pod("docker.io/library/nginx:1.27")}, request{})
	equal(t, "embedded", derived.references(t), []string{"docker.io/library/nginx:1.27"})
	if got := derived.Config.Config.Labels["from"]; got != "trigger" {
		t.Errorf("the label of the trigger is %q", got)
	}
	w.base(t, "registry.example.com/thief:1", files{"Kubefile": "FROM scratch\nCOPY Kubefile /\nONBUILD RUN --mount=type=secret,id=kubefile.dockerconfig true\n"})
	err := w.fails(t, files{"Kubefile": "FROM registry.example.com/thief:1\n"}, request{secrets: map[string]string{"kubefile.dockerconfig": "{}"}})
	contains(t, "the error", err.Error(), "the secret kubefile.dockerconfig is for the steps of the frontend only")
}

// chartOf is a chart whose image has the tag .Values.tag.
func chartOf(image string) files {
	return files{
		"charts/app/Chart.yaml":         "apiVersion: v2\nname: app\nversion: 1.0.0\n",
		"charts/app/templates/pod.yaml": pod(image + ":{{ required \"the tag is needed\" .Values.tag }}"),
	}
}

// TestInheritedCommandsAreReadAgain: where a build changes what a command of its base reads, the images that the command wants then are
// embedded. Problems that the base has had already are its own.
func TestInheritedCommandsAreReadAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(t, "quay.io/lab/tool:v2", "amd64")
	content := chartOf("quay.io/lab/tool")
	content["Kubefile"] = "FROM scratch\nLABEL io.kubefile.kubernetes.version=v1.34.4\nENV TAG=v1\nCOPY . /\nCMD helm upgrade --install app charts/app --set tag=$TAG -f etc/values.yaml\n"
	content["etc/values.yaml"] = "a: b\n"
	content["manifests/later.yaml"] = pod("${FILLED_IN_LATER}")
	base := w.base(t, baseRef, content)
	contains(t, "the base's warnings", base.warned(), "FILLED_IN_LATER")
	for name, tt := range map[string]struct {
		lines string
		file  string
	}{
		"variable":      {"ENV TAG=v2\n", ""},
		"values":        {"COPY values.yaml etc/values.yaml\nCMD []\nCMD helm upgrade --install app charts/app -f etc/values.yaml\n", "tag: v2\n"},
		"edited by RUN": {"RUN echo 'tag: v2' > etc/values.yaml\nCMD []\nCMD helm upgrade --install app charts/app -f etc/values.yaml\n", ""},
		"new chart":     {"COPY values.yaml charts/app/values.yaml\nCMD []\nCMD helm upgrade --install app charts/app\n", "tag: v2\n"},
	} {
		t.Run(name, func(t *testing.T) {
			derived := w.build(t, files{"Kubefile": "FROM " + baseRef + "\n" + tt.lines, "values.yaml": tt.file}, request{})
			equal(t, "embedded", derived.references(t), []string{"quay.io/lab/tool:v1", "quay.io/lab/tool:v2"})
			if warned := derived.warned(); warned != "" {
				t.Errorf("warned of what is the base's own: %s", warned)
			}
		})
	}
	err := w.fails(t, files{"Kubefile": "FROM " + baseRef + "\nENV TAG=\n"}, request{})
	contains(t, "the error", err.Error(), "discovering images:", "charts/app", "the tag is needed")
}

// TestLayerBudget: there is a limit to the layers of a build, and to those of an image.
func TestLayerBudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	context := files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod("docker.io/library/nginx:1.27"), ".kubefile.yaml": "layers: 4\n"}
	if n := len(w.build(t, context, request{}).Layers); n != 4 {
		t.Errorf("got %d layers, want 4", n)
	}
	context[".kubefile.yaml"] = "layers: 3\n"
	err := w.fails(t, context, request{})
	contains(t, "the error", err.Error(), "more than 3 new ones: 0 come from its base and 1 from this Kubefile. Join instructions into fewer")
}

// TestTheFrontendGoesOn: a base that was built with the same frontend is not given its runner again, and another one is.
func TestTheFrontendGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.kubernetes(t)
	runners := func(b built) (n int) {
		for _, h := range b.Config.History {
			if len(h.CreatedBy) > 18 && h.CreatedBy[:18] == "KUBEFILE runner of" {
				n++
			}
		}
		return n
	}
	if n := runners(w.build(t, files{"Kubefile": "FROM " + baseRef + "\nLABEL a=b\n"}, request{})); n != 1 {
		t.Errorf("got %d runners, want the base's only", n)
	}
	w.frontend = frontendImage // without a digest, nobody knows whether it is the same
	if n := runners(w.build(t, files{"Kubefile": "FROM " + baseRef + "\nLABEL a=b\n"}, request{})); n != 2 {
		t.Errorf("got %d runners, want one of its own", n)
	}
}
