//go:build lab

package build

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shell runs a script in dir with the lab's tools and the runner in PATH.
func shell(t *testing.T, dir, script string) (string, error) {
	t.Helper()
	runner, err := filepath.Abs(filepath.Join(out, "frontend", "linux-amd64"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+lab.Bin+":"+runner+":"+os.Getenv("PATH"), "COSIGN_PASSWORD=secret", "HOME="+dir)
	dt, err := cmd.CombinedOutput()
	return string(dt), err
}

// signatures are the commands of docs/operations.md, with references of the lab for those in it.
func signatures(t *testing.T, ref, site string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Signatures\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var script strings.Builder
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1) {
		script.WriteString(block[1])
	}
	for _, command := range []string{"cosign sign ", "cosign verify ", "cosign sign-blob ", "cosign verify-blob ", "oras cp --recursive ", "sealer-run inspect "} {
		if !strings.Contains(script.String(), command) {
			t.Fatalf("the document has no %q:\n%s", command, section)
		}
	}
	return strings.NewReplacer("registry.example.com/app", ref, "registry.site.example/app", site).Replace(script.String())
}

// TestSignatures runs the commands of the document about signing, and then commands that must fail.
func TestSignatures(t *testing.T) {
	t.Parallel()
	pushed, _ := build(t, small, "--provenance=mode=max", "--platform", "linux/amd64,linux/arm64")
	// The name of this machine, which every OCI client takes for a registry without TLS.
	ref := "localhost" + strings.TrimSuffix(strings.TrimPrefix(pushed, "127.0.0.1"), ":v1")
	site := ref + "-site"
	dir := t.TempDir()
	output, err := shell(t, dir, signatures(t, ref, site))
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	contains(t, output, "Verified OK", "The signatures were verified against the specified public key", "platform  linux/amd64")

	other, _ := build(t, files{"Kubefile": "FROM scratch\nCMD other\n"})
	unsigned := strings.Replace(strings.TrimSuffix(other, ":v1"), "127.0.0.1", "localhost", 1)
	const verify = "cosign verify --key cosign.pub --insecure-ignore-tlog "
	for name, script := range map[string]string{
		"an unsigned image":   verify + unsigned + "@$(crane digest " + unsigned + ":v1)",
		"another key":         "mkdir other; cd other; cosign generate-key-pair; " + verify + site + "@$(crane digest " + site + ":v1)",
		"a file that changed": "cp app.tar changed.tar; echo x >>changed.tar; cosign verify-blob --key cosign.pub --insecure-ignore-tlog --bundle app.tar.sigstore.json changed.tar",
	} {
		t.Run(name, func(t *testing.T) {
			output, err := shell(t, dir, script)
			if err == nil {
				t.Errorf("it passed:\n%s", output)
			}
			if !regexp.MustCompile(`(?i)no signatures found|no matching signatures|invalid signature|failed to verify|accepted signatures|mismatch`).MatchString(output) {
				t.Errorf("it failed for another reason:\n%s", output)
			}
		})
	}
}
