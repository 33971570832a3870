package host

import (
	"encoding/base64"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// look runs facts.sh on a host that has these files, of the processes of which nothing is known.
func look(t *testing.T, files map[string]string) *Facts {
	t.Helper()
	top := t.TempDir()
	for name, content := range files {
		file := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("sh", "-c", factsScript, "sh", "/", top).Output()
	if err != nil {
		t.Fatal(err)
	}
	f, err := parseFacts(out)
	if err != nil {
		t.Fatal(err)
	}
	f.Processes = nil
	return f
}

const kubeletConf = "/etc/kubernetes/kubelet.conf"

func TestFactsOfKubernetes(t *testing.T) {
	authority := base64.StdEncoding.EncodeToString([]byte("the authority"))
	f := look(t, map[string]string{
		kubeletConf:                           "clusters:\n- cluster:\n    certificate-authority-data: " + authority + "\n    server: https://10.0.0.9:6443\n",
		"/etc/kubernetes/manifests/etcd.yaml": "x", "/var/lib/kubelet/config.yaml": "x",
		"/var/lib/etcd/member/snap/0000000000000002-0000000000002711.snap": "x", "/var/lib/containerd/a/meta.db": "x",
		"/etc/systemd/system/kubefile-registry.service": "[Service]\nExecStart=/usr/local/bin/sealer-run registry serve --config /srv/k/default/registry.json\n",
	})
	if string(f.Kubelet.Authority) != "the authority" || f.Kubelet.Server != "https://10.0.0.9:6443" || f.ClusterDir != "/srv/k/default" || !f.EtcdGrown ||
		!f.HasData(EtcdDir) || !f.HasData(ContainerdDir) {
		t.Errorf("%+v", f)
	}
	if want := []string{kubeletConf, "/etc/kubernetes/manifests/etcd.yaml", "/var/lib/kubelet/config.yaml"}; !slices.Equal(f.Cluster, want) {
		t.Errorf("files are %v, want %v", f.Cluster, want)
	}
	elsewhere := look(t, map[string]string{
		"/etc/kubernetes/manifests/etcd.yaml":              "spec:\n  containers:\n  - command:\n    - etcd\n    - --data-dir=/data/the etcd\n    - --name=h1\n",
		"/data/the etcd/member/snap/0000000000000002.snap": "x",
	})
	if !elsewhere.EtcdGrown || elsewhere.HasData(EtcdDir) {
		t.Errorf("with a data directory of its own: %+v, want an etcd that has grown", elsewhere)
	}
	// An authority in a file of its own, one that is none, and one that is too long for an answer.
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, []byte("in a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	for config, want := range map[string]string{
		"    certificate-authority: " + file + "\n":                              "in a file",
		"    certificate-authority-data: not base64!\n":                          "",
		"    certificate-authority-data: " + strings.Repeat("QUFB", 2000) + "\n": "",
		"": "",
	} {
		f := look(t, map[string]string{kubeletConf: config})
		if string(f.Kubelet.Authority) != want || !f.HasCluster(kubeletConf) {
			t.Errorf("%.50q: the authority is %q, files are %v", config, f.Kubelet.Authority, f.Cluster)
		}
	}
	bare := look(t, map[string]string{"/var/lib/etcd/lost+found/x": "", "/var/lib/containerd/lost+found/x": "", "/etc/kubernetes/audit-policy.yaml": ""})
	if len(bare.Cluster)+len(bare.Data) > 0 || bare.EtcdGrown || bare.ClusterDir != "" {
		t.Errorf("on a bare host: %+v", bare)
	}
}

// What is not the cluster's is named before anything is changed, with what to do.
func TestForeignThingsAreProblems(t *testing.T) {
	all := Needs{NoCluster: true, NoEtcd: true, NoContainerd: true, ClusterDir: "/var/lib/sealer/data/default"}
	cases := []struct {
		name  string
		facts Facts
		needs Needs
		want  []string
	}{
		{"nothing", Facts{}, all, nil},
		{"an etcd that is stopped", Facts{Data: []string{EtcdDir}}, all, []string{"etcd data in /var/lib/etcd", "move its data away"}},
		{"an etcd that runs elsewhere", Facts{Processes: []string{"etcd"}}, all, []string{"an etcd runs on it"}},
		{"a containerd", Facts{Data: []string{ContainerdDir}}, all, []string{"containerd data in /var/lib/containerd"}},
		{"a kubelet that runs", Facts{Processes: []string{"kubelet"}}, all, []string{"a kubelet runs"}},
		{"a kubelet that is stopped", Facts{Cluster: []string{"/var/lib/kubelet/config.yaml"}}, all, []string{"/var/lib/kubelet/config.yaml"}},
		{"a node of another cluster", Facts{Cluster: []string{kubeletConf}, Kubelet: Kubelet{Server: "https://10.9.9.9:6443"}}, all,
			[]string{"https://10.9.9.9:6443", "use another host"}},
		{"a cluster of another name", Facts{ClusterDir: "/var/lib/sealer/data/prod", Cluster: []string{kubeletConf}}, all,
			[]string{"a host of the cluster in /var/lib/sealer/data/prod", "--data-root"}},
		{"its own", Facts{ClusterDir: "/var/lib/sealer/data/default", Cluster: []string{kubeletConf}, Data: []string{EtcdDir, ContainerdDir}, Processes: []string{"etcd", "kubelet"}},
			Needs{ClusterDir: "/var/lib/sealer/data/default"}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := Host{Address: netip.MustParseAddr("10.0.0.1"), Local: true}
			err := Preflight([]Report{{Host: h, Facts: &c.facts}}, func(Host) Needs { return c.needs }).Err()
			if (err == nil) != (c.want == nil) {
				t.Fatalf("problems are %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), "10.0.0.1: ") || !strings.Contains(err.Error(), want) {
					t.Errorf("problems are %v, want %q", err, want)
				}
			}
		})
	}
}
