package plugin

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// expected is what a document of users of the old tool means.
type expected struct {
	Name      string
	Type      Type
	Actions   []Action
	On        any // a list of addresses, or text
	Hostnames map[string]string
	Labels    map[string]map[string]string
	Add       map[string][]string
	Remove    map[string][]string
}

func TestCases(t *testing.T) {
	warned := map[string][]string{
		"default-plugins": {`default-plugins.yaml:1: plugin "SHELL": no type: SHELL is taken from the name: write type: SHELL`},
	}
	for _, name := range []string{"plugins", "default-plugins", "v1alpha1"} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join("testdata", name+".expected.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			var truth struct{ Plugins []expected }
			if err := yaml.Unmarshal(data, &truth); err != nil {
				t.Fatal(err)
			}
			plugins, warnings := load(t, name+".yaml")
			if len(plugins) != len(truth.Plugins) || len(plugins) == 0 {
				t.Fatalf("%d plugins, want %d", len(plugins), len(truth.Plugins))
			}
			for i, want := range truth.Plugins {
				compare(t, plugins[i], want)
			}
			if !slices.Equal(warnings, warned[name]) {
				t.Errorf("warnings %q", warnings)
			}
		})
	}
}

// load reads a file of testdata.
func load(t *testing.T, name string) (plugins []Plugin, warnings []string) {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	return read(t, name, file)
}

// read makes plugins of the documents of that kind.
func read(t *testing.T, name string, from io.Reader) (plugins []Plugin, warnings []string) {
	t.Helper()
	for decoder := yaml.NewDecoder(from); ; {
		var document struct {
			Kind     string
			Metadata struct{ Name string }
			Spec     struct{ Type, Action, On, Data string }
		}
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return plugins, warnings
		}
		if err != nil {
			t.Fatal(err)
		}
		if document.Kind != "Plugin" {
			continue
		}
		spec := document.Spec
		p, said, err := New(name+":1", document.Metadata.Name, spec.Type, spec.Action, spec.On, spec.Data)
		if err != nil {
			t.Fatal(err)
		}
		plugins, warnings = append(plugins, p), append(warnings, said...)
	}
}

func compare(t *testing.T, p Plugin, want expected) {
	t.Helper()
	if p.Name != want.Name || p.Type != want.Type || !slices.Equal(p.Actions, want.Actions) {
		t.Errorf("%s is %s at %s, want %+v", p, p.Type, p.Actions, want)
	}
	switch on := want.On.(type) {
	case nil:
		if p.On.String() != "all" {
			t.Errorf("%s: on %s", p, p.On)
		}
	case string:
		if p.On.String() != on {
			t.Errorf("%s: on %s, want %s", p, p.On, on)
		}
	case []any:
		for _, address := range on {
			if !p.On.Selects(Host{Address: netip.MustParseAddr(address.(string))}) {
				t.Errorf("%s: on %s is not on %s", p, p.On, address)
			}
		}
		if len(p.On.addresses) != len(on) {
			t.Errorf("%s: on %s, want %s", p, p.On, on)
		}
	}
	if want.Hostnames != nil {
		got, err := p.Hostnames()
		equal(t, p, got, err, want.Hostnames)
	}
	if want.Labels != nil {
		changes, err := p.Labels()
		got := map[netip.Addr]map[string]string{}
		for a, list := range changes {
			got[a] = map[string]string{}
			for _, l := range list {
				got[a][l.Key] = l.Value
			}
		}
		equal(t, p, got, err, want.Labels)
	}
	if want.Add != nil {
		changes, err := p.Taints()
		add, remove := map[netip.Addr][]string{}, map[netip.Addr][]string{}
		for a, list := range changes {
			for _, c := range list {
				text := strings.TrimSuffix(c.Key+"="+c.Value, "=") + ":" + c.Effect
				if c.Remove {
					remove[a] = append(remove[a], text)
				} else {
					add[a] = append(add[a], text)
				}
			}
		}
		equal(t, p, add, err, want.Add)
		equal(t, p, remove, err, want.Remove)
	}
}

// equal compares what the data of a plugin means.
func equal[C any](t *testing.T, p Plugin, got map[netip.Addr]C, err error, want map[string]C) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
	texts := map[string]C{}
	for a, c := range got {
		texts[fmt.Sprint(a)] = c
	}
	if !reflect.DeepEqual(texts, want) {
		t.Errorf("%s: %v, want %v", p, texts, want)
	}
}
