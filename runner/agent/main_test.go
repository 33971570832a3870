package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/wire"
)

// TestUmaskOfTheLogin does not show in what is made.
func TestUmaskOfTheLogin(t *testing.T) {
	root := t.TempDir()
	cluster := filepath.Join(root, "var", "lib", "sealer", "data", "default")
	defer syscall.Umask(syscall.Umask(0o077))
	path := filepath.Join(root, "etc", "made", "file")
	request, err := json.Marshal(wire.FileRequest{Dir: cluster, Path: path, Mode: 0o644})
	if err != nil {
		t.Fatal(err)
	}
	if err := Main(t.Context(), []string{wire.VerbWrite, string(request)}, strings.NewReader("x"), io.Discard); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{path: 0o644, filepath.Dir(path): fs.ModeDir | 0o755, cluster: fs.ModeDir | 0o755} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

// TestMainEndsWithItsContext though nothing comes on its input.
func TestMainEndsWithItsContext(t *testing.T) {
	stuck, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Main(ctx, []string{wire.VerbWrite, `{"path":"/x"}`}, stuck, io.Discard); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestRefusedCalls(t *testing.T) {
	for _, args := range [][]string{nil, {wire.VerbHave}, {"unknown", "{}"}, {wire.VerbHave, "no JSON"}, {wire.VerbHave, "{}"}, {wire.VerbHave, "{}", "x"}} {
		var out strings.Builder
		if err := Main(t.Context(), args, strings.NewReader(""), &out); err == nil || out.Len() != 0 {
			t.Errorf("%q: %v, %q", args, err, out.String())
		}
	}
}
