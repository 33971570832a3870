package host

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestParseAddresses(t *testing.T) {
	for _, test := range []struct {
		list, want string // want is joined by spaces
		says       string // of the error
	}{
		{"", "", ""},
		{" ", "", ""},
		{"192.168.0.2", "192.168.0.2", ""},
		{"192.168.0.2, 192.168.0.3", "192.168.0.2 192.168.0.3", ""},
		{"10.0.0.9-10.0.0.11,10.0.0.1", "10.0.0.9 10.0.0.10 10.0.0.11 10.0.0.1", ""},
		{"10.0.0.254-10.0.1.1", "10.0.0.254 10.0.0.255 10.0.1.0 10.0.1.1", ""},
		{"10.0.0.1-10.0.0.1", "10.0.0.1", ""},
		{"255.255.255.254-255.255.255.255", "255.255.255.254 255.255.255.255", ""},
		{"fd00::1-fd00::3", "fd00::1 fd00::2 fd00::3", ""},
		{"::ffff:10.0.0.1", "10.0.0.1", ""},
		{"10.0.0.1,10.0.0.1", "", "10.0.0.1 is given twice"},
		{"10.0.0.1-10.0.0.3,10.0.0.2", "", "10.0.0.2 is given twice"},
		{"10.0.0.1,::ffff:10.0.0.1", "", "given twice"},
		{"10.0.0.3-10.0.0.1", "", "from a lower to a higher"},
		{"10.0.0.1-fd00::1", "", "one family"},
		{"10.0.0.1-10.0.0.2-10.0.0.3", "", "is not an IP address"},
		{"10.0.0.1,", "", "an entry of the list is empty"},
		{"[fd00::1]", "", "write an IPv6 address without brackets: fd00::1"},
		{"[fd00::1]:22", "", "write fd00::1, and the SSH port with --port"},
		{"10.0.0.1:2222", "", "write 10.0.0.1, and the SSH port with --port"},
		{"root@10.0.0.1", "", "write 10.0.0.1, and the login with --user"},
		{"10.0.0.0/24", "", "hosts of a network are a range"},
		{"10.0.0.1-", "", "a range needs two addresses"},
		{"-10.0.0.1", "", "a range needs two addresses"},
		{"10.0.0.256", "", "is not an IP address"},
		{"host1", "", `"host1" is not an IP address`},
		{"master-1.example.com", "", `"master-1.example.com" is not an IP address; host names are not supported`},
		{"10.0.0.1-5", "", `"5" is not an IP address`},
		{"0.0.0.0", "", "not the address of a host"},
		{"224.0.0.1", "", "not the address of a host"},
		{"fe80::1%eth0", "", "it has a zone"},
		{"10.0.0.0-10.255.255.255", "", "more than 1024"},
		{"fd00::-fdff::", "", "more than 1024"},
	} {
		t.Run(test.list, func(t *testing.T) {
			got, err := ParseAddresses(test.list)
			if test.says != "" {
				if err == nil || !strings.Contains(err.Error(), test.says) {
					t.Fatalf("error %v, want %q", err, test.says)
				}
				return
			}
			if err != nil || strings.ReplaceAll(join(got), ",", "") != test.want {
				t.Fatalf("%v, %v", got, err)
			}
		})
	}
}

func FuzzParseAddresses(f *testing.F) {
	for _, seed := range []string{"10.0.0.1-10.0.0.9,fd00::1", "1.1.1.1,1.1.1.1", "-", ",", "::-::1", "255.255.255.255-255.255.255.255"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		addresses, err := ParseAddresses(list)
		if err != nil {
			return
		}
		if len(addresses) > maxAddresses {
			t.Fatalf("%d addresses", len(addresses))
		}
		seen := map[netip.Addr]bool{}
		for _, a := range addresses {
			if !a.IsValid() || a.Is4In6() || seen[a] {
				t.Fatalf("%q gave %v", list, addresses)
			}
			seen[a] = true
		}
	})
}

func TestInventory(t *testing.T) {
	hosts, err := Inventory("10.0.0.2,10.0.0.1", "10.0.0.3-10.0.0.4", Auth{User: "admin"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range hosts {
		got = append(got, fmt.Sprint(h, " ", h.Role, " ", h.Auth.User))
	}
	want := "10.0.0.2 master admin,10.0.0.1 master admin,10.0.0.3 node admin,10.0.0.4 node admin"
	if strings.Join(got, ",") != want {
		t.Fatalf("%v", got)
	}
	for lists, says := range map[[2]string]string{
		{"", "10.0.0.1"}:                  "no master given",
		{"10.0.0.1", "10.0.0.1"}:          "10.0.0.1 is given both as master and as node",
		{"10.0.0.1", "10.0.0.2,10.0.0.2"}: "nodes: address 10.0.0.2 is given twice",
		{"x", ""}:                         "masters: ",
	} {
		if _, err := Inventory(lists[0], lists[1], Auth{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v", lists, err)
		}
	}
}

func TestSecretsDoNotLeak(t *testing.T) {
	auth := Auth{Password: "hunter2", KeyPassphrase: "hunter2"}
	host := Host{Address: netip.MustParseAddr("10.0.0.1"), Auth: auth}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{auth, &auth, host, auth.Password, []Secret{auth.Password}} {
			if text := fmt.Sprintf(format, value); strings.Contains(text, "hunter2") || strings.Contains(text, "68756e74657232") {
				t.Errorf("%s of %T: %s", format, value, text)
			}
		}
	}
	if data, err := json.Marshal(host); err == nil {
		t.Errorf("a secret was encoded: %s", data)
	}
	if auth.Password.Reveal() != "hunter2" {
		t.Error("the secret is lost")
	}
}
