package environment

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	set, err := Parse([]string{"A=1", "docker-dir=/var/lib", "EMPTY=", "URL=http://x/?a=b,c", "A=2"})
	if err != nil {
		t.Fatal(err)
	}
	want := Set{"A": {"1", "2"}, "docker-dir": {"/var/lib"}, "EMPTY": {""}, "URL": {"http://x/?a=b,c"}}
	if !reflect.DeepEqual(set, want) {
		t.Errorf("got %v, want %v", set, want)
	}
	if got := set.Variables()["A"]; got != "1 2" {
		t.Errorf("a process sees %q", got)
	}
}

func TestParseRefusesWithoutTheValue(t *testing.T) {
	for _, pair := range []string{"", "=s3cret", "-n=s3cret", "A\nB=s3cret", "A\x00=s3cret", "A=s3cret\x00", "\xff=s3cret", "NOVALUE"} {
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

func TestJSON(t *testing.T) {
	set := Set{"A": {"1", "2"}, "B": {"x"}, "EMPTY": {""}}
	data, err := json.Marshal(set)
	if err != nil || string(data) != `{"A":["1","2"],"B":"x","EMPTY":""}` {
		t.Fatalf("written as %s, %v", data, err)
	}
	var got Set
	if err := json.Unmarshal(data, &got); err != nil || !reflect.DeepEqual(got, set) {
		t.Errorf("read as %v, %v", got, err)
	}
}

func TestLaterSetsWin(t *testing.T) {
	image, own, site := Set{"A": {"image"}, "B": {"image"}, "C": {"i", "j"}}, Set{"B": {"host"}, "C": {"host"}}, Set{"C": {"site"}}
	got := Merge(image, own, site)
	if want := (Set{"A": {"image"}, "B": {"host"}, "C": {"site"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if image["C"].String() != "i j" {
		t.Error("merging changed a set")
	}
}

func TestExported(t *testing.T) {
	cases := []struct{ name, want Set }{
		{Set{"docker-dir": {"/d"}}, Set{"docker-dir": {"/d"}, "docker_dir": {"/d"}}},
		{Set{"docker-dir": {"/d"}, "docker_dir": {"/own"}}, Set{"docker-dir": {"/d"}, "docker_dir": {"/own"}}},
		{Set{"1st": {"x"}}, Set{"1st": {"x"}, "_1st": {"x"}}},
		{Set{"PLAIN": {"x"}}, Set{"PLAIN": {"x"}}},
	}
	for _, c := range cases {
		if got := c.name.Exported(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: got %v, want %v", c.name, got, c.want)
		}
	}
}

// Of two names that a shell says alike, the same one is always exported: what depends on the environment must not change by itself.
func TestExportedIsAlwaysTheSame(t *testing.T) {
	set := Set{"a-b": {"1"}, "a.b": {"2"}, "a+b": {"3"}}
	want := set.Exported()["a_b"].String()
	for range 100 {
		if got := set.Exported()["a_b"].String(); got != want {
			t.Fatalf("it is %s, and was %s", got, want)
		}
	}
}

func TestSubstitute(t *testing.T) {
	env := Set{"docker-dir": {"/d"}, "docker-dir-old": {"/o"}, "PLAIN": {"x"}, "a.b": {"y"}, "1": {"z"}}
	cases := []struct{ script, want string }{
		{"#!/bin/bash\necho $docker-dir\n", "#!/bin/bash\necho ${docker_dir}\n"},
		{"ls ${docker-dir}/x $docker-dir", "ls ${docker_dir}/x ${docker_dir}"},
		{"$docker-dir-old $docker-dir$docker-dir", "${docker_dir_old} ${docker_dir}${docker_dir}"},
		{"$docker-dirs $docker-di ${docker-dir:-x} $PLAIN", "$docker-dirs $docker-di ${docker-dir:-x} $PLAIN"},
		{"$a.b $aab $1", "${a_b} $aab $1"},
	}
	for _, c := range cases {
		if got := string(env.Substitute([]byte(c.script))); got != c.want {
			t.Errorf("%q became %q, want %q", c.script, got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"A=1", "docker-dir=/x", "=", "A", "-x=1", "A=\x00", "Ä=ö"} {
		f.Add(seed, "echo $docker-dir ${A}")
	}
	f.Fuzz(func(t *testing.T, pair, script string) {
		set, err := Parse([]string{pair})
		if err != nil {
			return
		}
		name, value, _ := strings.Cut(pair, "=")
		if len(set) != 1 || set[name].String() != value {
			t.Fatalf("%q became %v", pair, set)
		}
		if exported := set.Exported(); exported[name].String() != value {
			t.Fatalf("%q lost its value: %v", pair, exported)
		}
		once := set.Substitute([]byte(script))
		if twice := set.Substitute(once); string(once) != string(twice) {
			t.Fatalf("%q became %q and then %q", script, once, twice)
		}
	})
}
