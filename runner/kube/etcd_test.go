package kube

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/host"
)

const (
	memberList = `{"header":{"cluster_id":14841639068965178418,"member_id":10276657743932975437},"members":[
		{"ID":10276657743932975437,"name":"h1","peerURLs":["https://10.0.0.1:2380"],"clientURLs":["https://10.0.0.1:2379"]},
		{"ID":18446744073709551615,"name":"h2","peerURLs":["https://10.0.0.2:2380"],"clientURLs":["https://10.0.0.2:2379"]},
		{"ID":3,"name":"","peerURLs":["https://[fd00::3]:2380"],"isLearner":true}]}`
	memberHealth = `[{"endpoint":"https://10.0.0.1:2379","health":true,"took":"3ms"},{"endpoint":"https://10.0.0.2:2379","health":false,"error":"context deadline exceeded"}]`
)

// An etcdctl that fails because a member does not answer has printed which.
func TestMembers(t *testing.T) {
	calls := 0
	var lines []string
	k := Kubectl(answeringEach(&calls, &lines, memberList, nil, memberHealth, &host.ExitError{Code: 1, Stderr: "unhealthy cluster"}))
	members, err := Etcd{k, "h1"}.Members(t.Context())
	if err != nil || len(members) != 3 {
		t.Fatalf("got %v, %v", members, err)
	}
	if !members[0].Healthy || members[1].Healthy || members[2].Healthy || members[1].ID != 18446744073709551615 || !members[2].Learner {
		t.Errorf("got %+v", members)
	}
	want := "exec etcd-h1 --namespace kube-system --container etcd -- etcdctl --endpoints https://127.0.0.1:2379 --cacert /etc/kubernetes/pki/etcd/ca.crt " +
		"--cert /etc/kubernetes/pki/etcd/healthcheck-client.crt --key /etc/kubernetes/pki/etcd/healthcheck-client.key member list --write-out json"
	if lines[0] != want {
		t.Errorf("called\n%s\nwant\n%s", lines[0], want)
	}
}

func TestMembersOfNothing(t *testing.T) {
	for _, answers := range [][]string{{"{"}, {`{"members":[]}`}, {"error: pods etcd-h1 not found"}, {memberList, "{"}, {memberList, "error: x"}} {
		k, _ := answering(answers...)
		if members, err := (Etcd{k, "h1"}).Members(t.Context()); err == nil || !strings.Contains(err.Error(), "node h1") {
			t.Errorf("%q gives %v, %v", answers, members, err)
		}
	}
}

func TestRemoveMember(t *testing.T) {
	const prefix = "error: {\"level\":\"warn\"}\nError: etcdserver: "
	k, calls := answering("Member removed", prefix+"member not found", prefix+"unhealthy cluster",
		prefix+"re-configuration failed due to not enough started members", "error: refused")
	e := Etcd{k, "h1"}
	for i, want := range []error{nil, nil, ErrUnsettled, ErrUnsettled} {
		if err := e.Remove(t.Context(), 18446744073709551615); !errors.Is(err, want) {
			t.Errorf("answer %d: got %v, want %v", i, err, want)
		}
	}
	if err := e.Remove(t.Context(), 1); err == nil || errors.Is(err, ErrUnsettled) {
		t.Errorf("got %v, want kubectl's error", err)
	}
	if got := (*calls)[0].args; !strings.HasSuffix(got, " member remove ffffffffffffffff") {
		t.Errorf("called %s", got)
	}
}

func TestMemberOf(t *testing.T) {
	members := []Member{{ID: 1, Name: "h1", PeerURLs: []string{"https://10.0.0.1:2380"}}, {ID: 2, PeerURLs: []string{"https://[fd00::2]:2380"}}, {ID: 3, Name: "h3", PeerURLs: []string{":"}}}
	for _, tt := range []struct {
		name, address string
		want          uint64
		err           error
	}{
		{"h1", "10.0.0.1", 1, nil},
		{"h2", "fd00::2", 2, nil},
		{"h9", "10.0.0.9", 0, nil},
		{"h1", "10.0.0.9", 0, ErrOtherMember},
		{"h9", "10.0.0.1", 0, ErrOtherMember},
		{"h3", "10.0.0.3", 0, ErrOtherMember},
	} {
		m, err := MemberOf(members, tt.name, netip.MustParseAddr(tt.address))
		if !errors.Is(err, tt.err) || (m != nil) != (tt.want != 0) || m != nil && m.ID != tt.want {
			t.Errorf("%s at %s: got %v, %v", tt.name, tt.address, m, err)
		}
	}
}

func TestMajority(t *testing.T) {
	for _, tt := range []struct {
		members string // one letter each: h healthy, d dead, l learner; the first one goes
		want    error
	}{
		{"h", ErrNoMajority}, {"hh", nil}, {"dh", nil}, {"hd", ErrNoMajority}, {"hhh", nil}, {"dhh", nil}, {"hdh", ErrNoMajority}, {"hdd", ErrNoMajority},
		{"hhhh", nil}, {"hdhh", nil}, {"ddhh", nil}, {"dhhd", nil}, {"hdhhh", nil}, {"hddhh", ErrNoMajority}, {"hlh", nil}, {"hll", ErrNoMajority},
	} {
		var members []Member
		for i, kind := range tt.members {
			members = append(members, Member{ID: uint64(i + 1), Healthy: kind == 'h', Learner: kind == 'l'})
		}
		left, err := Without(members, members[0])
		if !errors.Is(err, tt.want) || len(left) != len(members)-1 || slices.ContainsFunc(left, func(m Member) bool { return m.ID == 1 }) {
			t.Errorf("%s: got %v, %v, want %v", tt.members, left, err, tt.want)
		}
	}
}

func TestMemberAt(t *testing.T) {
	members := []Member{{ID: 1, Name: "h1", PeerURLs: []string{"%zz", "https://name:2380", "https://10.0.0.1:2380"}}, {ID: 2, PeerURLs: []string{"https://[fd00::2]:2380"}}}
	for address, want := range map[string]uint64{"10.0.0.1": 1, "fd00::2": 2} {
		if m := MemberAt(members, netip.MustParseAddr(address)); m == nil || m.ID != want {
			t.Errorf("at %s is %v, want %d", address, m, want)
		}
	}
	if m := MemberAt(members, netip.MustParseAddr("10.0.0.2")); m != nil {
		t.Errorf("got %v", m)
	}
	if got := members[0].Addresses(); len(got) != 1 {
		t.Errorf("the addresses are %v", got)
	}
}

func FuzzMembers(f *testing.F) {
	f.Add(memberList, memberHealth)
	f.Fuzz(func(t *testing.T, list, health string) {
		k, _ := answering(list, health)
		members, err := Etcd{k, "h1"}.Members(t.Context())
		if err == nil && len(members) == 0 {
			t.Error("no members, and no error")
		}
		for _, m := range members {
			if strings.ContainsAny(m.String(), "\x1b\n") {
				t.Errorf("control characters in %q", m)
			}
		}
	})
}
