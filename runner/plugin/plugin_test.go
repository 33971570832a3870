package plugin

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("not as in %s:\n%s", file, got)
	}
}

func TestNew(t *testing.T) {
	for _, test := range []struct {
		name, typ, action, on string
		want                  string
		warns                 string
	}{
		{"x", "SHELL", "PreInit", "", "SHELL [PreInit] all", ""},
		{"x", " shell ", " preinit ", " ", "SHELL [PreInit] all", ""},
		{"x", "Shell", "PREINIT", "all", "SHELL [PreInit] all", ""},
		{"x", "SHELL", "PostClean | PreInit", "master", "SHELL [PreInit PostClean] master", ""},
		{"x", "SHELL", "PreInit,PreJoin|prejoin", "node", "SHELL [PreInit PreJoin] node", ""},
		{"x", "SHELL", "PreInit|PreJoin|PostJoin|PreGuest|PostInstall|PreClean|PostClean", "", "SHELL [PreInit PreJoin PostJoin PreGuest PostInstall PreClean PostClean] all", ""},
		{"x", "SHELL", "PostJoin|PreGuest|PostInstall|PreClean", "a/b", "SHELL [PostJoin PreGuest PostInstall PreClean] a/b", ""},
		{"x", "hostname", "", "", "HOSTNAME [PreInit] all", ""},
		{"x", "HOSTNAME", "PreJoin", "", "HOSTNAME [PreJoin] all", ""},
		{"hostname", "", "", "", "HOSTNAME [PreInit] all", "no type: HOSTNAME is taken from the name"},
		{"LABEL", " ", "PreGuest", "", "LABEL [PreGuest] all", "no type: LABEL is taken from the name"},
		{"HOSTNAME", "SHELL", "PreInit", "", "SHELL [PreInit] all", ""},
		{"x", "taint", "postjoin|preclean", "", "TAINT [PostJoin PreClean] all", ""},
		{"x", "CLUSTERCHECK", "PreGuest|PostInstall", "", "CLUSTERCHECK [PreGuest PostInstall] all", ""},
		{"x", "CLUSTERCHECK", "PreGuest", "master", "CLUSTERCHECK [PreGuest] all", `on "master" is left out`},

		{"x", "SHELL", "Originally", "", "SHELL [PreInit] all", ""},
		{"x", "SHELL", "pre-init-host|pre-clean-host|post-clean-host", "master|node", "SHELL [PreInit PreClean PostClean] master|node", ""},
		{"x", "SHELL", "post-install", "master", "SHELL [PostInstall] master", "post-install ran only on the first master in sealer: write on: master0"},
		{"x", "SHELL", "pre-install|post-uninstall", "", "SHELL [PreInit PostClean] all", "pre-install ran only on the first master"},
		{"x", "SHELL", "pre-uninstall", "master0", "SHELL [PreClean] master0", ""},
		{"x", "SHELL", "Pre-Scaleup|post-scaleup", "node", "SHELL [PreJoin PostJoin] node", "runs on the hosts that join here"},
	} {
		t.Run(strings.Join([]string{test.name, test.typ, test.action, test.on}, " "), func(t *testing.T) {
			p, warnings, err := New("Clusterfile:12", test.name, test.typ, test.action, test.on, "data\n")
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(p.Type, " ", p.Actions, " ", p.On); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
			if p.Name != test.name || p.Data != "data\n" || p.Where != "Clusterfile:12" {
				t.Errorf("%+v", p)
			}
			for _, a := range actions {
				if p.Runs(a) != slices.Contains(p.Actions, a) {
					t.Errorf("at %s: %v", a, p.Runs(a))
				}
			}
			said := strings.Join(warnings, "\n")
			if test.warns == "" && said != "" || !strings.Contains(said, test.warns) {
				t.Errorf("warnings %q, want %q", said, test.warns)
			}
			for _, w := range warnings {
				if !strings.HasPrefix(w, "Clusterfile:12: ") {
					t.Errorf("the warning does not say where: %s", w)
				}
			}
		})
	}
}

// TestNewRefuses has the messages in testdata/refused.txt.
func TestNewRefuses(t *testing.T) {
	var said bytes.Buffer
	for _, test := range []struct{ name, typ, action, on string }{
		{"x", "SHEL", "PreInit", ""},
		{"x", "ETCD", "PreInit", ""},
		{"x", "SHELL; reboot", "PreInit", ""},
		{"x", "", "PreInit", ""},
		{"shel", "", "PreInit", ""},
		{"x", "SHELL", "", ""},
		{"x", "LABEL", " ", ""},
		{"x", "SHELL", "PreInt", ""},
		{"x", "SHELL", "PreInit|PostInstal", ""},
		{"x", "SHELL", "PreInit PreJoin", ""},
		{"x", "SHELL", "PreInit|", ""},
		{"x", "SHELL", ",PreInit", ""},
		{"x", "SHELL", "PreInit||PreJoin", ""},
		{"x", "SHELL", "Manual", ""},
		{"x", "SHELL", "PreInstall", ""},
		{"x", "SHELL", "post-init-host", ""},
		{"x", "SHELL", "upgrade", ""},
		{"x", "SHELL", "upgrade-host", ""},
		{"x", "SHELL", "rollback", ""},
		{"x", "HOSTNAME", "PreInit|PostJoin", ""},
		{"x", "LABEL", "PreInit", ""},
		{"x", "TAINT", "PreJoin", ""},
		{"x", "CLUSTERCHECK", "PostClean", ""},
		{"x", "SHELL", "PreInit", "node-role.kubernetes.io/master="},
		{"x", "SHELL", "PostInstall|PreJoin", "ssd=true"},
		{"x", "SHELL", "PostClean", "master|ssd=true"},
		{"x", "SHELL", "PreInit", "192.168.0.4-192.168.0.2"},
		{"x", "SHELL", "PreInit|post-scaleup", "master0"},
	} {
		p, warnings, err := New("Clusterfile:12", test.name, test.typ, test.action, test.on, "")
		if err == nil || warnings != nil || p.Where != "" {
			t.Errorf("%+v: %+v, %q, %v", test, p, warnings, err)
			continue
		}
		if !strings.HasPrefix(err.Error(), "Clusterfile:12: ") {
			t.Errorf("the error does not say where: %v", err)
		}
		fmt.Fprintln(&said, err)
	}
	golden(t, "refused.txt", said.Bytes())
}

// create makes a plugin of fields that are right.
func create(t testing.TB, typ, action, on, data string) Plugin {
	t.Helper()
	p, _, err := New("Clusterfile:12", "x", typ, action, on, data)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestKey(t *testing.T) {
	one := create(t, "SHELL", "PreInit|PreJoin", "master, node", "secret")
	same := create(t, "shell", "PreJoin,pre-init-host", "master,node", "secret")
	same.Name, same.Where, same.FromImage = "y", "plugins/y.yaml:1 of the image", true
	if one.Key() != same.Key() {
		t.Error("name, place and spelling change the key")
	}
	if strings.Contains(one.Key(), "secret") {
		t.Error("the key has the data in it")
	}
	seen := map[string]bool{one.Key(): true}
	for _, other := range []Plugin{
		create(t, "SHELL", "PreInit", "master,node", "secret"),
		create(t, "SHELL", "PreInit|PreJoin", "master", "secret"),
		create(t, "SHELL", "PreInit|PreJoin", "master,node", "secret\n"),
		create(t, "HOSTNAME", "PreInit|PreJoin", "master,node", "secret"),
	} {
		if seen[other.Key()] {
			t.Errorf("%+v has the key of another", other)
		}
		seen[other.Key()] = true
	}
}

func TestOrder(t *testing.T) {
	named := func(name, typ, action, data string, image bool) Plugin {
		p := create(t, typ, action, "", data)
		p.Name, p.FromImage = name, image
		return p
	}
	plugins := []Plugin{
		named("a", "SHELL", "PreInit", "1", false),
		named("b", "HOSTNAME", "", "1", false),
		named("c", "SHELL", "PostInstall", "1", true),
		named("d", "SHELL", "PreInit", "2", true),
		named("e", "HOSTNAME", "", "2", true),
		named("f", "SHELL", "PreInit", "1", true),
		named("g", "SHELL", "PostInstall|PreInit", "1", false),
		named("h", "SHELL", "PreInit", "3", false),
		named("i", "SHELL", "PreInit", "3", false),
		named("j", "LABEL", "PreGuest", "3", true),
	}
	for action, want := range map[Action]string{
		PreInit: "e b d f g h", PostInstall: "c g", PreGuest: "j", PreClean: "",
	} {
		var names []string
		for _, p := range Order(plugins, action) {
			names = append(names, p.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %s, want %s", action, got, want)
		}
	}
}
