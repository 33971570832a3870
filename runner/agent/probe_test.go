package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hostFiles are the files of a host below a directory.
func hostFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestDefaultRoute(t *testing.T) {
	const head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	zero := strings.Repeat("0", 32)
	for _, test := range []struct {
		name, file, content string
		v6, want            bool
	}{
		{"gateway", "/proc/net/route", head + "eth0\t00000000\t010A4D0A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n", false, true},
		{"by device", "/proc/net/route", head + "eth0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n", false, true},
		{"black hole", "/proc/net/route", head + "*\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0\n", false, false},
		{"half of the Internet", "/proc/net/route", head + "eth0\t00000000\t010A4D0A\t0003\t0\t0\t0\t00000080\t0\t0\t0\n", false, false},
		{"own network only", "/proc/net/route", head + "eth0\t000A4D0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n", false, false},
		{"no file", "/nothing", "", false, false},
		{"IPv6 gateway", "/proc/net/ipv6_route", zero + " 00 " + zero + " 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n", true, true},
		{"IPv6 rejected", "/proc/net/ipv6_route", zero + " 00 " + zero + " 00 " + zero + " ffffffff 00000001 00000000 00200200       lo\n", true, false},
		{"IPv6 black hole", "/proc/net/ipv6_route", zero + " 00 " + zero + " 00 " + zero + " ffffffff 00000001 00000000 00200200     eth0\n", true, false},
	} {
		if got := hasDefaultRoute(hostFiles(t, map[string]string{test.file: test.content}), test.v6); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestNameserversOfPods(t *testing.T) {
	for _, test := range []struct {
		files map[string]string
		file  string
		want  []string
	}{
		{map[string]string{"/etc/resolv.conf": "# nameserver 1.1.1.1\nsearch x\nnameserver\t10.0.0.1\n nameserver 127.0.0.1 \n"}, "/etc/resolv.conf", []string{"10.0.0.1", "127.0.0.1"}},
		{map[string]string{"/etc/resolv.conf": "search x\n"}, "/etc/resolv.conf", nil},
		{nil, "/etc/resolv.conf", nil},
		{map[string]string{
			"/etc/resolv.conf": "nameserver 127.0.0.53\n", "/run/systemd/resolve/resolv.conf": "nameserver 10.0.0.2\n",
			"/var/lib/kubelet/config.yaml": "kind: KubeletConfiguration\nresolvConf: /run/systemd/resolve/resolv.conf\n",
		}, "/run/systemd/resolve/resolv.conf", []string{"10.0.0.2"}},
		{map[string]string{
			"/etc/resolv.conf": "nameserver 127.0.0.53\n", "/var/lib/sealer/data/default/resolv.conf": "nameserver 10.0.0.3\n",
			"/var/lib/kubelet/config.yaml":       "kind: KubeletConfiguration\nresolvConf: /run/systemd/resolve/resolv.conf\n",
			"/var/lib/kubelet/kubeadm-flags.env": `KUBELET_KUBEADM_ARGS="--node-ip=10.0.0.1 --resolv-conf=/var/lib/sealer/data/default/resolv.conf"` + "\n",
		}, "/var/lib/sealer/data/default/resolv.conf", []string{"10.0.0.3"}},
	} {
		if file, got := nameservers(hostFiles(t, test.files)); file != test.file || !slices.Equal(got, test.want) {
			t.Errorf("%s has %q, want %s with %q", file, got, test.file, test.want)
		}
	}
}

func TestNetworksOfPods(t *testing.T) {
	root := hostFiles(t, map[string]string{
		"/etc/cni/net.d/87-podman.conflist":  `{"plugins":[{"type":"bridge","ipam":{"type":"host-local","routes":[{"dst":"0.0.0.0/0"}],"ranges":[[{"subnet":"10.88.0.0/16"}]]}}]}`,
		"/etc/cni/net.d/10-flannel.conflist": `{"plugins":[{"type":"flannel"}]}`,
		"/etc/cni/net.d/calico-kubeconfig":   "10.1.0.0/16",
	})
	got := networks(root)
	if len(got) != 2 || got[0].File != "/etc/cni/net.d/10-flannel.conflist" || len(got[0].Prefixes) != 0 ||
		got[1].File != "/etc/cni/net.d/87-podman.conflist" || !slices.Equal(got[1].Prefixes, []string{"10.88.0.0/16"}) {
		t.Errorf("networks are %+v", got)
	}
}
