//go:build kubeadm

package kubeadm

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The kubeadm of the lab, which takes v1beta3 and v1beta4, accepts what is written.
func TestKubeadmAccepts(t *testing.T) {
	program, err := filepath.Abs("../../_out/bin/kubeadm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("%v: make tools TOOLS=kubeadm", err)
	}
	for _, name := range inputs {
		for _, version := range kubernetes[1:] {
			configs, _ := written(t, name, version)
			for what, config := range configs {
				// The lab's kubeadm does not install other versions than its own.
				config = bytes.ReplaceAll(config, []byte("kubernetesVersion: "+version), []byte("kubernetesVersion: v1.34.4"))
				file := filepath.Join(t.TempDir(), "config.yaml")
				if err := os.WriteFile(file, config, 0o600); err != nil {
					t.Fatal(err)
				}
				out, err := exec.CommandContext(t.Context(), program, "config", "validate", "--config", file).CombinedOutput()
				if err != nil || strings.Contains(string(out), "unknown field") {
					t.Errorf("%s of %s for %s: %v\n%s\n%s", what, name, version, err, out, config)
				}
			}
		}
	}
}
