package environment

import (
	"maps"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	set, err := Parse([]string{"A=1", "docker-dir=/var/lib", "EMPTY=", "URL=http://x/?a=b,c", "A=2"})
	if err != nil {
		t.Fatal(err)
	}
	want := Set{"A": "2", "docker-dir": "/var/lib", "EMPTY": "", "URL": "http://x/?a=b,c"}
	if !maps.Equal(set, want) {
		t.Errorf("got %v, want %v", set, want)
	}
}

func TestParseRefusesWithoutTheValue(t *testing.T) {
	for _, pair := range []string{"", "=s3cret", "-n=s3cret", "A\nB=s3cret", "A\x00=s3cret", "A=s3cret\x00", "NOVALUE"} {
		_, err := Parse([]string{pair})
		if err == nil {
			t.Errorf("%q was taken", pair)
			continue
		}
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error for %q shows the value: %v", pair, err)
		}
	}
}

func TestLaterSetsWin(t *testing.T) {
	image, own, site := Set{"A": "image", "B": "image", "C": "image"}, Set{"B": "host", "C": "host"}, Set{"C": "site"}
	got := Merge(image, own, site)
	if want := (Set{"A": "image", "B": "host", "C": "site"}); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if image["C"] != "image" {
		t.Error("merging changed a set")
	}
}

func TestExported(t *testing.T) {
	cases := []struct{ name, want Set }{
		{Set{"docker-dir": "/d"}, Set{"docker-dir": "/d", "docker_dir": "/d"}},
		{Set{"docker-dir": "/d", "docker_dir": "/own"}, Set{"docker-dir": "/d", "docker_dir": "/own"}},
		{Set{"1st": "x"}, Set{"1st": "x", "_1st": "x"}},
		{Set{"PLAIN": "x"}, Set{"PLAIN": "x"}},
	}
	for _, c := range cases {
		if got := c.name.Exported(); !maps.Equal(got, c.want) {
			t.Errorf("%v: got %v, want %v", c.name, got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"A=1", "docker-dir=/x", "=", "A", "-x=1", "A=\x00", "Ä=ö"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, pair string) {
		set, err := Parse([]string{pair})
		if err != nil {
			return
		}
		name, value, _ := strings.Cut(pair, "=")
		if len(set) != 1 || set[name] != value {
			t.Fatalf("%q became %v", pair, set)
		}
		if exported := set.Exported(); exported[name] != value {
			t.Fatalf("%q lost its value: %v", pair, exported)
		}
	})
}
