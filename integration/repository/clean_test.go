package repository

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// cleanHost is a host on which clean.sh of the example runs: programs that it calls note how, and print what the host has.
type cleanHost struct {
	site
	has map[string]string // what a program prints, by how it is called; or else nothing
}

// noting is a program that notes how it is called and what it reads, and prints what the host has.
const noting = `#!/bin/sh
name=${0##*/}
case $name in *-restore) printf '%%s <%%s>\n' "$name" "$(cat | tr '\n' '|')" >> '%[1]s/called' ;; *) printf '%%s\n' "$name $*" >> '%[1]s/called' ;; esac
[ ! -e "%[1]s/has/$name $*" ] || cat "%[1]s/has/$name $*"
`

// clean runs clean.sh and returns what it called, one a line, and what it said.
func (h cleanHost) clean(record string, programs ...string) (called []string, said string) {
	h.Helper()
	script, err := os.ReadFile("../../examples/kubernetes/scripts/clean.sh")
	if err != nil {
		h.Fatal(err)
	}
	// The mounts of this machine are not those of the host.
	text := strings.ReplaceAll(string(script), "/proc/self/mountinfo", h.in("mountinfo"))
	h.put("cluster/rootfs/scripts/clean.sh", strings.ReplaceAll(text, "/proc/[0-9]*/exe", h.in("proc")+"/[0-9]*/exe"))
	h.put("mountinfo", "")
	h.put("cluster/init-record", record)
	for how, prints := range h.has {
		h.put("has/"+how, prints)
	}
	for _, name := range append(programs, "systemctl", "ip", "sysctl", "umount", "crictl") {
		h.put("programs/"+name, fmt.Sprintf(noting, h.root))
		if err := os.Chmod(h.in("programs/"+name), 0o755); err != nil {
			h.Fatal(err)
		}
	}
	for _, name := range []string{"sh", "awk", "cat", "cut", "find", "grep", "head", "readlink", "rm", "rmdir", "sed", "seq", "sleep", "sort", "sha256sum", "timeout", "tr", "cmp", "cp", "chmod", "mkdir", "mv", "dirname", "printf", "id", "test", "echo"} {
		if path, err := exec.LookPath(name); err == nil {
			if err := os.Symlink(path, h.in(filepath.Join("programs", name))); err != nil {
				h.Fatal(err)
			}
		}
	}
	cmd := exec.Command("/bin/sh", "scripts/clean.sh")
	cmd.Dir, cmd.Env = h.in("cluster/rootfs"), []string{"PATH=" + h.in("programs")}
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.Fatalf("%v: %s", err, out)
	}
	log, err := os.ReadFile(h.in("called"))
	if err != nil {
		h.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(log)), "\n"), string(out)
}

// TestCleanOfTheExample: what kube-proxy and network plugins put into the kernel goes, in all modes of kube-proxy. What was there before stays, and what
// is of others.
func TestCleanOfTheExample(t *testing.T) {
	const record = "table inet foreign\ntable ip flannel-ipv4\nlink eth0\nlink cali0123\nbegan links\nbegan names\n"
	h := cleanHost{newSite(t), map[string]string{
		"nft list tables":                       "table inet foreign\ntable inet others\ntable inet kept\ntable ip kube-proxy\ntable ip6 kube-proxy\ntable ip flannel-ipv4\ntable ip nat\n",
		"nft list table ip kube-proxy":          "table ip kube-proxy {\n\tmap service-ips {\n\t\ttype ipv4_addr\n\t}\n}\n",
		"nft list table ip6 kube-proxy":         "table ip6 kube-proxy {\n\tmap service-ips {\n\t\ttype ipv6_addr\n\t}\n}\n",
		"nft list table inet others":            "table inet others {\n\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n\t\tip saddr 10.9.9.9 drop\n\t}\n}\n",
		"nft list table inet kept":              "table inet kept {\n\tset blocked {\n\t\ttype ipv4_addr\n\t}\n}\n",
		"nft list table ip nat":                 "table ip nat {\n\tchain KUBE-POSTROUTING {\n\t}\n\tchain POSTROUTING {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n\t}\n}\n",
		"iptables-save ":                        "*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n-A PREROUTING -j KUBE-SERVICES\n-A PREROUTING -p tcp --dport 80 -j DNAT --to 10.9.9.9\nCOMMIT\n",
		"ip6tables-save ":                       "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n",
		"ipset list -n":                         "foreign\nKUBE-CLUSTER-IP\nKUBE-LOOP-BACK\n",
		"ip -o link show master cni0 type veth": "7: veth89ab@if2: <UP>\n",
		"ip -o link show":                       "1: lo: <UP>\n2: eth0: <UP>\n3: cali0123@if3: <UP>\n4: cali4567@if3: <UP>\n5: cilium_host@cilium_net: <UP>\n6: docker0: <UP>\n",
		"systemctl is-active --quiet":           "",
	}}
	called, said := h.clean(record, "nft", "iptables-save", "iptables-restore", "ip6tables-save", "ip6tables-restore", "ipset", "ipvsadm")
	for _, want := range []string{
		"nft delete table ip kube-proxy", "nft delete table ip6 kube-proxy", "nft delete table ip nat",
		"iptables-restore <*nat|:PREROUTING ACCEPT [0:0]|-A PREROUTING -p tcp --dport 80 -j DNAT --to 10.9.9.9|COMMIT|>",
		"ipset destroy KUBE-CLUSTER-IP", "ipset destroy KUBE-LOOP-BACK",
		"ip link delete veth89ab", "ip link delete flannel.1", "ip link delete kube-ipvs0", "ip link delete cali4567", "ip link delete cilium_host",
	} {
		if !slices.Contains(called, want) {
			t.Errorf("%s was not called", want)
		}
	}
	for _, kept := range []string{"inet foreign", "inet others", "inet kept", "flannel-ipv4", "destroy foreign", "delete eth0", "delete cali0123", "delete docker0", "ip6tables-restore"} {
		for _, line := range called {
			if strings.Contains(line, kept) && !strings.HasPrefix(line, "nft list") {
				t.Errorf("%s was called", line)
			}
		}
	}
	if strings.Contains(said, "left:") {
		t.Errorf("it says\n%s", said)
	}
}
