package kubeadm

import (
	"bytes"
	"flag"
	"fmt"
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

// parse parses what a test needs to be right.
func parse(t testing.TB, data string) Documents {
	t.Helper()
	d, err := Parse([]byte(data))
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return d
}

// key is a certificate key as kubeadm wants it.
var key = strings.Repeat("0123456789abcdef", 4)

func initSite(version string) Init {
	return Init{
		KubernetesVersion: version, Endpoint: "apiserver.cluster.local:6443", AdvertiseAddress: "10.0.0.1", NodeName: "m1",
		CertSANs: []string{"apiserver.cluster.local", "10.0.0.1"}, CertificateKey: key,
	}
}

func joinSite(version string) Join {
	return Join{KubernetesVersion: version, Endpoint: "apiserver.cluster.local:6443", NodeName: "n1",
		Token: "secret.0123456789abcdef", CAHash: "sha256:" + key}
}

// kubernetes are versions with a kubeadm of v1beta2, v1beta3 and v1beta4.
var kubernetes = []string{"v1.21.14", "v1.30.14", "v1.34.4"}

// written is what a file of testdata becomes for a version of Kubernetes: for init, a worker and a second control plane.
func written(t *testing.T, name, version string) (configs map[string][]byte, errs map[string]error) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".yml"))
	if err != nil {
		t.Fatal(err)
	}
	d := parse(t, string(data))
	configs, errs = map[string][]byte{}, map[string]error{}
	configs["init"], errs["init"] = InitConfig(d, initSite(version))
	site := joinSite(version)
	configs["join"], errs["join"] = JoinConfig(d, site)
	site.NodeName, site.ControlPlane = "m2", &ControlPlane{AdvertiseAddress: "10.0.0.2", CertificateKey: key}
	configs["control-plane"], errs["control-plane"] = JoinConfig(d, site)
	return configs, errs
}

// inputs are the files of testdata: nothing, and one for each version.
var inputs = []string{"nothing", "v1beta2", "v1beta3", "v1beta4"}

func TestConfigs(t *testing.T) {
	for _, name := range inputs {
		for _, version := range kubernetes {
			t.Run(name+" for "+version, func(t *testing.T) {
				configs, errs := written(t, name, version)
				for what, config := range configs {
					if err := errs[what]; err != nil {
						config = fmt.Appendf(nil, "error: |\n  %s\n", strings.ReplaceAll(err.Error(), "\n", "\n  "))
					}
					golden(t, filepath.Join(name, version+"."+what+".yaml"), config)
				}
			})
		}
	}
}

// What is written can be read again, and means the same.
func TestConfigsAgain(t *testing.T) {
	for _, name := range inputs {
		for _, version := range kubernetes {
			configs, errs := written(t, name, version)
			if errs["init"] != nil {
				continue // as TestConfigs knows
			}
			again, err := InitConfig(parse(t, string(configs["init"])), initSite(version))
			if err != nil || !bytes.Equal(configs["init"], again) {
				t.Errorf("%s for %s: %v: the site over its own result changes it:\n%s", name, version, err, again)
			}
		}
	}
}

func TestKubernetesVersions(t *testing.T) {
	for version, want := range map[string]int{
		"v1.15.12": 2, "1.21.0": 2, "v1.22.0": 3, "v1.30.14": 3, "v1.31.0-rc.1": 4, "v1.34.4": 4, "v2.0.0": 4, "latest": 0, "": 0,
	} {
		if n, err := versionFor(version); n != want || (err != nil) != (want == 0) {
			t.Errorf("%q: v1beta%d, %v, want v1beta%d", version, n, err, want)
		}
	}
}

// What an older version has no place for is not lost silently.
func TestWhatOldKubeadmCannot(t *testing.T) {
	const head = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: "
	cases := []struct{ name, document, want string }{
		{"an argument twice", "ClusterConfiguration\napiServer: {extraArgs: [{name: a, value: b}, {name: a, value: c}]}", "ClusterConfiguration.apiServer.extraArgs: a is there twice"},
		{"variables", "ClusterConfiguration\netcd: {local: {extraEnvs: [{name: A, value: b}]}}", "ClusterConfiguration.etcd.local.extraEnvs"},
		{"no proxy", "ClusterConfiguration\nproxy: {disabled: true}", "ClusterConfiguration.proxy"},
		{"the proxy", "ClusterConfiguration\nproxy: {disabled: false}", ""},
		{"another algorithm", "ClusterConfiguration\nencryptionAlgorithm: ECDSA-P256", "ClusterConfiguration.encryptionAlgorithm"},
		{"the usual algorithm", "ClusterConfiguration\nencryptionAlgorithm: RSA-2048", ""},
		{"pulls in parallel", "InitConfiguration\nnodeRegistration: {imagePullSerial: false}", "InitConfiguration.nodeRegistration.imagePullSerial"},
		{"pulls in turn", "InitConfiguration\nnodeRegistration: {imagePullSerial: true}", ""},
		{"the usual timeouts", "InitConfiguration\ntimeouts: {kubeletHealthCheck: 4m0s}", ""},
		{"another timeout", "InitConfiguration\ntimeouts: {kubeletHealthCheck: 5m0s}", "InitConfiguration.timeouts: the packed kubeadm takes kubeadm.k8s.io/v1beta3"},
		{"patience with the API server", "InitConfiguration\ntimeouts: {controlPlaneComponentHealthCheck: 9m0s}", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := InitConfig(parse(t, head+c.document), initSite("v1.30.0"))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error is %v, want %q in it", err, c.want)
			}
			if _, err := InitConfig(parse(t, head+c.document), initSite("v1.31.0")); err != nil {
				t.Errorf("for v1beta4: %v", err)
			}
		})
	}
	d := parse(t, head+"JoinConfiguration\ntimeouts: {controlPlaneComponentHealthCheck: 9m0s}")
	if _, err := JoinConfig(d, joinSite("v1.30.0")); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error of a join is %v", err)
	}
}

func TestExampleTokenIsNotMade(t *testing.T) {
	d := parse(t, "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nbootstrapTokens: [{token: abcdef.0123456789abcdef}, {token: ghijkl.0123456789abcdef}]")
	config, err := InitConfig(d, initSite("v1.34.4"))
	if err != nil {
		t.Fatal(err)
	}
	if s := string(config); strings.Contains(s, "abcdef.") || !strings.Contains(s, "ghijkl.") {
		t.Errorf("written:\n%s", s)
	}
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
