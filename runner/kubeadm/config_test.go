package kubeadm

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("not as in %s:\n%s", file, got)
	}
}

var (
	initSite = Init{
		KubernetesVersion: "v1.34.4", Endpoint: "apiserver.cluster.local:6443", AdvertiseAddress: "10.0.0.1", NodeName: "m1",
		CertSANs: []string{"apiserver.cluster.local", "10.0.0.1"},
	}
	joinSite = Join{Endpoint: "apiserver.cluster.local:6443", NodeName: "n1", Token: "abcdef.0123456789abcdef", CAHash: "sha256:00"}
)

func TestInitConfig(t *testing.T) {
	for _, name := range []string{"empty", "full"} {
		t.Run(name, func(t *testing.T) {
			image, err := os.ReadFile(filepath.Join("testdata", name+".yml"))
			if err != nil {
				t.Fatal(err)
			}
			config, err := InitConfig(image, initSite)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".init.yaml", config)
			again, err := InitConfig(config, initSite)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(config, again) {
				t.Errorf("the site over its own result changes it:\n%s", again)
			}
		})
	}
}

func TestJoinConfig(t *testing.T) {
	for _, name := range []string{"empty", "full"} {
		t.Run(name, func(t *testing.T) {
			image, err := os.ReadFile(filepath.Join("testdata", name+".yml"))
			if err != nil {
				t.Fatal(err)
			}
			config, err := JoinConfig(image, joinSite)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".join.yaml", config)
		})
	}
}

func TestRefusedConfigs(t *testing.T) {
	cases := []struct{ name, image, want string }{
		{"not YAML", "a: [", "etc/kubeadm.yml"},
		{"a list", "- a", "etc/kubeadm.yml"},
		{"no kind", "apiVersion: kubeadm.k8s.io/v1beta4\n", "without kind"},
		{"twice", "kind: InitConfiguration\n---\nkind: InitConfiguration\n", "two documents of kind InitConfiguration"},
		{"old version", "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\n", "kubeadm.k8s.io/v1beta4"},
		{"deep", strings.Repeat("a: {", 20000), "etc/kubeadm.yml"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := InitConfig([]byte(c.image), initSite)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q in it", err, c.want)
			}
			if _, err := JoinConfig([]byte(c.image), joinSite); err == nil || strings.Contains(err.Error(), joinSite.Token) {
				t.Errorf("error of a join is %v", err)
			}
		})
	}
}

func FuzzInitConfig(f *testing.F) {
	full, err := os.ReadFile(filepath.Join("testdata", "full.yml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	f.Add([]byte("kind: ClusterConfiguration\napiServer: []\n"))
	f.Add([]byte("kind: InitConfiguration\nnodeRegistration: &a {x: *a}\n"))
	f.Add([]byte("? {a: b}\n: c\nkind: X\n"))
	f.Fuzz(func(t *testing.T, image []byte) {
		config, err := InitConfig(image, initSite)
		if err != nil {
			return
		}
		if _, err := InitConfig(config, initSite); err != nil {
			t.Fatalf("its own result is refused: %v\n%s", err, config)
		}
	})
}

func TestCAHash(t *testing.T) {
	// Made with: openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=ca -days 36500
	// openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | sha256sum
	certificate, err := os.ReadFile(filepath.Join("testdata", "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "ca.crt.pin"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := CAHash(certificate)
	if err != nil || got != strings.TrimSpace(string(want)) {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	for _, bad := range []string{"", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if hash, err := CAHash([]byte(bad)); err == nil {
			t.Errorf("%q has the hash %s", bad, hash)
		}
	}
}
