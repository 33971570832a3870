package kubeadm

import (
	"bytes"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
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
	joinSite = Join{
		KubernetesVersion: "v1.34.4", Endpoint: "apiserver.cluster.local:6443", NodeName: "n1", Token: "abcdef.0123456789abcdef", CAHash: "sha256:00",
	}
)

// read returns the documents of testdata/name.
func read(t *testing.T, name string) Documents {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	documents, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return documents
}

// What kubeadm gets, for every version that documents come in and every version that it takes.
func TestConfigs(t *testing.T) {
	for _, name := range []string{"empty", "full", "v1beta2", "v1beta3"} {
		for _, kubernetes := range []string{"v1.34.4", "v1.28.0", "v1.21.14"} {
			t.Run(name+" for "+kubernetes, func(t *testing.T) {
				documents := read(t, name+".yml")
				if name == "full" && kubernetes != "v1.34.4" { // it repeats an argument
					delete(documents, kindCluster)
				}
				site, worker := initSite, joinSite
				site.KubernetesVersion, worker.KubernetesVersion = kubernetes, kubernetes
				master := worker
				master.ControlPlane = &ControlPlane{AdvertiseAddress: "10.0.0.2", CertificateKey: "00ff"}
				config, err := InitConfig(documents, site)
				if err != nil {
					t.Fatal(err)
				}
				golden(t, name+"."+kubernetes+".init.yaml", config)
				again, err := Parse(config)
				if err != nil {
					t.Fatal(err)
				}
				if same, err := InitConfig(again, site); err != nil || !bytes.Equal(config, same) {
					t.Errorf("the site over its own result changes it: %v\n%s", err, same)
				}
				for kind, join := range map[string]Join{"join": worker, "master": master} {
					config, err := JoinConfig(documents, join)
					if err != nil {
						t.Fatal(err)
					}
					golden(t, name+"."+kubernetes+"."+kind+".yaml", config)
				}
			})
		}
	}
}

func TestOver(t *testing.T) {
	cases := []struct{ name, base, over, want string }{
		{"a field", "networking: {podSubnet: 10.0.0.0/16, dnsDomain: a}", "networking: {podSubnet: 10.1.0.0/16}",
			"networking: {dnsDomain: a, podSubnet: 10.1.0.0/16}"},
		{"false, 0 and nothing win", "a: true\nb: 1\nc: x", "a: false\nb: 0\nc: ''", "a: false\nb: 0\nc: ''"},
		{"lists are replaced", "a: [1, 2]", "a: [3]", "a: [3]"},
		{"an empty list is one", "nodeRegistration: {taints: [{key: a}]}", "nodeRegistration: {taints: []}", "nodeRegistration: {taints: []}"},
		{"names are united", "apiServer: {certSANs: [a, b]}", "apiServer: {certSANs: [b, c]}", "apiServer: {certSANs: [a, b, c]}"},
		{"arguments by name", "apiServer: {extraArgs: [{name: v, value: '1'}, {name: w, value: '1'}]}",
			"apiServer: {extraArgs: [{name: v, value: '2'}, {name: v, value: '3'}]}",
			"apiServer: {extraArgs: [{name: w, value: '1'}, {name: v, value: '2'}, {name: v, value: '3'}]}"},
		{"a map for a text", "a: x", "a: {b: 1}", "a: {b: 1}"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			head := "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n"
			parse := func(text string) Documents {
				d, err := Parse([]byte(head + text))
				if err != nil {
					t.Fatal(err)
				}
				return d
			}
			base, above := parse(c.base), parse(c.over)
			if got := above.Over(base); !reflect.DeepEqual(got, parse(c.want)) {
				t.Errorf("got %v, want %v", got, parse(c.want))
			}
			if !reflect.DeepEqual(base, parse(c.base)) || !reflect.DeepEqual(above, parse(c.over)) {
				t.Error("an argument was changed")
			}
		})
	}
}

func TestRefused(t *testing.T) {
	cases := []struct{ name, documents, want string }{
		{"not YAML", "a: [", "yaml"},
		{"a list", "- a", "line 1"},
		{"no kind", "apiVersion: kubeadm.k8s.io/v1beta4\n", "without kind"},
		{"twice", "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n",
			"line 4: a second document of kind InitConfiguration"},
		{"a key twice", "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\na: 1\na: 2\n", "already defined"},
		{"unknown version", "apiVersion: kubeadm.k8s.io/v1beta9\nkind: ClusterConfiguration\n", "kubeadm.k8s.io/v1beta4"},
		{"unknown kind", "\n\napiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfigurations\n", "line 3: no kind ClusterConfigurations"},
		{"list of an old version", "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\napiServer: {extraArgs: []}\n", "apiServer.extraArgs"},
		{"old DNS", "apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterConfiguration\ndns: {type: kube-dns}\n", "CoreDNS"},
		{"deep", strings.Repeat("a: {", 20000), "yaml"},
		{"bomb", "a: &a [x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b]\n" +
			"d: &d [*c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e]\ng: [*f, *f, *f, *f, *f, *f, *f]\n", "alias"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Parse([]byte(c.documents)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q in it", err, c.want)
			}
		})
	}
}

// What an older kubeadm cannot be told is said, not dropped.
func TestLostOnTheWayDown(t *testing.T) {
	for field, want := range map[string]string{
		"apiServer: {extraArgs: [{name: v, value: '2'}, {name: v, value: '3'}]}": "stands twice",
		"certificateValidityPeriod: 100h":                                        "certificateValidityPeriod",
	} {
		documents, err := Parse([]byte("apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n" + field))
		if err != nil {
			t.Fatal(err)
		}
		site := initSite
		site.KubernetesVersion = "v1.30.1"
		if _, err := InitConfig(documents, site); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v", field, err)
		}
	}
}

func TestCheck(t *testing.T) {
	hosts := []netip.Addr{netip.MustParseAddr("192.168.0.2"), netip.MustParseAddr("fd00::2")}
	cases := []struct{ cluster, want string }{
		{"", ""},
		{"networking: {podSubnet: 10.244.0.0/16, serviceSubnet: 10.96.0.0/16}", ""},
		{"networking: {podSubnet: '10.244.0.0/16,fd01::/48', serviceSubnet: '10.96.0.0/16,fd02::/112'}", ""},
		{"networking: {podSubnet: 10.96.0.0/16}", "overlap"},
		{"networking: {podSubnet: 192.168.0.0/16}", "the host 192.168.0.2"},
		{"networking: {serviceSubnet: 'fd00::/108'}", "the host fd00::2"},
		{"networking: {serviceSubnet: 10.0.0.0/8}", "/12 at most"},
		{"networking: {podSubnet: 10.244.0.0}", "no network"},
		{"apiServer: {certSANs: [a.example.com, '*.b', 10.0.0.1, 'fd00::1']}", ""},
		{"apiServer: {certSANs: ['a b']}", "certSANs"},
	}
	for _, c := range cases {
		documents, err := Parse([]byte("apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\n" + c.cluster))
		if err != nil {
			t.Fatal(err)
		}
		err = documents.Check(hosts)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v, want %q", c.cluster, err, c.want)
		}
	}
}

func TestNetworks(t *testing.T) {
	documents := Old("100.64.0.0/10", "10.96.0.0/22", []string{"a.example.com"})
	if got := documents.PodSubnet() + " " + documents.ServiceSubnet() + " " + documents.DNSAddress() + " " + documents.DNSDomain(); got !=
		"100.64.0.0/10 10.96.0.0/22 10.96.0.10 cluster.local" {
		t.Error(got)
	}
	if Old("", "", nil) != nil {
		t.Error("nothing is something")
	}
	if got := (Documents)(nil).DNSAddress(); got != "10.96.0.10" {
		t.Errorf("the DNS is at %s by default", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"full", "v1beta2", "v1beta3"} {
		data, err := os.ReadFile(filepath.Join("testdata", name+".yml"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nnodeRegistration: &a {x: *a}\n"))
	f.Add([]byte("? {a: b}\n: c\nkind: X\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		documents, err := Parse(data)
		if err != nil {
			return
		}
		documents.Check(nil)
		config, err := InitConfig(documents, initSite)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(config)
		if err != nil {
			t.Fatalf("its own result is refused: %v\n%s", err, config)
		}
		once := documents.Over(again)
		if twice := documents.Over(once); !reflect.DeepEqual(once, twice) {
			t.Fatalf("%v over itself is %v", once, twice)
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
