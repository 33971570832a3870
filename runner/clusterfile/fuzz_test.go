package clusterfile

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	format "github.com/kubefile/kubefile/imagespec/clusterfile"
)

// FuzzParse: what is read is read in time, and written again means the same; what is not has a place.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/cases/*/Clusterfile", "testdata/cases/*/shell.yaml"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	for _, name := range []string{"read.txt", "refused.txt"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		for _, entry := range strings.Split(string(data), "=== ")[1:] {
			_, rest, _ := strings.Cut(entry, "\n")
			input, _, _ := strings.Cut(rest, "\n=>\n")
			f.Add([]byte(input))
		}
	}
	place := regexp.MustCompile(`^Clusterfile:\d+(:\d+)?: `)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("Clusterfile", data)
		if err != nil {
			if !place.MatchString(err.Error()) {
				t.Fatalf("no place: %v", err)
			}
			return
		}
		if c.Cluster == nil {
			return
		}
		if len(c.Cluster.Cmd) == 0 { // an empty list is not written
			c.Cluster.Cmd = nil
		}
		if len(c.Cluster.AppNames) == 0 {
			c.Cluster.AppNames = nil
		}
		text, err := encode(written(c.Cluster))
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("Clusterfile", text)
		if err != nil {
			t.Fatalf("%v of its own\n%s", err, text)
		}
		only := &Clusterfile{Cluster: c.Cluster}
		only.Cluster.Apps = nil // another document
		if before, after := meaning(t, only), meaning(t, again); before != after {
			t.Fatalf("written as\n%s\nit means\n%s\nin place of\n%s", text, after, before)
		}
	})
}

// written is the document that says what a cluster is.
func written(c *Cluster) *format.ClusterDocument {
	d := NewDocument(c.Name, c.Image, "", "")
	d.Spec.Registry, d.Spec.DataRoot, d.Spec.Cmd, d.Spec.AppNames = c.Registry, c.DataRoot, c.Cmd, c.AppNames
	d.Spec.Env = format.Env{}
	for name, value := range c.Env {
		d.Spec.Env[name] = value
	}
	for name, values := range c.CmdArgs {
		for _, value := range values {
			d.Spec.CmdArgs = append(d.Spec.CmdArgs, name+"="+value)
		}
	}
	for _, alias := range c.Aliases {
		d.Spec.HostAliases = append(d.Spec.HostAliases, format.HostAlias{IP: alias.Address.String(), Hostnames: alias.Names})
	}
	for _, h := range c.Hosts {
		one := format.HostSpec{IPs: []string{h.Address.String()}, Roles: append([]string{string(h.Role)}, h.Roles...), SSH: h.SSH, Labels: h.Labels, Env: format.Env{}}
		for name, value := range h.Env {
			one.Env[name] = value
		}
		for _, taint := range h.Taints {
			one.Taints = append(one.Taints, taint.String())
		}
		d.Spec.Hosts = append(d.Spec.Hosts, one)
	}
	return d
}

// TestBounded reads what grows when it is read.
func TestBounded(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for name, text := range map[string]string{
		"documents":      strings.Repeat("---\n", maxSize/4),
		"small ones":     strings.Repeat("---\na\n", maxSize/6),
		"errors":         "kind: Cluster\napiVersion: sealer.io/v2\nspec: {" + strings.Repeat("\n", 10) + strings.TrimSuffix(strings.Repeat("x, ", 90_000), ", ") + "}\n",
		"long texts":     "a: &a " + long + "\nb: [" + strings.TrimSuffix(strings.Repeat("*a, ", 90_000), ", ") + "]\n",
		"a long field":   "kind: Cluster\napiVersion: sealer.io/v2\n" + long + ": x\n",
		"brackets":       strings.Repeat("[", maxSize),
		"many addresses": strings.Replace(clusterText, "[10.0.0.1]", "["+strings.TrimSuffix(strings.Repeat("10.0.0.1-10.0.4.0, ", 1_000), ", ")+"]", 1),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("Clusterfile", []byte(text))
			if name != "documents" && err == nil {
				t.Error("it is read")
			}
			if err != nil && len(err.Error()) > 2_000_000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}
