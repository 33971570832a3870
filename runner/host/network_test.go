package host

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestParseNetwork(t *testing.T) {
	n, err := parseNetwork([]byte("Welcome\nnetwork\t1\naddress\tlo 127.0.0.1/8\naddress\teth0 10.0.0.5/24\naddress\teth1 fd00::9/64\naddress\teth0 fe80::1/64\n" +
		"address\teth0 fd77::5/64\ndefault-route\t4\nresolv-conf\t/etc/resolv.conf\nresolv\tsearch site.example\nresolv\tnameserver\t127.0.0.53\n" +
		"resolv\tnameserver 10.0.0.2\nresolv\tnameserver fe80::1%eth0\nresolv\tnameserver nonsense\n"))
	if err != nil {
		t.Fatal(err)
	}
	four := netip.MustParseAddr("10.0.0.5")
	if got := n.Interface(four); got != "eth0" {
		t.Errorf("interface %q, want eth0", got)
	}
	if got, want := n.Peer(four), netip.MustParseAddr("fd77::5"); got != want {
		t.Errorf("peer %s, want %s", got, want)
	}
	if got := n.Peer(netip.MustParseAddr("fd77::5")); got != four {
		t.Errorf("peer %s, want %s", got, four)
	}
	if got := n.Peer(netip.MustParseAddr("fd00::9")); got.IsValid() {
		t.Errorf("peer %s, want none", got)
	}
	if !n.DefaultRoute[4] || n.DefaultRoute[6] {
		t.Errorf("default routes %v, want IPv4 only", n.DefaultRoute)
	}
	if got, want := n.Nameservers(), []string{"10.0.0.2"}; !slices.Equal(got, want) {
		t.Errorf("nameservers %v, want %v", got, want)
	}
	if !n.HasUnusableNameserver() {
		t.Error("127.0.0.53 counts as usable")
	}
}

func TestParseNetworkRefuses(t *testing.T) {
	for _, out := range []string{"", "hello\n", "network\t1\naddress\teth0 nonsense\n", "network\t1\n" + strings.Repeat("resolv\tx\n", maxFactItems+1)} {
		if n, err := parseNetwork([]byte(out)); err == nil {
			t.Errorf("%.40q: got %v, want an error", out, n)
		}
	}
}

// The script is run for real, on files of the test.
func TestNetworkScript(t *testing.T) {
	for _, test := range []struct {
		name, resolv string
		want         []string
	}{
		{"a comment and three lines", "# nameserver 1.1.1.1\nnameserver 10.0.0.2\noptions ndots:2\nsearch a b\n",
			[]string{"nameserver 10.0.0.2", "options ndots:2", "search a b"}},
		{"empty", "", nil},
		{"missing", "-", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			top := t.TempDir()
			if test.resolv != "-" {
				if err := os.Mkdir(filepath.Join(top, "etc"), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(top, "etc/resolv.conf"), []byte(test.resolv), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			out, err := exec.Command("sh", "-c", networkScript, "sh", top).Output()
			if err != nil {
				t.Fatal(err)
			}
			n, err := parseNetwork(out)
			if err != nil {
				t.Fatal(err)
			}
			if n.ResolvConf != "/etc/resolv.conf" || !slices.Equal(n.Resolv, test.want) {
				t.Errorf("got %s %q, want %q", n.ResolvConf, n.Resolv, test.want)
			}
		})
	}
}

func FuzzParseNetwork(f *testing.F) {
	f.Add([]byte("network\t1\naddress\teth0 10.0.0.5/24\nresolv\tnameserver 10.0.0.2\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		n, err := parseNetwork(out)
		if err != nil {
			return
		}
		for _, line := range n.Resolv {
			if strings.ContainsAny(line, "\n\r\x1b") {
				t.Fatalf("control characters in %q", line)
			}
		}
		for _, server := range n.Nameservers() {
			if a, err := netip.ParseAddr(server); err != nil || a.IsLoopback() {
				t.Fatalf("%q is usable", server)
			}
		}
	})
}
