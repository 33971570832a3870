package kubeadm

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	clusterHead = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n"
	kubeletHead = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
)

func TestRefusedDocuments(t *testing.T) {
	old := strings.ReplaceAll(clusterHead, "v1beta4", "v1beta2")
	cases := []struct{ name, data, want string }{
		{"not YAML", "a: [", "line "},
		{"a list", "\n- a", "line 2: a document of kubeadm is a mapping"},
		{"no kind", "apiVersion: kubeadm.k8s.io/v1beta4\n", "line 1: a document without kind"},
		{"unknown field, no version", "---\nkind: ClusterConfiguration\nnetwork: {}\n", `line 3: unknown field "network"`},
		{"unknown version", "kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1beta1\n", "kubeadm.k8s.io/v1beta4"},
		{"version of another kind", "kind: KubeletConfiguration\napiVersion: kubeadm.k8s.io/v1beta4\n", "kubelet.config.k8s.io/v1beta1"},
		{"unknown kind", clusterHead + "---\napiVersion: v1\nkind: Pod\n", `line 4: unknown kind "Pod"`},
		{"two of a kind", clusterHead + "---\n" + clusterHead, "line 4: a second document of kind ClusterConfiguration: the first is in line 1"},
		{"two that are left out", "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ResetConfiguration\n---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: ResetConfiguration\n", "line 4"},
		{"a key twice", clusterHead + "networking:\n  podSubnet: a\n  podSubnet: b\n", `line 5: this field is already defined at line 4`},
		{"unknown field", clusterHead + "networking:\n  podsubnett: a\n", `line 4: unknown field "podsubnett": did you mean podSubnet?`},
		{"unknown field of nothing near", clusterHead + "networking:\n  cni: a\n", "there are dnsDomain, podSubnet, serviceSubnet"},
		{"field of a later version", old + "proxy: {}\n", `line 3: kubeadm.k8s.io/v1beta2 has no field "proxy"`},
		{"field of an earlier version", clusterHead + "useHyperKubeImage: true\n", `line 3: kubeadm.k8s.io/v1beta4 has no field "useHyperKubeImage"`},
		{"a list for a mapping", clusterHead + "apiServer: []\n", "line 3: apiServer: a mapping is wanted here"},
		{"a string for a list", clusterHead + "apiServer:\n  certSANs: a\n", "line 4: certSANs: a list of strings is wanted here"},
		{"a mapping for a string", clusterHead + "networking:\n  podSubnet: {a: b}\n", "line 4: podSubnet: a string is wanted here"},
		{"a mapping for a number", strings.Replace(clusterHead, "Cluster", "Init", 1) + "localAPIEndpoint:\n  bindPort: {}\n", "line 4"},
		{"an empty element", clusterHead + "apiServer:\n  certSANs:\n  -\n", "line 5: certSANs: an empty element"},
		{"arguments as text", clusterHead + "apiServer:\n  extraArgs: --v=4\n", "line 4: extraArgs: a list of names and values is wanted here"},
		{"an argument that is a list", old + "apiServer:\n  extraArgs: {v: [4]}\n", "line 4: extraArgs: a string is wanted here"},
		{"a merged argument that is a list", old + "apiServer:\n  extraArgs: {<<: {v: [4]}}\n", "line 1: ClusterConfiguration.apiServer.extraArgs: v is not a string"},
		{"an argument without name", clusterHead + "apiServer: {extraArgs: [{value: a}]}\n", "ClusterConfiguration.apiServer.extraArgs: an argument without name"},
		{"unknown field of an argument", clusterHead + "apiServer:\n  extraArgs:\n  - {name: a, val: b}\n", `line 5: unknown field "val"`},
		{"kube-dns", old + "dns: {type: kube-dns}\n", "ClusterConfiguration.dns.type: kube-dns is no longer supported"},
		{"hyperkube", old + "useHyperKubeImage: true\n", "ClusterConfiguration.useHyperKubeImage"},
		{"a key that is a mapping", kubeletHead + "x:\n  ? {a: b}\n  : c\n", "line 4: a key that is not a string"},
		{"an alias of itself", kubeletHead + "a: &a {b: *a}\n", "line 3: alias *a is inside of what it names"},
		{"an unknown alias", kubeletHead + "a: *a\n", "begins with *"},
		{"deep", strings.Repeat("a: {", 20000), "depth"},
		{"deeper than meant", kubeletHead + "a: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "levels"},
		{"deep by aliases", kubeletHead + deepAliases(), "levels"},
		{"many aliases", kubeletHead + laughs(), "bytes"},
		{"one long text many times", kubeletHead + "a: &a " + strings.Repeat("x", 1<<20) + "\nb: [*a, *a, *a, *a, *a]\n", "bytes"},
		{"large", kubeletHead + "a: " + strings.Repeat("x", 5<<20), "more than 4194304 bytes"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if d, err := Parse([]byte(c.data)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q in it; documents are %v", err, c.want, d)
			}
		})
	}
}

// laughs are nine levels of ten aliases each.
func laughs() string {
	var b strings.Builder
	b.WriteString("a0: &a0 x\n")
	for i := range 9 {
		fmt.Fprintf(&b, "a%d: &a%[1]d [%s]\n", i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	return b.String()
}

// deepAliases are many aliases, each one level deeper.
func deepAliases() string {
	var b strings.Builder
	b.WriteString("a0: &a0 []\n")
	for i := range 200 {
		fmt.Fprintf(&b, "a%d: &a%[1]d [*a%d]\n", i+1, i)
	}
	return b.String()
}

func TestReadAsMeant(t *testing.T) {
	cases := []struct{ name, data, want string }{
		{"nothing", "", ""},
		{"empty documents", "---\n---\n# nothing\n---\nnull\n", ""},
		{"no version", "kind: KubeletConfiguration\nmaxPods: 1\n", kubeletHead + "maxPods: 1\n"},
		{"an empty version", "kind: KubeProxyConfiguration\napiVersion: ''\n", "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"},
		{"null as version", "apiVersion:\nkind: ClusterConfiguration\n", clusterHead},
		{"no version, fields of the oldest and the newest", "kind: ClusterConfiguration\ndns: {type: CoreDNS}\nproxy: {disabled: true}\nscheduler: {extraArgs: {v: 4}}\n",
			"apiVersion: kubeadm.k8s.io/v1beta4\ndns: {}\nkind: ClusterConfiguration\nproxy:\n  disabled: true\nscheduler:\n  extraArgs:\n    - name: v\n      value: \"4\"\n"},
		{"left out without version", "kind: ResetConfiguration\nforce: true\n", ""},
		{"left out", "apiVersion: kubeadm.k8s.io/v1beta4\nkind: UpgradeConfiguration\n", ""},
		{"null is not written", clusterHead + "networking:\ndns: ~\napiServer: {certSANs: }\n", "apiServer: {}\n" + clusterHead},
		{"strings stay as written", clusterHead + "clusterName: on\ndns: {imageTag: 3.10}\ncertificatesDir: 2001-01-01\n",
			"apiVersion: kubeadm.k8s.io/v1beta4\ncertificatesDir: \"2001-01-01\"\nclusterName: \"on\"\ndns:\n  imageTag: \"3.10\"\nkind: ClusterConfiguration\n"},
		{"booleans of YAML 1.1", kubeletHead + "a: yes\nb: Off\nc: 'yes'\non: 2001-01-01\n1: x\n",
			"\"1\": x\na: true\napiVersion: kubelet.config.k8s.io/v1beta1\nb: false\nc: \"yes\"\nkind: KubeletConfiguration\n\"on\": \"2001-01-01\"\n"},
		{"a mapping of arguments in v1beta4", clusterHead + "scheduler: {extraArgs: {b: 0600, a: 1.10}}\n",
			clusterHead + "scheduler:\n  extraArgs:\n    - name: a\n      value: \"1.10\"\n    - name: b\n      value: \"0600\"\n"},
		{"aliases", clusterHead + "scheduler: &s {extraArgs: [{name: v, value: 4}]}\ncontrollerManager: *s\n",
			"apiVersion: kubeadm.k8s.io/v1beta4\ncontrollerManager:\n  extraArgs:\n    - name: v\n      value: \"4\"\nkind: ClusterConfiguration\nscheduler:\n  extraArgs:\n    - name: v\n      value: \"4\"\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := parse(t, c.data).YAML()
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
			}
		})
	}
}

func TestOld(t *testing.T) {
	if d := Old("", "", nil); d != nil {
		t.Errorf("of nothing: %v", d)
	}
	got, err := Old("10.1.0.0/16", "", []string{"a", "a", "b"}).YAML()
	if err != nil {
		t.Fatal(err)
	}
	want := "apiServer:\n  certSANs:\n    - a\n    - b\n" + clusterHead + "networking:\n  podSubnet: 10.1.0.0/16\n"
	if string(got) != want {
		t.Errorf("got:\n%s", got)
	}
}

// seed adds the files of testdata.
func seed(f *testing.F, add func(data []byte)) {
	for _, name := range inputs {
		data, err := os.ReadFile(filepath.Join("testdata", name+".yml"))
		if err != nil {
			f.Fatal(err)
		}
		add(data)
	}
	for _, data := range []string{laughs(), deepAliases(), "<<: [{a: b}]\n", "a: &a {<<: *a}\n", "? {a: b}\n: c\n"} {
		add([]byte(kubeletHead + data))
	}
}

func FuzzParse(f *testing.F) {
	seed(f, func(data []byte) { f.Add(data) })
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Parse(data)
		if err != nil {
			return
		}
		_ = d.Check(nil)
		_ = d.DNSAddress()
		for _, version := range kubernetes {
			if _, err := JoinConfig(d, joinSite(version)); err != nil && strings.Contains(err.Error(), "secret") {
				t.Fatalf("a token in the error %v", err)
			}
			config, err := InitConfig(d, initSite(version))
			if err != nil {
				continue
			}
			again, err := Parse(config)
			if err != nil {
				t.Fatalf("its own result is refused: %v\n%s", err, config)
			}
			if second, err := InitConfig(again, initSite(version)); err != nil || !bytes.Equal(config, second) {
				t.Fatalf("%v: the second time it is another\n%s\n%s", err, config, second)
			}
		}
	})
}
