package repository

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/host/hosttest"
)

// site is a host's file system below a temporary directory, with the example's record.sh in a cluster's rootfs.
type site struct {
	*testing.T
	root string
}

func newSite(t *testing.T) site {
	t.Helper()
	s := site{t, hosttest.DataRoot(t)} // the record has a path in each line, and no host has one with a space
	script, err := os.ReadFile("../../examples/kubernetes/scripts/record.sh")
	if err != nil {
		t.Fatal(err)
	}
	s.put("cluster/rootfs/scripts/record.sh", string(script))
	s.put("cluster/rootfs/ours", "ours")
	s.put("cluster/created.json", fmt.Sprintf(`{"path": %q, "digest": "sha256:%x"}`, s.in("etc/conf/certs.d/edited/hosts.toml"), sha256.Sum256([]byte("the runner's"))))
	return s
}

func (s site) in(name string) string { return filepath.Join(s.root, name) }

func (s site) put(name, content string) {
	s.Helper()
	if err := os.MkdirAll(filepath.Dir(s.in(name)), 0o755); err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(s.in(name), []byte(content), 0o644); err != nil {
		s.Fatal(err)
	}
}

// sh runs a script with the functions of record.sh; $1 is the root.
func (s site) sh(text string) string {
	s.Helper()
	cmd := exec.Command("sh", "-euc", ". scripts/record.sh\n"+text, "sh", s.root)
	cmd.Dir = s.in("cluster/rootfs")
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// has fails unless the files have these contents; an empty one is for a file or directory that is not there.
func (s site) has(files map[string]string) {
	s.Helper()
	for name, want := range files {
		got, err := os.ReadFile(s.in(name))
		if (err != nil) != (want == "") || string(got) != want {
			s.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
		if _, err := os.Lstat(s.in(name)); want == "" && err == nil {
			s.Errorf("%s is still there", name)
		}
	}
}

// left fails unless exactly these files are named as left.
func (s site) left(said string, names ...string) {
	s.Helper()
	if got := strings.Count(said, "left: "); got != len(names) {
		s.Errorf("got %d files that are left, want %d:\n%s", got, len(names), said)
	}
	for _, name := range names {
		if !strings.Contains(said, "left: "+s.in(name)+", ") {
			s.Errorf("%s is not named in\n%s", name, said)
		}
	}
}

// What the example's record.sh puts back is what was there, and what others changed since is not lost.
func TestRecordOfTheExample(t *testing.T) {
	s := newSite(t)
	s.put("etc/kept", "original")
	s.put("etc/kept-and-edited", "original")
	s.put("var/data/foreign", "foreign")
	s.sh(`start_record
record_dir "$1/var/data" "$1/var/new" "$1/etc/conf"
for name in kept kept-and-edited new new-and-edited conf/ours conf/ours-and-edited; do put ours "$1/etc/$name" 644; done`)
	s.put("var/data/ours", "ours")
	s.put("var/new/ours", "ours")
	s.put("etc/conf/certs.d/unchanged/hosts.toml", "the runner's")
	s.put("etc/conf/certs.d/edited/hosts.toml", "the runner's, edited")
	for _, name := range []string{"etc/kept-and-edited", "etc/new-and-edited", "etc/conf/ours-and-edited"} {
		s.put(name, "ours, edited")
	}
	said := s.sh("set +e; restore_files")
	s.has(map[string]string{
		"etc/kept": "original", "etc/kept-and-edited": "ours, edited", "etc/kept-and-edited.before-kubefile": "original",
		"etc/new": "", "etc/new-and-edited": "ours, edited", "etc/conf/ours": "", "etc/conf/ours-and-edited": "ours, edited",
		"etc/conf/certs.d/unchanged": "", "etc/conf/certs.d/edited/hosts.toml": "the runner's, edited",
		"var/data/foreign": "foreign", "var/new": "",
	})
	s.left(said, "etc/kept-and-edited", "etc/new-and-edited", "etc/conf/ours-and-edited") // the agent names the edited hosts.toml
}

// recordSettings is what the script of a base does before kubeadm.
const recordSettings = `start_record
record_dir "$1/etc/kubernetes" "$1/etc/cni" "$1/opt/cni" "$1/etc/systemd/system/kubelet.service.d" "$1/usr/libexec/kubernetes"
put ours "$1/opt/cni/bin/bridge" 755`

// settings writes files that have their names in them, and the directory that the kubelet makes.
func (s site) settings(all ...string) {
	for _, name := range all {
		s.put(name, name)
	}
	if err := os.MkdirAll(s.in("usr/libexec/kubernetes/kubelet-plugins/volume/exec"), 0o755); err != nil {
		s.Fatal(err)
	}
}

// What kubeadm and network plugins make in the directories of settings goes. What others put there stays, and is named where the cluster
// made the directory.
func TestSettingsOfOthersStay(t *testing.T) {
	kubernetes := []string{
		"etc/kubernetes/admin.conf", "etc/kubernetes/kubelet.conf", "etc/kubernetes/manifests/etcd.yaml", "etc/kubernetes/pki/ca.key",
		"etc/kubernetes/pki/etcd/server.crt", "etc/kubernetes/tmp/kubeadm-backup-1/x", "etc/cni/net.d/10-calico.conflist",
		"etc/cni/net.d/calico-kubeconfig", "etc/cni/net.d/multus.d/multus.kubeconfig", "opt/cni/bin/calico-ipam",
	}
	admins := []string{
		"etc/kubernetes/audit policy.yaml", "etc/kubernetes/manifests/watchdog.yaml", "etc/kubernetes/pki/users/alice.key",
		"etc/kubernetes/backup/admin.conf", "etc/cni/net.d/99-own.conflist", "etc/cni/net.d/backup/10-calico.conflist", "opt/cni/bin/own",
		"etc/systemd/system/kubelet.service.d/20-proxy.conf",
	}
	t.Run("new directories", func(t *testing.T) {
		s := newSite(t)
		s.sh(recordSettings)
		s.settings(append(kubernetes, admins...)...)
		s.left(s.sh("set +e; restore_files"), admins...)
		want := map[string]string{"opt/cni/bin/bridge": ""}
		for _, name := range kubernetes {
			want[name] = ""
		}
		for _, name := range admins {
			want[name] = name
		}
		s.has(want)
		s.has(map[string]string{"usr/libexec/kubernetes": "", "etc/kubernetes/pki/etcd": "", "etc/kubernetes/tmp": "", "etc/cni/net.d/multus.d": ""})
	})
	t.Run("nothing of others", func(t *testing.T) {
		s := newSite(t)
		s.sh(recordSettings)
		s.settings(kubernetes...)
		s.left(s.sh("set +e; restore_files"))
		s.has(map[string]string{"etc/kubernetes": "", "etc/cni": "", "opt/cni": "", "etc/systemd/system/kubelet.service.d": ""})
	})
	t.Run("empty directories", func(t *testing.T) {
		s := newSite(t)
		s.settings()
		if err := os.MkdirAll(s.in("etc/kubernetes"), 0o755); err != nil {
			t.Fatal(err)
		}
		s.sh(recordSettings)
		s.settings(kubernetes...)
		s.left(s.sh("set +e; restore_files"))
		s.has(map[string]string{"etc/kubernetes/manifests": "", "etc/cni": ""})
		if _, err := os.Stat(s.in("etc/kubernetes")); err != nil {
			t.Error(err)
		}
	})
	t.Run("directories with files", func(t *testing.T) { recordOverFiles(t, kubernetes) })
}

// recordOverFiles: what the directories had before comes back with what it had in it.
func recordOverFiles(t *testing.T, kubernetes []string) {
	t.Helper()
	s := newSite(t)
	before := []string{"etc/kubernetes/pki/ca.crt", "etc/kubernetes/pki/ca.key", "etc/cni/net.d/87-podman.conflist", "opt/cni/bin/bridge"}
	s.settings(before...)
	s.sh(recordSettings)
	s.settings(kubernetes...)
	s.put("etc/kubernetes/pki/ca.key", "etc/kubernetes/pki/ca.key")
	s.left(s.sh("set +e; restore_files"))
	s.has(map[string]string{
		"etc/kubernetes/pki/ca.crt": before[0], "etc/kubernetes/pki/ca.key": before[1], "etc/cni/net.d/87-podman.conflist": before[2], "opt/cni/bin/bridge": before[3],
		"etc/kubernetes/admin.conf": "", "etc/kubernetes/manifests": "", "etc/kubernetes/pki/etcd": "", "etc/cni/net.d/10-calico.conflist": "", "opt/cni/bin/calico-ipam": "",
	})
}

// Rules of iptables go if they are in a chain of the cluster or lead to one, whatever is said in a comment.
func TestRulesOfOthersStay(t *testing.T) {
	const ours = `:KUBE-SERVICES - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A FORWARD -g CNI-FORWARD
-A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.0.0/16 -m comment --comment "flanneld masq" -j MASQUERADE
-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j KUBE-SVC-NPX46M4PTMTKRN6Y
`
	const others = `*nat
:INPUT ACCEPT [0:0]
:SITE-KUBE-FRIENDS - [0:0]
-A INPUT -s 192.0.2.0/24 -p udp -m udp --dport 8472 -m comment --comment "FLANNEL of the next room" -j ACCEPT
-A INPUT -m comment --comment "for KUBE-SERVICES and CNI-1" -j SITE-KUBE-FRIENDS
-A SITE-KUBE-FRIENDS -p tcp -m tcp --dport 9999 -j ACCEPT
COMMIT
`
	s := newSite(t)
	s.put("rules", ours+others)
	if got := s.sh(`rules_of_others < "$1/rules"`); got != others {
		t.Errorf("got\n%swant\n%s", got, others)
	}
}
