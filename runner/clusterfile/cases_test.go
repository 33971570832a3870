package clusterfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/runner/config"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/plugin"
)

// truth is what documents of users of the old tool mean: expected.yaml of a case. Fields that a case does not have are not compared.
type truth struct {
	About, Note    string // for people
	Cluster, Image string
	SSH            yaml.Node // one login, or one for each address
	Masters, Nodes []string
	Roles          map[string][]string
	Env            map[string]map[string]any
	Script         struct {
		Text   string
		Prints map[string]string
	}
	Kubeadm map[string]map[string]any
	Plugins []expectedPlugin
	Configs []struct{ Name, Path, Strategy, Content string }
}

type login struct {
	User       string
	Port       uint16
	Passwd, PK string
	PKPasswd   string `yaml:"pkPasswd"`
}

type expectedPlugin struct {
	Name      string
	Type      plugin.Type
	Actions   []plugin.Action
	On        any // a list of addresses, or text
	Hostnames map[string]string
	Labels    map[string]map[string]string
	Add       map[string][]string
	Remove    map[string][]string
}

// TestCases reads documents as users of the old tool write them.
func TestCases(t *testing.T) {
	cases, err := filepath.Glob("testdata/cases/*")
	if err != nil || len(cases) != 8 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	warned := map[string][]string{
		"default-plugins": {`plugins/shell.yaml:12:1: plugin "SHELL": no type: SHELL is taken from the name: write type: SHELL`},
	}
	for _, dir := range cases {
		name := filepath.Base(dir)
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(dir, "expected.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			var want truth
			decoder := yaml.NewDecoder(bytes.NewReader(data))
			decoder.KnownFields(true)
			if err := decoder.Decode(&want); err != nil {
				t.Fatal(err)
			}
			got := readCase(t, dir)
			if !slices.Equal(got.Warnings, warned[name]) {
				t.Errorf("warnings %q", got.Warnings)
			}
			if want.Cluster != "" || want.Masters != nil || want.Env != nil {
				compareCluster(t, got.Cluster, want)
			}
			compareRest(t, got, want)
		})
	}
}

// readCase reads the Clusterfile of a case, or the plugins of its image.
func readCase(t *testing.T, dir string) *Clusterfile {
	t.Helper()
	got, err := Read(nil, filepath.Join(dir, "Clusterfile"))
	if errors.Is(err, fs.ErrNotExist) {
		data, err := os.ReadFile(filepath.Join(dir, "shell.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		got = &Clusterfile{}
		if got.Plugins, got.Warnings, err = Plugins("plugins/shell.yaml", data); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func compareCluster(t *testing.T, c *Cluster, want truth) {
	t.Helper()
	if want.Cluster != "" {
		equal(t, "name", c.Name, want.Cluster)
		equal(t, "image", c.Image, want.Image)
	}
	of := map[host.Role][]string{}
	roles := map[string][]string{}
	logins := map[string]login{}
	for _, h := range c.Hosts {
		address := h.Address.String()
		of[h.Role] = append(of[h.Role], address)
		for _, role := range h.Roles {
			roles[role] = append(roles[role], address)
		}
		l, err := h.Login(&Secrets{})
		if err != nil {
			t.Fatal(err)
		}
		logins[address] = login{l.Auth.User, l.Auth.Port, l.Auth.Password.Reveal(), l.Auth.KeyFile, l.Auth.KeyPassphrase.Reveal()}
		if env := want.Env[address]; env != nil {
			merged := map[string]any{}
			for name, value := range environment.Merge(c.Env, h.Env) {
				if merged[name] = value[0]; len(value) > 1 {
					merged[name] = anys(value)
				}
			}
			equal(t, "env of "+address, merged, env)
			compareScript(t, environment.Merge(c.Env, h.Env), want.Script.Text, want.Script.Prints[address])
		}
	}
	if want.Masters != nil {
		equal(t, "masters", of[host.RoleMaster], want.Masters)
		equal(t, "nodes", of[host.RoleNode], want.Nodes)
	}
	if want.Roles != nil {
		equal(t, "roles", roles, want.Roles)
	}
	compareLogins(t, logins, &want.SSH)
}

func compareLogins(t *testing.T, logins map[string]login, want *yaml.Node) {
	t.Helper()
	if want.IsZero() {
		return
	}
	each := map[string]login{}
	if _, err := netip.ParseAddr(want.Content[0].Value); err == nil {
		if err := want.Decode(&each); err != nil {
			t.Fatal(err)
		}
	} else {
		var one login
		if err := want.Decode(&one); err != nil {
			t.Fatal(err)
		}
		for address := range logins {
			each[address] = one
		}
	}
	for address, want := range each {
		equal(t, "login of "+address, logins[address], want)
	}
}

// compareScript runs a script of the image as hosts do.
func compareScript(t *testing.T, env environment.Set, script, prints string) {
	t.Helper()
	if script == "" {
		return
	}
	run := exec.CommandContext(t.Context(), "bash")
	run.Stdin = bytes.NewReader(env.Substitute([]byte(script)))
	run.Env = []string{"PATH=" + os.Getenv("PATH")}
	for name, value := range env.Exported().Variables() {
		run.Env = append(run.Env, name+"="+value)
	}
	out, err := run.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != prints {
		t.Errorf("the script prints %q, %v, want %q", out, err, prints)
	}
}

func compareRest(t *testing.T, got *Clusterfile, want truth) {
	t.Helper()
	if want.Kubeadm != nil {
		written := map[string]map[string]any{}
		for kind, document := range got.Kubeadm {
			written[kind] = maps.Clone(document)
			delete(written[kind], "kind")
			delete(written[kind], "apiVersion")
		}
		equal(t, "kubeadm", written, want.Kubeadm)
	}
	if len(got.Plugins) != len(want.Plugins) || len(got.Configs) != len(want.Configs) {
		t.Fatalf("%d plugins and %d configs, want %d and %d", len(got.Plugins), len(got.Configs), len(want.Plugins), len(want.Configs))
	}
	for i, want := range want.Plugins {
		comparePlugin(t, got.Plugins[i], want)
	}
	for i, want := range want.Configs {
		c := got.Configs[i]
		content, err := c.Apply([]byte("old: content\n"))
		if err != nil {
			t.Error(err)
		}
		equal(t, "config", config.Config{Name: c.Name, Path: c.File(), Data: string(content)}, config.Config{Name: want.Name, Path: want.Path, Data: want.Content})
		equal(t, "strategy", c.Strategy == "" && want.Strategy == "overwrite" || c.Strategy == want.Strategy, true)
	}
}

func comparePlugin(t *testing.T, p plugin.Plugin, want expectedPlugin) {
	t.Helper()
	equal(t, p.String(), plugin.Plugin{Name: p.Name, Type: p.Type, Actions: p.Actions}, plugin.Plugin{Name: want.Name, Type: want.Type, Actions: want.Actions})
	switch on := want.On.(type) {
	case nil:
		equal(t, p.String(), p.On.String(), "all")
	case string:
		equal(t, p.String(), p.On.String(), on)
	case []any:
		addresses, err := host.ParseAddresses(p.On.String())
		if err != nil {
			t.Error(err)
		}
		equal(t, p.String(), anys(addresses), on)
	}
	if want.Hostnames != nil {
		got, err := p.Hostnames()
		equalChanges(t, p, got, err, want.Hostnames)
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
		equalChanges(t, p, got, err, want.Labels)
	}
	if want.Add == nil {
		return
	}
	changes, err := p.Taints()
	add, remove := map[netip.Addr][]string{}, map[netip.Addr][]string{}
	for a, list := range changes {
		for _, c := range list {
			if c.Remove {
				remove[a] = append(remove[a], strings.TrimSuffix(c.String(), "-"))
			} else {
				add[a] = append(add[a], c.String())
			}
		}
	}
	equalChanges(t, p, add, err, want.Add)
	equalChanges(t, p, remove, err, want.Remove)
}

// equalChanges compares what the data of a plugin means.
func equalChanges[C any](t *testing.T, p plugin.Plugin, got map[netip.Addr]C, err error, want map[string]C) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
	texts := map[string]C{}
	for a, c := range got {
		texts[a.String()] = c
	}
	equal(t, p.String(), texts, want)
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

// anys are the texts of values, as YAML has a list.
func anys[T any](values []T) []any {
	var list []any
	for _, value := range values {
		list = append(list, fmt.Sprint(value))
	}
	return list
}
