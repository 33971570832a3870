package plugin

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestDocumentation reads every example of docs/plugins.md for the cluster that they are about.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "plugins.md"))
	if err != nil {
		t.Fatal(err)
	}
	var hosts []Host
	for _, address := range strings.Fields("192.168.0.2 192.168.0.3 192.168.0.4 192.168.0.5 192.168.0.6 192.168.0.7") {
		role := "master"
		if len(hosts) > 2 {
			role = "node"
		}
		hosts = append(hosts, Host{Address: netip.MustParseAddr(address), Roles: []string{role}, First: len(hosts) == 0})
	}
	seen := map[Type]bool{}
	for _, example := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		plugins, warnings := read(t, "docs/plugins.md", strings.NewReader(example[1]))
		if len(plugins) != 1 || warnings != nil {
			t.Fatalf("%v, %q in:\n%s", plugins, warnings, example[1])
		}
		if err := plugins[0].Check(hosts); err != nil {
			t.Error(err)
		}
		seen[plugins[0].Type] = true
	}
	for _, typ := range types {
		if !seen[typ] {
			t.Errorf("no example of %s", typ)
		}
	}
	names := slices.Clone(effects)
	for _, a := range actions {
		names = append(names, string(a))
	}
	for name, s := range spellings {
		if strings.ToLower(string(s.action)) != name {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if !regexp.MustCompile("(?i)`" + name + "`").Match(page) {
			t.Errorf("docs/plugins.md does not name %s", name)
		}
	}
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
