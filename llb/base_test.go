package llb

import (
	"bytes"
	"testing"

	"github.com/moby/buildkit/client/llb"
)

func TestCopiesOntoAClusterImageAreLinked(t *testing.T) {
	for name, dockerfile := range map[string]string{
		"linked-copies": `FROM kubernetes:v1
WORKDIR /opt/app
COPY a.yaml b.yaml manifests/
ADD https://example.com/chart.tgz charts/chart.tgz
COPY --link values.yaml /
COPY --chown=1:2 --chmod=600 charts/mysql charts/mysql
`,
		"linked-stages": `FROM kubernetes:v1 AS base
COPY a manifests
FROM base
COPY --from=base /bin/helm /tools/helm
`,
	} {
		t.Run(name, func(t *testing.T) {
			link := linked(t, dockerfile, never)
			golden(t, name, link.State)
			golden(t, name+"-tree", *link.Tree)
		})
	}
}

func TestCopiesStayPlain(t *testing.T) {
	const from = "FROM kubernetes:v1\n"
	for name, dockerfile := range map[string]string{
		"scratch":           "FROM scratch\nCOPY a /\nCOPY b /\n",
		"ordinary image":    "FROM debian\nCOPY a /\nCOPY b /\n",
		"base without tree": "FROM kubernetes:old\nCOPY a /\n",
		"RUN below":         from + "RUN true\nCOPY a /\n",
		"RUN above":         from + "COPY a /\nRUN true\n",
		"named owner":       from + "COPY --chown=kube a /\n",
		"named user":        from + "USER kube\nWORKDIR /x\n",
		"archive?":          from + "ADD a.tar /\n",
		"unpacked":          from + "ADD --unpack=true https://example.com/chart.tgz charts/\n",
		"from its own base": "FROM kubernetes:v1 AS base\nFROM base\nCOPY --from=base /bin/helm /tools/helm\n",
		"one of two":        from + "COPY a /\nADD b bin\n",
	} {
		t.Run(name, func(t *testing.T) {
			st := linked(t, dockerfile, never)
			if want := dump(t, compile(t, dockerfile)); !bytes.Equal(want, dump(t, st.State)) || !bytes.Equal(want, dump(t, *st.Tree)) {
				t.Error("the build graph has changed")
			}
		})
	}
	t.Run("asked for", func(t *testing.T) {
		dockerfile := from + "COPY a /\nCOPY --link=false b /\n"
		st := linked(t, dockerfile, func(line int) bool { return line == 3 }).State
		if !bytes.Equal(dump(t, compile(t, dockerfile)), dump(t, st)) {
			t.Error("the build graph has changed")
		}
	})
}

// TestTreeOfAnUnreadBase: nothing is pulled only to list files.
func TestTreeOfAnUnreadBase(t *testing.T) {
	for dockerfile, known := range map[string]bool{
		"FROM kubernetes:old\nENV A=b\n":               false,
		"FROM kubernetes:old\nCOPY --link a /\n":       false,
		"FROM kubernetes:old\nCOPY --link=false a /\n": true,
		"FROM kubernetes:v1\nENV A=b\n":                true,
		"FROM kubernetes:v1\nCOPY --link a /\n":        true,
		"FROM scratch\n":                               true,
		"FROM scratch\nCOPY a /\n":                     true,
	} {
		t.Run(dockerfile, func(t *testing.T) {
			if tree := linked(t, dockerfile, never).Tree; (tree != nil) != known {
				t.Errorf("the tree is %v", tree)
			}
		})
	}
}

func TestAdded(t *testing.T) {
	for name, tt := range map[string]struct {
		dockerfile string
		linked     bool
	}{
		"added-linked":  {"FROM kubernetes:v1\nCOPY a /\n", true},
		"added-run":     {"FROM kubernetes:v1\nRUN true\n", false},
		"added-nothing": {"FROM kubernetes:v1\nENV A=b\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			st := compile(t, tt.dockerfile)
			if tt.linked {
				st = linked(t, tt.dockerfile, never).State
			}
			base, ok, err := Base(t.Context(), st)
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			added, err := Added(t.Context(), base, st)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, added)
		})
	}
}

func TestBaseIsAnImageOnly(t *testing.T) {
	for name, st := range map[string]llb.State{
		"scratch":        llb.Scratch(),
		"a directory":    llb.Local("context"),
		"from scratch":   compile(t, "FROM scratch\nCOPY a /\nRUN true\n"),
		"a git checkout": llb.Git("https://example.com/x.git", ""),
	} {
		t.Run(name, func(t *testing.T) {
			if _, ok, err := Base(t.Context(), st); ok || err != nil {
				t.Error(ok, err)
			}
		})
	}
}

func TestDepthCountsTheLayersAboveImages(t *testing.T) {
	for dockerfile, want := range map[string]int{
		"FROM scratch\n":                                            0,
		"FROM scratch\nCOPY a /\n":                                  1,
		"FROM kubernetes:v1\n":                                      0,
		"FROM kubernetes:v1\nENV a=b\nWORKDIR /\nCMD x\n":           0,
		"FROM kubernetes:v1\nWORKDIR /x\nCOPY a /\nRUN true\n":      3,
		"FROM scratch\nCOPY --link a /\nCOPY --link b /\n":          2,
		"FROM debian AS a\nRUN true\nFROM a\nCOPY --from=a /x /y\n": 2,
	} {
		t.Run(dockerfile, func(t *testing.T) {
			if got, err := Depth(t.Context(), compile(t, dockerfile)); got != want || err != nil {
				t.Errorf("%d layers, want %d (%v)", got, want, err)
			}
		})
	}
	t.Run("a directory is one", func(t *testing.T) {
		st := llb.Local("context").File(llb.Mkdir("/x", 0o755))
		if got, err := Depth(t.Context(), st); got != 2 || err != nil {
			t.Error(got, err)
		}
	})
	t.Run("linked", func(t *testing.T) {
		if got, err := Depth(t.Context(), linked(t, "FROM kubernetes:v1\nCOPY a /\nCOPY b /\n", never).State); got != 2 || err != nil {
			t.Error(got, err)
		}
	})
}
