//go:build hosts

package hosts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCleanOfALabThatIsUp: make clean deletes nothing while disks are mounted below _out or a service runs there, and prints what stops them.
func TestCleanOfALabThatIsUp(t *testing.T) {
	mounted := func(at string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			point := filepath.Join(dir, "_out", at)
			if err := os.MkdirAll(point, 0o755); err != nil {
				t.Fatal(err)
			}
			for _, command := range [][]string{{"mount", "-t", "tmpfs", "disk", point}, {"touch", point + "/data"}} {
				if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
					t.Fatalf("%q: %v\n%s", command, err, out)
				}
			}
			t.Cleanup(func() { exec.Command("umount", point).Run() })
		}
	}
	service := func(t *testing.T, dir string) {
		script := filepath.Join(dir, "_out/bin/registry")
		writeScript(t, script, "echo '{\"pid\":'$$'}' > "+dir+"/_out/lab/registry.json; read -r")
		cmd := exec.Command(script)
		if err := os.MkdirAll(dir+"/_out/lab", 0o755); err != nil {
			t.Fatal(err)
		}
		input, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { input.Close(); cmd.Wait() })
		until(t, "the service runs", func() bool {
			data, err := os.ReadFile(dir + "/_out/lab/registry.json")
			return err == nil && len(data) > 0
		})
	}
	for _, c := range []struct {
		name, want string
		up         []func(t *testing.T, dir string)
	}{
		{"nothing", "", nil},
		{"hosts", "stop it first: make hosts-down\n", []func(*testing.T, string){mounted("hosts/pool"), mounted("hosts-kt/h1")}},
		{"hosts of a lab with another name", "stop it first: LAB_NAME=kg make hosts-down\n", []func(*testing.T, string){mounted("hosts-kg/h 1")}},
		{"a service", "stop it first: make down\n", []func(*testing.T, string){service}},
		{"both", "stop it first: make hosts-down && LAB_NAME=kg make hosts-down down\n", []func(*testing.T, string){mounted("hosts"), mounted("hosts-kg"), service}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			top, err := filepath.Abs("../..")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(filepath.Join(top, "integration"), filepath.Join(dir, "integration")); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Join(dir, "_out/test"), 0o755); err != nil {
				t.Fatal(err)
			}
			for _, start := range c.up {
				start(t, dir)
			}
			clean := exec.Command("make", "-f", filepath.Join(top, "Makefile"), "clean")
			clean.Dir = dir
			out, err := clean.CombinedOutput()
			_, gone := os.Stat(filepath.Join(dir, "_out/test"))
			if (err != nil) != (c.want != "") || os.IsNotExist(gone) != (c.want == "") || !strings.Contains(string(out), c.want) {
				t.Errorf("make clean: error %v, _out/test: %v, want %q in:\n%s", err, gone, c.want, out)
			}
		})
	}
}
