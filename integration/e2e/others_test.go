//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// others is what administrators and other programs have on the hosts: lines in /etc/hosts, rules of the packet filter, files in the data root, and
// clusters in root's kubeconfig. All of it has to be there, byte for byte, when the cluster is gone.
type others struct {
	*road
	dataRoot string
	lines    map[int]string // of /etc/hosts, before the cluster
}

// othersBefore gives all hosts what is there before the cluster. The snapshots that are taken after it have it.
func (r *road) othersBefore(t *testing.T, dataRoot string) *others {
	t.Helper()
	o := &others{r, dataRoot, map[int]string{}}
	for i := range r.lab.Hosts {
		o.before(t, i+1)
	}
	return o
}

// before gives one host its part. The last line of its /etc/hosts does not end.
func (o *others) before(t *testing.T, i int) {
	t.Helper()
	const lines = `sed -i '1i 10.9.9.1 first.site # by hand' /etc/hosts && printf '10.9.9.2\tlast.site' >> /etc/hosts
		mkdir -p %[1]s/other && echo precious > %[1]s/other/file && echo precious > %[1]s/file && chmod 640 %[1]s/file`
	// Each chain has a rule, since one that is empty may go with the cluster's.
	const rules = `command -v iptables > /dev/null || exit 0
		iptables -N SITE && iptables -A SITE -m comment --comment 'not of KUBE-SERVICES' -j DROP
		for chain in INPUT FORWARD OUTPUT; do iptables -A $chain -s 192.0.2.0/24 -j SITE && ip6tables -A $chain -s 2001:db8::/32 -j DROP || exit 1; done
		for chain in PREROUTING INPUT OUTPUT POSTROUTING; do iptables -t nat -A $chain -s 192.0.2.0/24 -j RETURN || exit 1; done`
	o.ssh(t, i, fmt.Sprintf(lines, o.dataRoot))
	o.ssh(t, i, rules)
	o.nft(t, i, "table inet site { set blocked { type ipv4_addr; flags interval; elements = { 192.0.2.0/24 }; }\n"+
		"chain input { type filter hook input priority 10; policy accept; ip saddr @blocked drop; }; }")
	o.lines[i] = o.hostsFile(t, i)
}

func (o *others) hostsFile(t *testing.T, i int) string {
	t.Helper()
	out, err := o.lab.SSH(t.Context(), i, nil, "cat /etc/hosts")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// nft changes the rules of a host, also of one without nft.
func (o *others) nft(t *testing.T, i int, commands string) {
	t.Helper()
	if err := o.lab.ChangeRules(t.Context(), i, commands); err != nil {
		t.Fatal(err)
	}
}

// meanwhile adds more to hosts of the running cluster: around its lines, before its rules, and to its kubeconfig.
func (o *others) meanwhile(t *testing.T, hosts ...int) {
	t.Helper()
	const script = `sed -i '1i 10.9.9.3 above.site' /etc/hosts && echo '10.9.9.4 below.site' >> /etc/hosts && echo precious > %s/later
		if command -v iptables > /dev/null; then iptables -I FORWARD -s 198.51.100.0/24 -j SITE && iptables -t nat -I POSTROUTING -s 198.51.100.0/24 -j ACCEPT; fi
		if [ -e /root/.kube/config ]; then kubectl --kubeconfig /root/.kube/config config set-cluster other --server=https://10.9.9.9:6443; fi`
	for _, i := range hosts {
		o.ssh(t, i, fmt.Sprintf(script, o.dataRoot))
		o.nft(t, i, "table inet later { chain input { type filter hook input priority -10; policy accept; ip saddr 198.51.100.0/24 drop; }; }")
	}
}

// stayed checks that hosts which left the cluster still have what meanwhile added, and nothing of the cluster, and removes it.
func (o *others) stayed(t *testing.T, hosts ...int) {
	t.Helper()
	const script = `cat > /etc/hosts; cat %[1]s/later && rm %[1]s/later
		if command -v iptables > /dev/null; then iptables -D FORWARD -s 198.51.100.0/24 -j SITE && iptables -t nat -D POSTROUTING -s 198.51.100.0/24 -j ACCEPT; fi
		if [ -e /root/.kube ]; then cat /root/.kube/config; rm -r /root/.kube; fi`
	for _, i := range hosts {
		if got, want := o.hostsFile(t, i), "10.9.9.3 above.site\n"+o.lines[i]+"\n10.9.9.4 below.site\n"; got != want {
			t.Errorf("h%d: /etc/hosts is\n%s\nwant\n%s", i, got, want)
		}
		out, err := o.lab.SSH(t.Context(), i, []byte(o.lines[i]), fmt.Sprintf(script, o.dataRoot))
		if err != nil {
			t.Fatal(err)
		}
		file, config, _ := strings.Cut(string(out), "\n")
		if file != "precious" {
			t.Errorf("h%d: the file in the data root is %q", i, file)
		}
		if config != "" && (!strings.Contains(config, "https://10.9.9.9:6443") || strings.Contains(config, "certificate-authority-data")) {
			t.Errorf("h%d: root's kubeconfig is\n%s", i, config)
		}
		if i == 1 && config == "" {
			t.Error("h1: root's kubeconfig is gone")
		}
		o.nft(t, i, "delete table inet later")
	}
}

// foreignRuntime has a container and an etcd of somebody else on a host, which is refused: both go on as if nothing had been there. The host without
// them, as the messages say, is one like all others.
func (r *road) foreignRuntime(t *testing.T) {
	t.Helper()
	const (
		host  = "10.77.0.14"
		start = `mkdir -p /srv/site/usr && ln -s usr/lib /srv/site/lib && ln -s usr/lib64 /srv/site/lib64 &&
			ctr run -d --mount type=bind,src=/usr,dst=/usr,options=rbind:ro --rootfs /srv/site site /usr/bin/sleep infinity`
		state = `ctr task ls; systemctl show -p MainPID -p ActiveState -p UnitFileState containerd etcd; etcdctl get precious
			find /var/lib/containerd /etc/containerd -type f -exec sha256sum {} + | sort -k2; ls -la /usr/local/bin /var/lib/etcd; cat /etc/hosts`
		end = `ctr task kill -s KILL site; sleep 1; ctr container rm site; dpkg --purge containerd runc etcd-server etcd-client > /dev/null 2>&1
			rm -rf /srv/site /etc/containerd /var/lib/containerd /var/lib/etcd /opt/containerd /run/containerd; systemctl daemon-reload; systemctl reset-failed; test ! -e /usr/bin/containerd`
	)
	r.ssh(t, 4, start+" && etcdctl put precious yes")
	before := r.ssh(t, 4, state)
	if !strings.Contains(before, "RUNNING") || !strings.Contains(before, "yes") {
		t.Fatalf("nothing is in use: %s", before)
	}
	r.fails(t, []string{r.source, "-m", masters, "-n", host, "-e", oomScore}, host, "containerd data in /var/lib/containerd", "containerd.service is installed", "etcd")
	r.fails(t, []string{r.source, "-m", host, "-n", masters, "-e", oomScore}, host, "containerd data in /var/lib/containerd", "etcd")
	r.fails(t, []string{"delete", "--all", "--yes", "-m", host}, host)
	if after := r.ssh(t, 4, state); after != before {
		t.Errorf("h4 is\n%s\nand was\n%s", after, before)
	}
	r.ssh(t, 4, end)
}
