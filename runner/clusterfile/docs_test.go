package clusterfile

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	format "github.com/kubefile/kubefile/imagespec/clusterfile"
	"github.com/kubefile/kubefile/runner/kubeadm"
)

// page is a page of the documentation, by its path in the repository.
func page(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const reference = "docs/clusterfile.md"

// TestDocumentation reads every example of the README and of the reference, in which there is one for every kind.
func TestDocumentation(t *testing.T) {
	if seen := readExamples(t, "README.md"); !seen["Cluster"] {
		t.Error("no Cluster in the README")
	}
	seen := readExamples(t, reference)
	for _, kind := range append(format.Kinds(), "ClusterConfiguration", "KubeletConfiguration", "KubeProxyConfiguration") {
		if !seen[kind] {
			t.Errorf("no example of %s", kind)
		}
	}
}

// readExamples reads those of a page and returns their kinds.
func readExamples(t *testing.T, name string) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	for _, example := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page(t, name), -1) {
		text := example[1]
		documents, err := format.Parse(name, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range documents {
			seen[d.Field("kind").Value] = true
		}
		if !strings.Contains(text, "kind: Cluster\n") { // an Application wants one
			text += "---\napiVersion: sealer.io/v2\nkind: Cluster\nspec:\n  hosts:\n  - {ips: [192.168.0.2], roles: [master]}\n  - {ips: [192.168.0.5-192.168.0.7], roles: [node]}\n"
		}
		read, err := Parse(name, []byte(text))
		if err != nil {
			t.Errorf("%v in:\n%s", err, text)
		} else if read.Warnings != nil {
			t.Errorf("warnings %q of:\n%s", read.Warnings, text)
		}
	}
	return seen
}

// TestDocumentationNamesEveryField goes through the types.
func TestDocumentationNamesEveryField(t *testing.T) {
	text := page(t, reference)
	count := 0
	for _, document := range []reflect.Type{
		reflect.TypeFor[format.ClusterDocument](), reflect.TypeFor[format.OldClusterDocument](), reflect.TypeFor[format.ConfigDocument](),
		reflect.TypeFor[format.PluginDocument](), reflect.TypeFor[format.ApplicationDocument](),
	} {
		// A type that stands in several places is told in the first.
		seen := map[reflect.Type]bool{reflect.TypeFor[format.Env](): true}
		var visit func(t reflect.Type, path string)
		visit = func(of reflect.Type, path string) {
			for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
				if of.Kind() == reflect.Slice {
					path += "[]"
				}
				of = of.Elem()
			}
			if of.Kind() != reflect.Struct || seen[of] {
				return
			}
			seen[of] = true
			for field := range of.Fields() {
				name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
				if name == "" || name == "-" {
					continue
				}
				full := strings.TrimPrefix(path+"."+name, ".")
				if count++; !strings.Contains(text, "`"+full+"`") && full != "apiVersion" && full != "kind" && full != "metadata" && full != "spec" {
					t.Errorf("docs/clusterfile.md does not describe the field %s of %s", full, document.Name())
				}
				for _, other := range strings.Fields(field.Tag.Get("also")) {
					if !strings.Contains(text, "`"+path+"."+other+"`") && !strings.Contains(text, "`"+other+"`") {
						t.Errorf("docs/clusterfile.md does not describe %s, another name of the field %s of %s", other, full, document.Name())
					}
				}
				visit(field.Type, full)
			}
		}
		visit(document, "")
	}
	if count < 80 {
		t.Errorf("only %d fields", count)
	}
	for _, version := range format.APIVersions() {
		group, version, _ := strings.Cut(version, "/")
		if !strings.Contains(text, "`"+group+"`") || !strings.Contains(text, "`"+version+"`") {
			t.Errorf("docs/clusterfile.md does not name %s/%s", group, version)
		}
	}
	for _, kind := range kubeadm.Kinds() {
		if !strings.Contains(text, "`"+kind+"`") {
			t.Errorf("docs/clusterfile.md does not name %s", kind)
		}
	}
}
