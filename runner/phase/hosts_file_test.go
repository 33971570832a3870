package phase

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/state"
)

func TestWithBlock(t *testing.T) {
	block := "# begin kubefile cluster a\n10.0.0.1 x\n# end kubefile cluster a\n"
	cases := []struct{ name, content, want string }{
		{"empty", "", block},
		{"at the end", "127.0.0.1 localhost\n", "127.0.0.1 localhost\n" + block},
		{"no newline", "127.0.0.1 localhost", "127.0.0.1 localhost\n" + block},
		{"in its place", "before\n# begin kubefile cluster a\nold\nolder\n# end kubefile cluster a\nafter\n", "before\n" + block + "after\n"},
		{"another cluster's", "# begin kubefile cluster b\n# end kubefile cluster b\n", "# begin kubefile cluster b\n# end kubefile cluster b\n" + block},
		{"as it is", block + "after\n", block + "after\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := withBlock(c.content, "a", []string{"10.0.0.1 x"})
			if err != nil || got != c.want {
				t.Fatalf("got %v\n%s\nwant\n%s", err, got, c.want)
			}
			if again, err := withBlock(got, "a", []string{"10.0.0.1 x"}); err != nil || again != got {
				t.Errorf("a second time it is\n%s%v", again, err)
			}
		})
	}
	for _, content := range []string{"# begin kubefile cluster a\nsomebody's lines\n", "# begin kubefile cluster a"} {
		if got, err := withBlock(content, "a", nil); err == nil {
			t.Errorf("without an end it becomes %q", got)
		}
	}
}

func FuzzWithBlock(f *testing.F) {
	f.Add("127.0.0.1 localhost")
	f.Add("# begin kubefile cluster a\nx\n# end kubefile cluster a\n")
	f.Fuzz(func(t *testing.T, content string) {
		once, err := withBlock(content, "a", []string{"10.0.0.1 x"})
		if err != nil {
			return
		}
		if twice, err := withBlock(once, "a", []string{"10.0.0.1 x"}); err != nil || twice != once {
			t.Fatalf("%q becomes %q, then %q, %v", content, once, twice, err)
		}
	})
}

// Every host knows every host of the cluster, also those that were not named this time, and a master is its own endpoint.
func TestNames(t *testing.T) {
	c := site(t, 1, bare(t))
	c.state.Hosts = []state.Host{
		{Address: netip.MustParseAddr("10.0.0.2"), Name: "h2", Role: "node"},
		{Address: netip.MustParseAddr("10.0.0.9"), Name: "h9", Role: "node"},
	}
	c.Site.Cluster.Aliases = []clusterfile.Alias{{Address: netip.MustParseAddr("10.0.0.50"), Names: []string{"nfs", "nfs.site"}}}
	const others = " apiserver.cluster.local\n127.0.0.1 sea.hub\n10.0.0.50 nfs nfs.site\n10.0.0.1 h1\n10.0.0.2 h2\n10.0.0.9 h9"
	for i, want := range []string{"10.0.0.1", "127.0.0.1"} {
		if got := strings.Join(c.names(c.members[i]), "\n"); got != want+others {
			t.Errorf("%s: got\n%s\nwant\n%s", c.members[i], got, want+others)
		}
	}
}

// A master asks itself and then the others, which answer while it has not joined.
func TestEndpointsOfAMaster(t *testing.T) {
	c := site(t, 2, bare(t))
	c.members[1].host.Role = host.RoleMaster
	c.state.Hosts = []state.Host{{Address: netip.MustParseAddr("10.0.0.9"), Name: "h9", Role: "master"}}
	for i, want := range []string{"10.0.0.1 10.0.0.2 10.0.0.9", "10.0.0.2 10.0.0.1 10.0.0.9", "127.0.0.1"} {
		if got := strings.Join(c.endpoints(c.members[i]), " "); got != want {
			t.Errorf("%s: got %s, want %s", c.members[i], got, want)
		}
	}
}
