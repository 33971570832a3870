package runner

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/registry"
)

// TestRegistryOfTheSite: what a Clusterfile specifies of registries is read before a host is reached, and what is wrong with it is an error.
func TestRegistryOfTheSite(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"cert", "key", "ca"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name+" of the site"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(registry string) (registry.Settings, error) {
		t.Helper()
		file, err := clusterfile.Parse("Clusterfile", fmt.Appendf(nil, "apiVersion: sealer.io/v2\nkind: Cluster\nmetadata: {name: test}\n"+
			"spec:\n  image: x\n  hosts: [{ips: [10.0.0.1], roles: [master]}]\n  registry:\n    %s\n", strings.ReplaceAll(registry, "DIR", dir)))
		if err != nil {
			t.Fatal(err)
		}
		secrets := &clusterfile.Secrets{Ask: func(string) (host.Secret, error) { return "", errors.New("nobody is there") }}
		return Site{Clusterfile: file, Secrets: secrets}.registry()
	}
	t.Setenv("REGISTRY_PASSWORD", "hidden away")
	settings, err := read("externalRegistry: {domain: harbor.example, port: 8443, username: u, password: \"env:REGISTRY_PASSWORD\"}")
	if err != nil {
		t.Fatal(err)
	}
	external := settings.External
	if external.Domain != "harbor.example" || external.Port != 8443 || external.Username != "u" || external.Password.Reveal() != "hidden away" {
		t.Errorf("got the registry %+v", external)
	}
	for name, tt := range map[string]struct{ registry, want string }{
		"password without an answer":    {"localRegistry: {username: u, password: prompt}", "nobody is there"},
		"password of another registry":  {"externalRegistry: {domain: harbor.example, username: u, password: prompt}", "nobody is there"},
		"certificate that is not there": {"localRegistry: {cert: {certFile: DIR/none, keyFile: DIR/key}}", "registry.localRegistry.cert: open " + dir + "/none"},
		"certificate that is not one":   {"localRegistry: {cert: {certFile: DIR/cert, keyFile: DIR/key}}", "certificate"},
		"port that Kubernetes needs":    {"localRegistry: {port: 6443}", "port 6443 is one of Kubernetes' own"},
		"certificate for no TLS":        {"localRegistry: {insecure: true, cert: {certFile: DIR/cert, keyFile: DIR/key}}", "insecure"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(tt.registry)
			wantError(t, err, tt.want)
		})
	}
}
