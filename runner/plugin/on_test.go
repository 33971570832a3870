package plugin

import (
	"net/netip"
	"strings"
	"testing"
)

// cluster has two masters and two nodes, of which one is also for storage.
var cluster = []Host{
	{Address: netip.MustParseAddr("192.168.0.2"), Roles: []string{"master"}, First: true, Labels: map[string]string{"ssd": "true"}},
	{Address: netip.MustParseAddr("192.168.0.3"), Roles: []string{"master"}},
	{Address: netip.MustParseAddr("192.168.0.4"), Roles: []string{"node", "storage"}, Labels: map[string]string{"ssd": "true", "zone": "b"}},
	{Address: netip.MustParseAddr("fd00::5"), Roles: []string{"node"}, Labels: map[string]string{"ssd": "false"}},
}

func TestParseOn(t *testing.T) {
	for _, test := range []struct{ text, want, selector, hosts string }{
		{"", "all", "", "2 3 4 5"},
		{" all ", "all", "", "2 3 4 5"},
		{"master", "master", "", "2 3"},
		{"node", "node", "", "4 5"},
		{"master0", "master0", "", "2"},
		{"storage", "storage", "", "4"},
		{"gpu", "gpu", "", ""},
		{"master0, storage", "master0,storage", "", "2 4"},
		{"master0|storage", "master0|storage", "", "2 4"},
		{"192.168.0.3", "192.168.0.3", "", "3"},
		{"192.168.0.2-192.168.0.4", "192.168.0.2-192.168.0.4", "", "2 3 4"},
		{"192.168.0.2 - 192.168.0.3 , fd00::5", "192.168.0.2 - 192.168.0.3,fd00::5", "", "2 3 5"},
		{"fd00::1-fd00::9,master0", "fd00::1-fd00::9,master0", "", "2 5"},
		{"10.0.0.1", "10.0.0.1", "", ""},
		{"node-role.kubernetes.io/master=", "node-role.kubernetes.io/master=", "node-role.kubernetes.io/master=", "2 3"},
		{"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/control-plane", "2 3"},
		{"!node-role.kubernetes.io/master", "!node-role.kubernetes.io/master", "!node-role.kubernetes.io/master", "4 5"},
		{"ssd=true", "ssd=true", "ssd=true", "2 4"},
		{"ssd==true,zone!=b", "ssd==true,zone!=b", "ssd==true,zone!=b", "2"},
		{"zone in (a, b)", "zone in (a,b)", "zone in (a,b)", "4"},
		{"ssd notin (true)", "ssd notin (true)", "ssd notin (true)", "3 5"},
		{"master0|ssd=false|192.168.0.3", "master0|ssd=false|192.168.0.3", "ssd=false", "2 3 5"},
		{"zone=b|ssd=false", "zone=b|ssd=false", "zone=b|ssd=false", "4 5"},
	} {
		t.Run(test.text, func(t *testing.T) {
			on, err := ParseOn(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if on.String() != test.want || on.Selector() != test.selector {
				t.Errorf("%q, selector %q", on, on.Selector())
			}
			var selected []string
			for _, h := range cluster {
				if on.Selects(h) {
					text := h.Address.String()
					selected = append(selected, text[len(text)-1:])
				}
			}
			if got := strings.Join(selected, " "); got != test.hosts {
				t.Errorf("selects %s, want %s", got, test.hosts)
			}
		})
	}
}

func TestParseOnRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"|":                                   "nothing before or after a separator",
		"master|":                             "nothing before or after a separator",
		",master":                             "nothing before or after a separator",
		"192.168.0.300":                       "is not an IP address",
		"192.168.0.4-192.168.0.2":             "from a lower to a higher",
		"192.168.0.2-":                        "a range needs two addresses",
		"192.168.0.2,192.168.0.2":             "given twice",
		"192.168.0.2|192.168.0.1-192.168.0.3": "given twice",
		"10.0.0.0-10.255.255.255":             "more than 1024",
		"10.0.0.0/24":                         "is a network",
		"fd00::/64":                           "is a network",
		"fe80::1%eth0":                        "not the address of a host",
		"master node":                         "neither a role nor an address nor a label selector",
		"$(reboot)":                           "reading the label selector",
		"`reboot`":                            "neither a role",
		"master;reboot":                       "neither a role",
		"ssd=true,master":                     `"master" next to a label selector`,
		"master,ssd=true":                     `"master" next to a label selector`,
		"192.168.0.2,ssd=true":                `"192.168.0.2" next to a label selector`,
		"ssd in (a":                           "reading the label selector",
		"ssd=$(reboot)":                       "reading the label selector",
		"a b=c":                               "reading the label selector",
		"-bad/key=c":                          "reading the label selector",
		strings.Repeat("a", 64):               "neither a role",
	} {
		t.Run(text, func(t *testing.T) {
			if on, err := ParseOn(text); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%v, error %v, want %q", on, err, says)
			}
		})
	}
}

func FuzzOn(f *testing.F) {
	for _, seed := range []string{
		"", "all", "master|node", "master0,storage", "192.168.0.2-192.168.0.4,fd00::1", "node-role.kubernetes.io/master=",
		"a in (b,c),!d/e|master", "x>1", "a==b,c!=d", "(", "10.0.0.0/8",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		on, err := ParseOn(text)
		if err != nil {
			return
		}
		again, err := ParseOn(on.String())
		if err != nil || again.String() != on.String() || again.Selector() != on.Selector() {
			t.Fatalf("%q is %q, which is %q, %v", text, on, again, err)
		}
		for _, h := range cluster {
			if on.Selects(h) != again.Selects(h) {
				t.Fatalf("%q and %q select other hosts", text, on)
			}
		}
	})
}
