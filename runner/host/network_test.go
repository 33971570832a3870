package host

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestHowAHostReachesOthers(t *testing.T) {
	f, err := parseFacts([]byte("facts\t1\naddress\t127.0.0.1/8 lo\naddress\t10.0.0.5/24 eth0\naddress\tfd00::9/64 eth1\naddress\tfe80::1/64 eth0\n" +
		"address\tfd77::aaaa/64 eth0 passing\naddress\tfd77::5/64 eth0\naddress\t10.8.0.2 tun0\naddress\tfd88::2 tun0\n" +
		"routes\tknown\nroute\t4 default eth0\nroute\t6 default unreachable\nresolv-conf\t/etc/resolv.conf\nresolv\tsearch site.example\n" +
		"resolv\tnameserver 127.0.0.53\nresolv\tnameserver 10.0.0.2\nresolv\tnameserver fe80::1%eth0\nresolv\tnameserver nonsense\nresolv\tnameserver\n" + wholeAnswer))
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]struct{ name, peer string }{
		"10.0.0.5": {"eth0", "fd77::5"}, "fd77::5": {"eth0", "10.0.0.5"}, "fd00::9": {"eth1", "invalid IP"}, "10.9.9.9": {"", "invalid IP"}, "10.8.0.2": {"tun0", "fd88::2"},
	} {
		a := netip.MustParseAddr(address)
		if name, peer := f.Interface(a), f.Peer(a).String(); name != want.name || peer != want.peer {
			t.Errorf("%s: on %q with the peer %s, want %q and %s", a, name, peer, want.name, want.peer)
		}
	}
	if four, six := f.DefaultRoutes(true), f.DefaultRoutes(false); !slices.Equal(four, []string{"eth0"}) || len(six) > 0 {
		t.Errorf("default routes on %q and %q, want eth0 for IPv4 only", four, six)
	}
	if got, want := strings.Join(f.Nameservers(), " "), "127.0.0.53 10.0.0.2 fe80::1%eth0 nonsense"; got != want {
		t.Errorf("nameservers are %s, want %s", got, want)
	}
	if got, want := f.PodNameservers(), []string{"10.0.0.2"}; !slices.Equal(got, want) {
		t.Errorf("nameservers for pods are %v, want %v", got, want)
	}
}
