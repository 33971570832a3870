package clusterfile

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	format "github.com/kubefile/kubefile/imagespec/clusterfile"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/plugin"
)

var update = flag.Bool("update", false, "write the golden files")

// TestRead reads what is written in testdata/read.txt, and compares what it means.
func TestRead(t *testing.T) {
	table(t, "read.txt", func(t *testing.T, input string) string {
		c, err := Parse("Clusterfile", []byte(input))
		if err != nil {
			t.Fatal(err)
		}
		return meaning(t, c)
	})
}

// TestRefuses has inputs and errors in testdata/refused.txt. A mistake is told with its place, and no value that may be a secret.
func TestRefuses(t *testing.T) {
	place := regexp.MustCompile(`^Clusterfile:\d+(:\d+)?: `)
	table(t, "refused.txt", func(t *testing.T, input string) string {
		c, err := Parse("Clusterfile", []byte(input))
		if err == nil {
			t.Fatalf("read as\n%s", meaning(t, c))
		}
		for line := range strings.Lines(err.Error()) {
			if !place.MatchString(line) {
				t.Errorf("no place in %q", line)
			}
		}
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("a secret in %q", err)
		}
		return err.Error()
	})
}

// table compares what become makes of each input of a file of testdata with what stands there: "=== name", input, "=>", result.
func table(t *testing.T, name string, become func(t *testing.T, input string) string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	entries := strings.Split(string(data), "=== ")[1:]
	for _, entry := range entries {
		title, rest, _ := strings.Cut(entry, "\n")
		input, want, found := strings.Cut(rest, "\n=>\n")
		if !found {
			t.Fatalf("%s has no result", title)
		}
		input += "\n"
		t.Run(title, func(t *testing.T) {
			got := strings.TrimRight(become(t, input), "\n") + "\n"
			out.WriteString("=== " + title + "\n" + input + "=>\n" + got)
			if got != want && !*update {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
	if len(entries) < 10 {
		t.Fatalf("only %d entries", len(entries))
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// These types are what a Clusterfile says, in the form that tests compare.
type (
	appMeaning struct {
		Env  environment.Set `yaml:",omitempty"`
		Cmds any             `yaml:",omitempty"`
	}
	hostMeaning struct {
		Address, Role string
		Roles         []string          `yaml:",omitempty,flow"`
		SSH           format.SSH        `yaml:",omitempty,flow"`
		Env           environment.Set   `yaml:",omitempty,flow"`
		Labels        map[string]string `yaml:",omitempty,flow"`
		Taints        []string          `yaml:",omitempty,flow"`
	}
	clusterMeaning struct {
		Name, Image string
		Env         environment.Set `yaml:",omitempty"`
		Hosts       []hostMeaning
		Cmd         any                   `yaml:",omitempty"` // an empty list is not nothing
		CmdArgs     environment.Set       `yaml:"cmdArgs,omitempty"`
		AppNames    any                   `yaml:"appNames,omitempty"`
		Apps        map[string]appMeaning `yaml:",omitempty"`
		Aliases     []Alias               `yaml:",omitempty"`
		Registry    format.Registry       `yaml:",omitempty"`
		DataRoot    string                `yaml:"dataRoot,omitempty"`
	}
)

// meaningOfCluster is what a Clusterfile says of the cluster, if it does.
func meaningOfCluster(from *Cluster) *clusterMeaning {
	if from == nil {
		return nil
	}
	said := &clusterMeaning{
		Name: from.Name, Image: from.Image, Env: from.Env, CmdArgs: from.CmdArgs, Cmd: orNothing(from.Cmd), AppNames: orNothing(from.AppNames),
		Aliases: from.Aliases, Registry: from.Registry, DataRoot: from.DataRoot, Apps: map[string]appMeaning{},
	}
	for _, h := range from.Hosts {
		one := hostMeaning{Address: h.Address.String(), Role: string(h.Role), Roles: h.Roles, SSH: h.SSH, Env: h.Env, Labels: h.Labels}
		for _, taint := range h.Taints {
			one.Taints = append(one.Taints, taint.String())
		}
		said.Hosts = append(said.Hosts, one)
	}
	for name, a := range from.Apps {
		said.Apps[name] = appMeaning{a.Env, orNothing(a.Cmds)}
	}
	return said
}

// meaning is what a Clusterfile says, as YAML.
func meaning(t *testing.T, c *Clusterfile) string {
	t.Helper()
	said := struct {
		Cluster  *clusterMeaning           `yaml:",omitempty"`
		Kubeadm  map[string]map[string]any `yaml:",omitempty"`
		Configs  []map[string]any          `yaml:",omitempty"`
		Plugins  []plugin.Plugin           `yaml:",omitempty"`
		Warnings []string                  `yaml:",omitempty"`
	}{Cluster: meaningOfCluster(c.Cluster), Kubeadm: c.Kubeadm, Plugins: c.Plugins, Warnings: c.Warnings}
	for _, one := range c.Configs {
		said.Configs = append(said.Configs, map[string]any{
			"name": one.Name, "file": one.File(), "data": one.Data, "strategy": one.Strategy, "process": one.Process, "where": one.Where,
		})
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(said); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// orNothing tells a list that is not there from an empty one.
func orNothing(list []string) any {
	if list == nil {
		return nil
	}
	return list
}
