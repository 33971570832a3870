package llb

import (
	"bytes"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// twoLayers: the tests' cluster images have two layers below their image layers, all but kubernetes:old.
func twoLayers(image string, _ *ocispec.Platform) (int, bool) {
	return 2, isCluster(image) && !strings.Contains(image, ":old@")
}

func withoutImages(t *testing.T, dockerfile string) (llb.State, *ClusterBase) {
	t.Helper()
	st, base, err := WithoutImages(t.Context(), compile(t, dockerfile), twoLayers)
	if err != nil {
		t.Fatal(err)
	}
	return st, base
}

func TestStepsStandOnTheRootfsLayers(t *testing.T) {
	for name, dockerfile := range map[string]string{
		"split-base":        "FROM kubernetes:v1\n",
		"split-run":         "FROM kubernetes:v1\nCOPY a /\nRUN true\nCOPY --link b /\n",
		"split-stage":       "FROM kubernetes:v1 AS base\nRUN one\nFROM base\nRUN two\n",
		"split-reads-base":  "FROM kubernetes:v1 AS base\nFROM base\nRUN true\nCOPY --from=base / /copy\n",
		"split-mounts-base": "FROM kubernetes:v1\nRUN --mount=from=kubernetes:v1,target=/x --mount=from=kubernetes:v1,source=/bin,target=/y true\n",
		"split-readers": `FROM kubernetes:v1 AS tools
RUN make
FROM debian
COPY --from=tools /charts/a /a
COPY --from=kubernetes:v1 /bin/helm /bin/
RUN --mount=from=tools,source=/bin,target=/x true
`,
		"split-readers-of-images": `FROM kubernetes:v1 AS tools
RUN make
FROM debian
COPY --from=tools /registry/refs /a
RUN --mount=from=tools,target=/x --mount=from=kubernetes:v1,target=/y true
`,
	} {
		t.Run(name, func(t *testing.T) {
			st, base := withoutImages(t, dockerfile)
			whole, err := base.With(t.Context(), st)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, whole)
		})
	}
}

func TestStepsStandOnTheWholeBase(t *testing.T) {
	for name, dockerfile := range map[string]string{
		"scratch":                     "FROM scratch\nCOPY a /\nRUN true\n",
		"ordinary image":              "FROM debian AS base\nFROM base\nRUN --mount=from=base,target=/x true\n",
		"rootfs above images":         "FROM kubernetes:old\nRUN true\n",
		"reads the base's images":     "FROM kubernetes:v1 AS base\nFROM base\nCOPY --from=base /registry /copy\n",
		"reads all of the base":       "FROM kubernetes:v1 AS base\nFROM base\nCOPY --from=base / /copy\n",
		"reads what a pattern allows": "FROM kubernetes:v1 AS base\nFROM base\nCOPY --from=base /re*/refs /copy\n",
	} {
		t.Run(name, func(t *testing.T) {
			st, base := withoutImages(t, dockerfile)
			if base != nil || !bytes.Equal(dump(t, compile(t, dockerfile)), dump(t, st)) {
				t.Error("the build graph has changed")
			}
		})
	}
}

func TestLeadsToStore(t *testing.T) {
	for name, want := range map[string]bool{
		"/": true, "": true, ".": true, "/registry": true, "registry/blobs": true, "/bin/../registry/x": true, "/r*y": true, "[r]egistry/x": true,
		"/bin": false, "/charts/registry": false, "/registryx": false, "/manifests/*.yaml": false,
	} {
		if got := leadsToStore(name, true); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	if leadsToStore("/r*y", false) {
		t.Error("a star that is none")
	}
}
