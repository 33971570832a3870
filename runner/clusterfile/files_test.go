package clusterfile

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const (
	clusterText = "apiVersion: sealer.io/v2\nkind: Cluster\nmetadata: {name: c}\nspec: {image: k, hosts: [{ips: [10.0.0.1], roles: [master]}]}\n"
	configText  = "apiVersion: sealer.io/v2\nkind: Config\nmetadata: {name: NAME}\nspec: {path: etc/x, data: x}\n"
)

// write makes files and returns their directory.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func configDocument(name string) string { return strings.ReplaceAll(configText, "NAME", name) }

func TestReadFiles(t *testing.T) {
	dir := write(t, map[string]string{
		"b.yaml": configDocument("b"), "a.yml": configDocument("a") + "---\n" + configDocument("a2"), "Clusterfile": clusterText, "notes.txt": "nothing of ours", ".yaml.swp": "\x00",
	})
	if err := os.Mkdir(filepath.Join(dir, "more.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, stdin string
		files       []string
		want        string // names of Configs, in the order read
	}{
		{"a directory", "", []string{dir}, "Clusterfile a a2 b"},
		{"files", "", []string{dir + "/b.yaml", dir + "/Clusterfile"}, "b Clusterfile"},
		{"the standard input", clusterText + "---\n" + configDocument("s"), []string{"-"}, "Clusterfile s"},
		{"the standard input and a file", configDocument("s"), []string{dir + "/Clusterfile", "-"}, "Clusterfile s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Read(strings.NewReader(test.stdin), test.files...)
			if err != nil {
				t.Fatal(err)
			}
			if got.Cluster == nil {
				t.Error("no cluster")
			}
			var names []string
			for _, c := range got.Configs {
				names = append(names, c.Name)
			}
			want := strings.Fields(strings.ReplaceAll(test.want, "Clusterfile", ""))
			equal(t, "configs", names, want)
		})
	}
}

func TestReadRefusesFiles(t *testing.T) {
	dir := write(t, map[string]string{"one": clusterText, "two": "# two\n" + clusterText, "wrong": "\nkind: x\n", "large": "# " + strings.Repeat("x", maxSize)})
	empty, pipes := t.TempDir(), t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(pipes, "pipe.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		files []string
		want  string
	}{
		{"none", []string{dir + "/nowhere"}, dir + "/nowhere: no such file"},
		{"a named pipe", []string{pipes + "/pipe.yaml"}, pipes + "/pipe.yaml is a named pipe, not a regular file; give a file, or - for the standard input"},
		{"a named pipe in a directory", []string{pipes}, pipes + "/pipe.yaml is a named pipe"},
		{"a device", []string{"/dev/zero"}, "/dev/zero is a device, not a regular file"},
		{"an empty directory", []string{empty}, empty + ": no *.yaml, *.yml or Clusterfile is in it"},
		{"two clusters", []string{dir + "/one", dir + "/two"}, dir + "/two:2:1: a second Cluster, the first is at " + dir + "/one:1:1"},
		{"the place", []string{dir + "/one", dir + "/wrong"}, dir + "/wrong:2:1: a document needs apiVersion"},
		{"too large", []string{dir + "/large"}, dir + "/large: the Clusterfiles are larger than"},
		{"too large on the standard input", []string{"-"}, "-: the Clusterfiles are larger than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Read(strings.NewReader(strings.Repeat("x", maxSize+1)), test.files...)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// Plugins of an image are documents of one kind.
func TestPluginsOfAnImage(t *testing.T) {
	for _, text := range []string{clusterText, configDocument("a"), "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n"} {
		if _, _, err := Plugins("plugins/x.yaml", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), "plugins/x.yaml: only documents of kind Plugin") {
			t.Errorf("error %v of\n%s", err, text)
		}
	}
	plugins, warnings, err := Plugins("plugins/x.yaml", []byte("apiVersion: sealer.io/v2\nkind: Plugin\nmetadata: {name: p}\nspec: {type: SHELL, action: PreInit, on: gpu, data: x}\n"))
	if err != nil || len(plugins) != 1 || warnings != nil {
		t.Errorf("%v, %q, %v: a role that the site has no host for is for the site to look at", plugins, warnings, err)
	}
}
