//go:build lab

package build

import (
	"slices"
	"strings"
	"testing"
)

func commandsOf(t *testing.T, ref string) []string {
	t.Helper()
	var commands []string
	for _, c := range pull(t, ref, "linux/amd64").describe(t).Commands {
		commands = append(commands, c.String())
	}
	return commands
}

func TestCommandsAddUp(t *testing.T) {
	t.Parallel()
	first, output := build(t, files{"Kubefile": `FROM scratch AS common
LABEL io.kubefile.kubernetes.version=v1.34.4
CMD echo "in a stage, with $VARIABLE"

FROM common
COPY *.yaml ./
CMD kubectl apply -f a.yaml && \
    kubectl apply -f b.yaml
CMD ["helm", "list", "x"]
`, "a.yaml": "", "b.yaml": ""})
	// A client prints warnings in two ways: as a WARN of a step if the step is still open, and as a list at the end.
	if strings.Contains(strings.ToLower(output), "warn") || strings.Contains(output, "MultipleInstructionsDisallowed") {
		t.Errorf("many commands give a warning:\n%s", output)
	}
	want := []string{`echo "in a stage, with $VARIABLE"`, "kubectl apply -f a.yaml &&     kubectl apply -f b.yaml", "helm list x"}
	if got := commandsOf(t, first); !slices.Equal(got, want) {
		t.Errorf("commands %q, want %q", got, want)
	}
	if cmd := pull(t, first, "linux/amd64").config.Config.Cmd; !slices.Equal(cmd, []string{"helm", "list", "x"}) {
		t.Errorf("the image's own Cmd is %q", cmd)
	}

	derived, _ := build(t, files{"Kubefile": "FROM " + first + "\nCMD helm list\n"})
	if got := commandsOf(t, derived); !slices.Equal(got, append(want, "helm list")) {
		t.Errorf("commands of the derived image: %q", got)
	}

	replaced, _ := build(t, files{"Kubefile": "FROM " + derived + "\nCMD []\nCMD only this\n"})
	if got := commandsOf(t, replaced); !slices.Equal(got, []string{"only this"}) {
		t.Errorf("commands after CMD []: %q", got)
	}

	silent, _ := build(t, files{"Kubefile": "FROM " + derived + "\nLABEL a=b\n"})
	if got := commandsOf(t, silent); !slices.Equal(got, append(want, "helm list")) {
		t.Errorf("commands of an image that adds none: %q", got)
	}
}
