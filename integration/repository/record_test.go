package repository

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What the example's record.sh puts back is what was there, and what others changed since is not lost.
func TestRecordOfTheExample(t *testing.T) {
	root := t.TempDir()
	in := func(name string) string { return filepath.Join(root, name) }
	put := func(name, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(in(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(in(name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	script, err := os.ReadFile("../../examples/kubernetes/scripts/record.sh")
	if err != nil {
		t.Fatal(err)
	}
	put("cluster/rootfs/scripts/record.sh", string(script))
	put("cluster/created.json", fmt.Sprintf("{\"digest\": \"sha256:%x\"}", sha256.Sum256([]byte("the runner's"))))
	put("cluster/rootfs/ours", "ours")
	put("etc/kept", "original")
	put("etc/kept-and-edited", "original")
	put("var/data/foreign", "foreign")
	sh := func(text string) string {
		t.Helper()
		cmd := exec.Command("sh", "-euc", ". scripts/record.sh\n"+text, "sh", root)
		cmd.Dir = in("cluster/rootfs")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	sh(`start_record
record_dir "$1/var/data" "$1/var/new"
record_conf_dir "$1/etc/conf"
for name in kept kept-and-edited new new-and-edited conf/ours conf/ours-and-edited; do put ours "$1/etc/$name" 644; done`)
	put("var/data/ours", "ours")
	put("var/new/ours", "ours")
	put("etc/conf/certs.d/unchanged/hosts.toml", "the runner's")
	put("etc/conf/certs.d/edited/hosts.toml", "the runner's, edited")
	for _, name := range []string{"etc/kept-and-edited", "etc/new-and-edited", "etc/conf/ours-and-edited"} {
		put(name, "ours, edited")
	}
	said := sh("set +e; restore_files")
	for name, want := range map[string]string{
		"etc/kept": "original", "etc/kept-and-edited": "ours, edited", "etc/kept-and-edited.before-kubefile": "original",
		"etc/new": "", "etc/new-and-edited": "ours, edited", "etc/conf/ours": "", "etc/conf/ours-and-edited": "ours, edited",
		"etc/conf/certs.d/unchanged/hosts.toml": "", "etc/conf/certs.d/edited/hosts.toml": "the runner's, edited",
		"var/data/foreign": "foreign", "var/new/ours": "",
	} {
		got, err := os.ReadFile(in(name))
		if (err != nil) != (want == "") || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"etc/kept-and-edited", "etc/new-and-edited", "etc/conf/ours-and-edited"} {
		if !strings.Contains(said, "left: "+in(name)+", ") {
			t.Errorf("%s is not named in\n%s", name, said)
		}
	}
}
