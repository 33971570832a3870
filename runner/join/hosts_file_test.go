package join

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/state"
)

// Every host knows every host of the cluster, also those that were not named this time, and a master is its own endpoint.
func TestNames(t *testing.T) {
	session, known := cluster([]host.Role{host.RoleMaster, host.RoleNode}, nil)
	known.State.Hosts = []state.Host{
		{Address: netip.MustParseAddr("10.0.0.2"), Name: "h2", Role: "node"},
		{Address: netip.MustParseAddr("10.0.0.9"), Name: "h9", Role: "node"},
	}
	p := &HostsFile{Session: session, Store: known, Domain: "sea.hub", Site: &clusterfile.Clusterfile{Cluster: &clusterfile.Cluster{}}}
	p.Site.Cluster.Aliases = []clusterfile.Alias{{Address: netip.MustParseAddr("10.0.0.50"), Names: []string{"nfs", "nfs.site"}}}
	const others = " apiserver.cluster.local\n127.0.0.1 sea.hub\n10.0.0.50 nfs nfs.site\n10.0.0.1 h1\n10.0.0.2 h2\n10.0.0.9 h9"
	for i, want := range []string{"10.0.0.1", "127.0.0.1"} {
		if got := strings.Join(p.Lines(p.Members[i]), "\n"); got != want+others {
			t.Errorf("%s: got\n%s\nwant\n%s", p.Members[i], got, want+others)
		}
	}
}

// A master asks itself and then the others, which answer while it has not joined.
func TestEndpointsOfAMaster(t *testing.T) {
	session, known := cluster([]host.Role{host.RoleMaster, host.RoleMaster, host.RoleNode}, nil)
	p := &HostsFile{Session: session, Store: known}
	known.State.Hosts = []state.Host{{Address: netip.MustParseAddr("10.0.0.9"), Name: "h9", Role: "master"}}
	for i, want := range []string{"10.0.0.1 10.0.0.2 10.0.0.9", "10.0.0.2 10.0.0.1 10.0.0.9", "127.0.0.1"} {
		if got := strings.Join(p.endpoints(p.Members[i]), " "); got != want {
			t.Errorf("%s: got %s, want %s", p.Members[i], got, want)
		}
	}
}
