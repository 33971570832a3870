package repository

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/clusterfile"
)

// TestExampleClusterfiles reads the Clusterfiles of the examples as sealer-run does, and lets their Configs change the examples' files.
func TestExampleClusterfiles(t *testing.T) {
	for name, want := range map[string][]string{
		"redis":         {"kind: Secret", `name: "redis-password"`, "password: Y2hhbmdlIG1l"},
		"mysql-cluster": {"mysql-passwd: change me", "max-connections: 400"},
		"web":           {"title: Web # of the window", "greeting: hello from this site", "replicas: 2"},
	} {
		dir := filepath.Join(repositoryRoot(t), "examples", name)
		file, err := clusterfile.Read(nil, filepath.Join(dir, "Clusterfile"))
		if err != nil {
			t.Error(err)
			continue
		}
		if file.Cluster == nil || len(file.Configs) != 1 || len(file.Warnings) > 0 {
			t.Fatalf("%s: cluster %v, %d Configs, warnings %v", name, file.Cluster, len(file.Configs), file.Warnings)
		}
		config := file.Configs[0]
		changed, err := config.Apply([]byte(read(t, filepath.Join(dir, config.File()))))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, text := range want {
			if !strings.Contains(string(changed), text) {
				t.Errorf("%s lacks %q:\n%s", config.File(), text, changed)
			}
		}
	}
}

// TestArgumentsOfExamplesScript: nothing is built when an argument is wrong.
func TestArgumentsOfExamplesScript(t *testing.T) {
	for _, tt := range []struct{ names, archive, want string }{
		{"kubernetes nothing", "", "examples.sh: there is no example nothing\n"},
		{"kubernetes redis", "x.tar", "examples.sh: ARCHIVE=FILE writes the dashboard only; add dashboard, or leave out ARCHIVE\n"},
	} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(repositoryRoot(t), "integration", "lab", "examples.sh"), strings.Fields(tt.names)...)
		cmd.Env = append(os.Environ(), "ARCHIVE="+tt.archive)
		out, _ := cmd.CombinedOutput()
		if got := string(out); cmd.ProcessState.ExitCode() != 2 || got != tt.want {
			t.Errorf("%s: got %v, %q, want status 2 and %q", tt.names, cmd.ProcessState, got, tt.want)
		}
	}
}
