package repository

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// put writes an executable file of a directory that stands for a clone.
func put(t *testing.T, root, name, text string) {
	t.Helper()
	name = filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// TestFrontendImageDoesNotDependOnTheUmask fills the image's directory with another go and other tools than the real ones.
func TestFrontendImageDoesNotDependOnTheUmask(t *testing.T) {
	root := t.TempDir()
	put(t, root, "frontend/image.sh", read(t, filepath.Join(repositoryRoot(t), "frontend", "image.sh")))
	put(t, root, "frontend/toolbox/launch", "#!/bin/sh\n")
	put(t, root, "version/version.sh", "#!/bin/sh\n")
	put(t, root, "_out/bin/busybox-arm64", "#!/bin/sh\necho ls\n")
	put(t, root, "_out/bin/bash-arm64", "#!/bin/sh\n")
	put(t, root, "fakes/go", `#!/bin/sh
[ "$1" = env ] && { echo arm64; exit; }
while [ "$1" != -o ]; do shift; done
echo program > "$2"
chmod u+x "$2"
`)
	for _, umask := range []string{"022", "077"} {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", "umask "+umask+" && frontend/image.sh arm64")
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "PATH="+filepath.Join(root, "fakes")+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("umask %s: %v: %s", umask, err, out)
		}
		var programs []string
		image := filepath.Join(root, "_out", "frontend", "linux-arm64")
		err := filepath.WalkDir(image, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.Type() == fs.ModeSymlink {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			if got := info.Mode().Perm(); got != 0o755 {
				t.Errorf("umask %s: %s has the mode %o, want 755", umask, path, got)
			}
			if !entry.IsDir() {
				programs = append(programs, entry.Name())
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Join(programs, " "), "sealer-run bash busybox kubefile-frontend launch"; got != want {
			t.Errorf("programs: got %q, want %q", got, want)
		}
	}
}
