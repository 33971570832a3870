package state

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
)

func TestEncodeAndParse(t *testing.T) {
	s := New("default")
	s.Image, s.Digest, s.KubernetesVersion = "app:v1", digest.FromString("app"), "v1.34.4"
	s.Hosts = []Host{{Address: netip.MustParseAddr("fd00::1"), Name: "m1", Role: "master"}}
	s.Commands = []string{"x"}
	data, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(s, again) {
		t.Errorf("%+v became %+v", s, again)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, data := range map[string]string{
		"empty":       ``,
		"cut off":     `{"version":1,"clus`,
		"newer":       `{"version":3,"id":"x"}`,
		"without ID":  `{"version":2}`,
		"two":         `{"version":1}{}`,
		"bad address": `{"version":1,"hosts":[{"address":"nowhere"}]}`,
	} {
		if s, err := Parse([]byte(data)); err == nil || !strings.Contains(err.Error(), "state") {
			t.Errorf("%s: got %+v, %v", name, s, err)
		}
	}
}

// A program that is older than the one that wrote a state keeps what it does not know, also in a state that it merges.
func TestUnknownFieldsAreKept(t *testing.T) {
	const newer = `{"version":2,"id":"x","cluster":"default","revision":3,"colour":{"a":[1]},
		"hosts":[{"address":"10.0.0.1","name":"a","role":"master","phase":"complete","rack":"r1"},{"address":"10.0.0.2","name":"b","role":"node","phase":"joining","rack":"r2"}]}`
	s, err := Parse([]byte(newer))
	if err != nil {
		t.Fatal(err)
	}
	s.Put(Host{Address: netip.MustParseAddr("10.0.0.2"), Name: "b", Role: "node", Phase: Complete})
	s.Put(Host{Address: netip.MustParseAddr("10.0.0.3"), Name: "c", Role: "node", Phase: Joining})
	keeps := func(s *State) {
		t.Helper()
		data, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(data)
		if err != nil || len(again.Hosts) != 3 || again.Hosts[1].Phase != Complete {
			t.Errorf("it became %+v, %v", again, err)
		}
		for _, want := range []string{`"colour"`, `"rack": "r1"`, `"rack": "r2"`} {
			if strings.Count(string(data), want) != 1 {
				t.Errorf("%s is not once in %s", want, data)
			}
		}
	}
	keeps(s)
	other := New("default")
	other.merge(s)
	keeps(other)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"version":2,"id":"x","later":{"a":1},"hosts":[{"address":"10.0.0.1","rack":"r"}]}`))
	f.Add([]byte(`{"version":1,"cluster":"default","hosts":[{"address":"10.0.0.1","name":"a","role":"master"}],"commands":["x"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data)
		if err != nil {
			return
		}
		encoded, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(encoded); err != nil {
			t.Fatalf("its own encoding is refused: %v\n%s", err, encoded)
		}
	})
}

// A command runs again exactly when it, its place or the artifact is another one.
func TestCommandKey(t *testing.T) {
	one, other := digest.FromString("one"), digest.FromString("other")
	keys := map[string]string{}
	for name, key := range map[string]string{
		"shell":    CommandKey(one, 0, imagespec.Command{Shell: "a b"}),
		"place":    CommandKey(one, 1, imagespec.Command{Shell: "a b"}),
		"artifact": CommandKey(other, 0, imagespec.Command{Shell: "a b"}),
		"exec":     CommandKey(one, 0, imagespec.Command{Exec: []string{"a b"}}),
		"words":    CommandKey(one, 0, imagespec.Command{Exec: []string{"a", "b"}}),
		"quoted":   CommandKey(one, 0, imagespec.Command{Exec: []string{`a" "b`}}),
	} {
		if keys[key] != "" {
			t.Errorf("%s and %s have the same key", name, keys[key])
		}
		keys[key] = name
	}
	s := New("default")
	s.Commands = []string{CommandKey(one, 0, imagespec.Command{Shell: "a b"})}
	if !s.Ran(CommandKey(one, 0, imagespec.Command{Shell: "a b"})) || s.Ran(CommandKey(one, 1, imagespec.Command{Shell: "a b"})) {
		t.Error("the ledger does not tell commands apart")
	}
}

// A site that goes back to what it had before wants its commands to run again.
func TestRecordForgetsWhatWasBefore(t *testing.T) {
	first := CommandKey(digest.FromString("one"), 0, imagespec.Command{Shell: "a"})
	second := CommandKey(digest.FromString("one"), 0, imagespec.Command{Shell: "b"})
	s := New("default")
	for _, key := range []string{first + "-x", second + "-x", first + "-y", first} {
		if s.Ran(key) {
			t.Errorf("%s has run before it did", key)
		}
		s.Record(key)
	}
	if s.Ran(first+"-x") || s.Ran(first+"-y") || !s.Ran(first) || !s.Ran(second+"-x") {
		t.Errorf("recorded are %q", s.Commands)
	}
}

// A host that leaves is in the cluster until it is removed, for programs too that do not know its phase.
func TestLeaving(t *testing.T) {
	s := withHosts(1, 2, 3)
	s.Put(numbered(2, Leaving))
	s.Put(numbered(3, Lost))
	s.Put(numbered(4, "a phase to come"))
	data := stored(t, s)
	read, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	for n, leaves := range map[byte]bool{1: false, 2: true, 3: true, 4: false} {
		if h := read.Host(numbered(n, "").Address); !h.In() || h.Leaves() != leaves {
			t.Errorf("%+v: in %v, leaves %v, want %v", h, h.In(), h.Leaves(), leaves)
		}
	}
	if !bytes.Equal(stored(t, read), data) {
		t.Errorf("read and stored again it is\n%s\nwant\n%s", stored(t, read), data)
	}
	if address := numbered(2, "").Address; !read.Remove(address) || read.Remove(address) || hosts(read) != "h1 h3 h4" {
		t.Errorf("after the removal there are %s", hosts(read))
	}
}

// What one run began to remove is not in the cluster again because another one wrote it at the same time.
func TestMergeOfLeaving(t *testing.T) {
	first := stored(t, withHosts(1, 2))
	here, _ := Parse(first)
	there, _ := Parse(first)
	here.Put(numbered(2, Leaving))
	there.Put(numbered(1, Joined))
	a, errA := here.Next(Fingerprint(first))
	b, errB := there.Next(Fingerprint(first))
	found, err := Reconcile("default", []Copy{{"a", a}, {"b", b}})
	if err = errors.Join(errA, errB, err); err != nil {
		t.Fatal(err)
	}
	if got := found.State.Host(numbered(2, "").Address).Phase; got != Leaving {
		t.Errorf("merged to %s, want %s", got, Leaving)
	}
}
