//go:build hosts

package hosts

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/kubefile/kubefile/runner/check"
	"github.com/kubefile/kubefile/runner/check/checklist"
	"github.com/kubefile/kubefile/runner/host"
)

// labConn runs commands on a host of the lab, from the delivery machine's network.
type labConn struct {
	lab *Lab
	i   int
	to  host.Host
}

func (c labConn) Host() host.Host { return c.to }
func (c labConn) Close() error    { return nil }

func (c labConn) Run(ctx context.Context, cmd host.Command) error {
	out, err := c.lab.SSH(ctx, c.i, nil, host.Quote(cmd.Argv))
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		return &host.ExitError{Host: c.to.String(), Name: cmd.Argv[0], Code: exit.ExitStatus()}
	}
	if err == nil && cmd.Stdout != nil {
		_, err = cmd.Stdout.Write(out)
	}
	return err
}

// expected are the checks that find something on each host of testSpec, because of its properties.
func expected() map[int][]string {
	return map[int][]string{
		1: {"iptables-command", "interface-choice"},
		2: {"nameserver", "firewall-input", "path-between-hosts"},
		3: {"default-route", "noexec-tmp"},
		4: {"nameserver"},
		5: {"read-only-directory"},
		6: {"foreign-etcd", "foreign-containerd", "foreign-runtime", "hostname-valid", "ports-in-use"},
	}
}

// checks gathers facts of all hosts, has them connect to each other, and finds their properties, each on the hosts that have it only.
func checks(t *testing.T, lab *Lab, want map[int][]string) {
	site := &check.Site{Architecture: "amd64", Kubernetes: "v1.34.4", DataRoot: "/home/sealer", RegistryPort: 5000}
	var conns []host.Conn
	for i, h := range lab.Hosts {
		to := host.Host{Address: netip.MustParseAddr(h.Address), Role: host.RoleNode}
		if i < 2 {
			to.Role = host.RoleMaster
		}
		conn := labConn{lab, i + 1, to}
		facts, err := host.Gather(t.Context(), conn, site.DataRoot)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		site.Hosts = append(site.Hosts, check.Host{Report: host.Report{Host: to, Conn: conn, Facts: facts}})
	}
	for i, conn := range conns {
		var err error
		if site.Hosts[i].Paths, err = host.TryPaths(t.Context(), conn, check.Targets(site, i)); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string][]string{}
	for _, f := range checklist.Run(site) {
		got[f.Check] = append(got[f.Check], f.Host)
		t.Log(f.Severity, f.Text())
	}
	for i, h := range lab.Hosts {
		for _, ids := range want {
			for _, id := range ids {
				if has, wanted := slices.Contains(got[id], h.Address), slices.Contains(want[i+1], id); has != wanted {
					t.Errorf("h%d, %s: found is %t, want %t", i+1, id, has, wanted)
				}
			}
		}
	}
}
