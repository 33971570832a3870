package state

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// cluster is a state with hosts 10.0.0.N, as it is stored.
func stored(t *testing.T, s *State) []byte {
	t.Helper()
	data, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func withHosts(numbers ...byte) *State {
	s := New("default")
	s.ID = "one"
	for _, n := range numbers {
		s.Put(numbered(n, Complete))
	}
	return s
}

func numbered(n byte, phase Phase) Host {
	return Host{Address: netip.AddrFrom4([4]byte{10, 0, 0, n}), Name: fmt.Sprintf("h%d", n), Role: "node", Phase: phase}
}

// changed is the next revision of what is stored, with another host in it.
func changed(t *testing.T, data []byte, n byte) []byte {
	t.Helper()
	s, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	s.Put(numbered(n, Joining))
	next, err := s.Next(Fingerprint(data))
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func hosts(s *State) string {
	var names []string
	for _, h := range s.Hosts {
		names = append(names, h.Name)
	}
	return strings.Join(names, " ")
}

// reconcileCase are copies of a state, and what they are reconciled to.
type reconcileCase struct {
	name   string
	copies []string
	want   string // hosts, in any order of the copies
	stale  bool
	notes  []string
}

// test reconciles the copies in several orders.
func (c reconcileCase) test(t *testing.T) {
	for range 4 {
		rand.Shuffle(len(c.copies), func(i, j int) { c.copies[i], c.copies[j] = c.copies[j], c.copies[i] })
		var copies []Copy
		for i, data := range c.copies {
			copies = append(copies, Copy{fmt.Sprintf("place %d", i), []byte(data)})
		}
		found, err := Reconcile("default", copies)
		if err != nil {
			t.Fatal(err)
		}
		if c.want == "" {
			if found.State != nil {
				t.Fatalf("found %+v in nothing", found.State)
			}
			continue
		}
		if got := hosts(found.State); got != c.want || found.Stale != c.stale {
			t.Errorf("hosts are %s, stale %v; want %s, %v", got, found.Stale, c.want, c.stale)
		}
		said := strings.Join(found.Notes, "\n")
		if (said == "") != (c.notes == nil) || slices.ContainsFunc(c.notes, func(want string) bool { return !strings.Contains(said, want) }) {
			t.Errorf("said %q, want %q", said, c.notes)
		}
	}
}

func TestReconcile(t *testing.T) {
	first := stored(t, withHosts(1, 2))
	second := changed(t, first, 3)
	third := changed(t, second, 4)
	aside := changed(t, first, 9)
	further := changed(t, aside, 8)
	old := []byte(`{"version":1,"revision":4,"cluster":"default","hosts":[{"address":"10.0.0.1","name":"h1","role":"node"}],"commands":null}`)
	oldOther := []byte(strings.NewReplacer("0.1", "0.7", "h1", "h7").Replace(string(old)))
	foreign := []byte(strings.ReplaceAll(string(first), `"default"`, `"other"`))
	for _, c := range []reconcileCase{
		{"one", []string{string(first)}, "h1 h2", false, nil},
		{"equal", []string{string(second), string(second)}, "h1 h2 h3", false, nil},
		{"a master was away", []string{string(first), string(third), string(second)}, "h1 h2 h3 h4", true, nil},
		{"the Secret is older", []string{string(third), string(first)}, "h1 h2 h3 h4", true, nil},
		{"the Secret is missing", []string{string(third), ""}, "h1 h2 h3 h4", true, nil},
		{"the Secret is trimmed", []string{string(third), strings.TrimSpace(string(third))}, "h1 h2 h3 h4", false, nil},
		{"split, of one revision", []string{string(second), string(aside)}, "h1 h2 h3 h9", true, []string{"two runs changed", "10.0.0."}},
		{"split, one went on", []string{string(second), string(further)}, "h1 h2 h3 h8 h9", true, []string{"hosts that only place"}},
		{"split, both went on", []string{string(third), string(further)}, "h1 h2 h3 h4 h8 h9", true, []string{"two runs changed"}},
		{"cut off", []string{string(third), string(first)[:40]}, "h1 h2 h3 h4", true, []string{"cannot be used"}},
		{"zeros", []string{string(first), strings.Repeat("\x00", 100)}, "h1 h2", true, []string{"cannot be used"}},
		{"another cluster's", []string{string(first), string(foreign)}, "h1 h2", true, []string{`it is of a cluster "other"`}},
		{"of a version to come", []string{string(first), `{"version":9}`}, "h1 h2", true, []string{"version 9"}},
		{"version 1 and 2", []string{string(old), string(changed(t, old, 5))}, "h1 h5", true, nil},
		{"version 1, split", []string{string(old), string(oldOther)}, "h1 h7", true, []string{"two runs changed"}},
		{"nothing", []string{"", ""}, "", true, nil},
	} {
		t.Run(c.name, c.test)
	}
}

// What was merged once is not a split again, wherever the old copies still are.
func TestMergedOnce(t *testing.T) {
	first := stored(t, withHosts(1))
	a, b := changed(t, first, 2), changed(t, first, 3)
	found, err := Reconcile("default", []Copy{{"a", a}, {"b", b}})
	if err != nil {
		t.Fatal(err)
	}
	merged, err := found.State.Next(found.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	for _, stale := range [][]byte{first, a, b} {
		found, err := Reconcile("default", []Copy{{"stale", stale}, {"merged", merged}})
		if err != nil || len(found.Notes) > 0 || hosts(found.State) != "h1 h2 h3" {
			t.Errorf("hosts %s, said %q, %v", hosts(found.State), found.Notes, err)
		}
	}
}

func TestReconcileRefuses(t *testing.T) {
	other := withHosts(1)
	other.ID = "two"
	for name, c := range map[string]struct {
		copies []string
		want   error
	}{
		"only damaged copies": {[]string{"{", "", "\x00\x00"}, ErrDamaged},
		"two clusters":        {[]string{string(stored(t, withHosts(1))), string(stored(t, other))}, ErrOtherCluster},
	} {
		var copies []Copy
		for _, data := range c.copies {
			copies = append(copies, Copy{"somewhere", []byte(data)})
		}
		if _, err := Reconcile("default", copies); !errors.Is(err, c.want) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

// A merge keeps the further of two phases, one key of a command, and what only one side has.
func TestMerge(t *testing.T) {
	first := stored(t, withHosts(1))
	here, _ := Parse(first)
	there, _ := Parse(first)
	command := strings.Repeat("a", commandKeySize)
	here.Put(numbered(2, Joining))
	here.Commands = []string{command + "-new"}
	there.Put(numbered(2, Complete))
	there.Commands, there.Apps = []string{command + "-old", strings.Repeat("b", commandKeySize)}, []App{{Dir: "redis"}}
	here.Revision = 5
	a, errA := here.Next(Fingerprint(first))
	b, errB := there.Next(Fingerprint(first))
	found, err := Reconcile("default", []Copy{{"a", a}, {"b", b}})
	if err = errors.Join(errA, errB, err); err != nil {
		t.Fatal(err)
	}
	s := found.State
	if s.Host(numbered(2, "").Address).Phase != Complete || len(s.Apps) != 1 || !slices.Equal(s.Commands, []string{command + "-new", strings.Repeat("b", commandKeySize)}) {
		t.Errorf("merged to %+v", s)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	data := stored(t, withHosts(1))
	for range 3 * maxHistory {
		data = changed(t, data, 2)
	}
	if s, err := Parse(data); err != nil || len(s.History) != maxHistory {
		t.Errorf("history of %d, %v", len(s.History), err)
	}
}
