package host

import (
	"encoding/base64"
	"fmt"
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

// TestFactsOfASite finds what other software of a host has set.
func TestFactsOfASite(t *testing.T) {
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	f := look(t, map[string]string{
		"/etc/machine-id": "abc\n", "/etc/cni/net.d/87-podman.conflist": "{}", "/etc/cni/net.d/README": "", "/etc/resolv.conf": "search x\n nameserver\t127.0.0.1\n#nameserver 1.1.1.1\noptions ndots:2\nnameserver\nsortlist y\n",
		"/etc/hosts":                   "127.0.0.1 localhost\n10.9.9.9 a " + hostname + " # x\n10.8.8.8 b # " + hostname + "\n",
		"/etc/sysctl.d/99-zz.conf":     "net.ipv4.ip_forward=1\nnet.ipv4.ip_forward = 0\n#net.ipv4.ip_forward=0\n",
		"/etc/sysctl.conf":             "net.ipv6.conf.all.forwarding=0\n",
		"/etc/cloud/cloud.cfg.d/x.cfg": "manage_etc_hosts: true\n", "/etc/ufw/ufw.conf": "ENABLED=yes\n",
		"/etc/NetworkManager/conf.d/k.conf": "[keyfile]\nunmanaged-devices=interface-name:cni*;interface-name:flannel*\n",
		"/etc/environment":                  "https_proxy=http://user:s3cret@proxy\nexport HTTP_PROXY=x\nno_proxy=y\n", "/etc/os-release": "ID=\"rocky\"\nVERSION_ID=\"9.4\"\n",
	})
	if f.MachineID != "abc" || strings.Join(f.CNI, " ") != "/etc/cni/net.d/87-podman.conflist" || f.ResolvConf != "/etc/resolv.conf" || !slices.Equal(f.Resolv, []string{"search x", "nameserver 127.0.0.1", "options ndots:2"}) ||
		join(f.HostsFile) != "10.9.9.9" || !f.NMUnmanaged || f.OSID != "rocky" || !slices.Contains(f.Firewalls, "ufw") || strings.Join(f.CloudHosts, " ") != "/etc/cloud/cloud.cfg.d/x.cfg" {
		t.Errorf("%+v", f)
	}
	if want := []string{"/etc/sysctl.conf:net.ipv6.conf.all.forwarding=0", "/etc/sysctl.d/99-zz.conf:net.ipv4.ip_forward = 0"}; !slices.Equal(f.NoForwarding, want) {
		t.Errorf("forwarding is turned off by %q, want %q", f.NoForwarding, want)
	}
	if !slices.Contains(f.Proxies, "https_proxy") || !slices.Contains(f.Proxies, "HTTP_PROXY") || strings.Contains(fmt.Sprintf("%+v", f), "s3cret") {
		t.Errorf("proxies are %q", f.Proxies)
	}
	off := look(t, map[string]string{"/etc/cloud/cloud.cfg": "manage_etc_hosts: localhost\n", "/etc/ufw/ufw.conf": "ENABLED=no\n"})
	if len(off.CloudHosts)+len(off.CNI)+len(off.HostsFile)+len(off.NoForwarding) > 0 || off.ResolvConf != "" || slices.Contains(off.Firewalls, "ufw") || off.NMUnmanaged {
		t.Errorf("on a bare host: %+v", off)
	}
}
