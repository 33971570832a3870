//go:build kubeadm

package difference

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/kubeadm"
)

// phase runs a phase of the lab's kubeadm init, and returns what it printed.
func phase(t *testing.T, config []byte, args ...string) string {
	t.Helper()
	program, err := filepath.Abs("../../../_out/bin/kubeadm")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, append([]string{"init", "phase"}, append(args, "--config", "/dev/stdin")...)...)
	cmd.Stdin = bytes.NewReader(config)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubeadm %s: %v\n%s\n%s", strings.Join(cmd.Args[1:], " "), err, out, config)
	}
	return string(out)
}

// TestKubeadmPhases: of what a cluster keeps, changed, the real kubeadm makes the certificate and the manifests that are wanted.
func TestKubeadmPhases(t *testing.T) {
	dir := t.TempDir()
	const kept = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n"
	live := kept + "kubernetesVersion: v1.34.4\ncertificatesDir: /etc/kubernetes/pki\napiServer: {certSANs: [of-site, old.example]}\n" +
		"networking: {dnsDomain: cluster.local, serviceSubnet: 10.96.0.0/12}\ncaCertificateValidityPeriod: 87600h0m0s\n"
	had := parsed(t, kept+"apiServer: {certSANs: [old.example]}\n")
	wanted := parsed(t, kept+"apiServer: {certSANs: [new.example], extraArgs: [{name: profiling, value: 'false'}]}\nscheduler: {extraArgs: [{name: v, value: '3'}]}\n")
	patched, err := PatchText([]byte(live), Between(Public(had), Public(wanted)), wanted, "v1.34.4", kubeadm.ClusterKind)
	if err != nil {
		t.Fatal(err)
	}
	site := kubeadm.Init{KubernetesVersion: "v1.34.4", Endpoint: "api.site:6443", AdvertiseAddress: "10.0.0.1", NodeName: "h1", CertSANs: []string{"of-site"}}
	config, err := kubeadm.PhaseConfig(patched, wanted, site, true, dir)
	if err != nil {
		t.Fatal(err)
	}
	phase(t, config, "certs", "ca")
	phase(t, config, "certs", "apiserver")
	text, err := os.ReadFile(filepath.Join(dir, "apiserver.crt"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Sorted(slices.Values(certificate.DNSNames))
	if want := []string{"api.site", "h1", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "new.example", "of-site"}; !slices.Equal(names, want) {
		t.Errorf("the certificate has %q, want %q", names, want)
	}
	t.Setenv("KUBEADM_INIT_DRYRUN_DIR", dir)
	for component, want := range map[string]string{"apiserver": "- --profiling=false\n", "scheduler": "- --v=3\n"} {
		phase(t, config, "control-plane", component, "--dry-run")
		manifest, err := os.ReadFile(filepath.Join(dir, "kube-"+component+".yaml"))
		if err != nil || !strings.Contains(string(manifest), want) {
			t.Errorf("%v: the manifest is\n%s\nwant %q", err, manifest, want)
		}
	}
}
