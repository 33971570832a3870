//go:build hosts

package hosts

type propertyCase struct {
	property    Property
	host, other int // with and without the property
	command     string
	want        string // on host
	wantOther   string
}

func propertyCases() []propertyCase {
	return []propertyCase{
		{NoDefaultRoute, 3, 1, `ip route get 192.0.2.1 > /dev/null 2>&1 && echo IPv4
ip -6 route get 2001:db8::1 > /dev/null 2>&1 && echo IPv6; echo end`, "end", "IPv4 IPv6 end"},
		{NoNameserver, 2, 6, `test -f /etc/resolv.conf && grep -c nameserver /etc/resolv.conf; true`, "0", "1"},
		{LoopbackNameserver, 4, 6, `cat /etc/resolv.conf`, "nameserver 127.0.0.1", "nameserver 10.77.0.1"},
		{NoConntrack, 1, 2, `for p in conntrack iptables ip6tables iptables-save nft ebtables; do command -v $p > /dev/null && echo $p; done; echo end`,
			"end", "conntrack iptables ip6tables iptables-save nft ebtables end"},
		{SecurePath, 2, 6, `runuser -u ops -- sh -c 'echo lab-ops | sudo -S -p "" sh -c "echo \$PATH"'`,
			"/sbin:/bin:/usr/sbin:/usr/bin", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		{DataRootHome, 1, 2, `gigabytes() { df --output=size -BG $1 | tail -1; }; gigabytes /; gigabytes /home; stat -c %U /home/ops`,
			"2G 30G ops", "30G 30G ops"},
		{NoexecTmp, 3, 2, `for d in /tmp /var/tmp /dev/shm; do cp /bin/true $d/t && { $d/t 2> /dev/null && echo $d; rm $d/t; }; done; echo end`,
			"end", "/tmp /var/tmp /dev/shm end"},
		{ForeignEtcd, 6, 2, `systemctl is-active etcd; ls -d /var/lib/etcd/member 2> /dev/null
ss -Htln | grep -o -e ':2379 ' -e ':2380 ' | sort`, "active /var/lib/etcd/member :2379 :2380", "inactive"},
		{ForeignContainerd, 6, 2, `systemctl is-active containerd; ctr version > /dev/null 2>&1 && echo answers
ctr plugins ls 2> /dev/null | grep -cw cri; true`, "active answers 0", "inactive 0"},
		{TwoNICs, 1, 2, `ip route get 192.0.2.1 | grep -o 'src [0-9.]*'; ip -o link show type veth | wc -l`, "src 10.78.0.11 2", "src 10.77.0.12 1"},
		{NameLocalhost, 6, 2, `hostname; hostnamectl --static`, "localhost localhost", "h2 h2"},
		{IPv6Only, 3, 2, `ip -o addr show scope global | sed 's/.* inet6\? \([^ ]*\) .*/\1/'`, "fd77::13/64", "10.77.0.12/24"},
		{DualStack, 1, 2, `ip -o addr show dev eth0 scope global | sed 's/.* inet6\? \([^ ]*\) .*/\1/'`, "10.77.0.11/24 fd77::11/64", "10.77.0.12/24"},
		{SlowLink, 3, 2, `tc qdisc show dev eth0 | grep -o 'rate [^ ]*'; true`, "rate 20Mbit", ""},
		{Umask077, 5, 2, `umask`, "0077", "0022"},
		{ReadonlyUsr, 5, 2, `touch /usr/local/bin/t 2> /dev/null && echo written; touch /etc/t && echo written`, "written", "written written"},
	}
}
