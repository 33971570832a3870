package llb

import (
	"bytes"
	"testing"
)

func TestToolboxGoesIntoARootfsWithoutShell(t *testing.T) {
	for name, dockerfile := range map[string]string{
		"toolbox-scratch": `FROM scratch
COPY recommended.yaml /
RUN wget https://example.com/a
RUN --mount=type=cache,target=/cache ["helm", "pull", "x"]
`,
		"toolbox-cluster": `FROM kubernetes:v1
ENV PATH=/opt/bin:/bin
RUN helm pull x
`,
		"toolbox-stages": `FROM debian AS build
RUN make
FROM scratch AS base
RUN echo base
FROM base
COPY --from=build /out /bin/
RUN echo derived
`,
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name, withToolbox(t, compile(t, dockerfile)))
		})
	}
}

func TestToolboxLeavesOtherStepsAlone(t *testing.T) {
	for name, dockerfile := range map[string]string{
		"ordinary image": "FROM debian\nRUN make\nWORKDIR /x\nCOPY a b\n",
		"no RUN":         "FROM scratch\nCOPY a b\nCOPY --link c d\n",
		"nothing":        "FROM scratch\n",
	} {
		t.Run(name, func(t *testing.T) {
			st := compile(t, dockerfile)
			if !bytes.Equal(dump(t, st), dump(t, withToolbox(t, st))) {
				t.Error("the build graph has changed")
			}
		})
	}
}
