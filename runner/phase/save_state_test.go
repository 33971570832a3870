package phase

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/state"
)

// TestSameImageByAnotherName: an image is what its digest says. A further name of it is no change, and is saved with none. A file is saved with
// a name by which a later run finds it, whatever directory that is started in.
func TestSameImageByAnotherName(t *testing.T) {
	for _, app := range []string{"", "redis"} {
		t.Run("image "+app, func(t *testing.T) {
			p := newPark(t, 1, 0).joined(1)
			p.Artifact, p.App = artifact(t), app
			p.Artifact.Kind = source.KindArchive
			dir := t.TempDir()
			t.Chdir(dir)
			p.Artifact.Name = "/media/usb/redis.tar"
			save := func(want string) {
				t.Helper()
				if err := (&saveState{p.Cluster}).Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				saved, err := state.Parse(p.world.secret)
				if err != nil {
					t.Fatal(err)
				}
				name := saved.Image
				if app != "" && len(saved.Apps) == 1 {
					name = saved.Apps[0].Image
				}
				if name != want {
					t.Errorf("the state has the image %q, want %q", name, want)
				}
			}
			save("/media/usb/redis.tar")
			p.Artifact.Name = "redis.tar"
			p.out.Reset()
			if app != "" {
				if err := (&rejoin{p.Cluster}).Run(t.Context()); err != nil || strings.Contains(p.out.String(), "replaces") {
					t.Errorf("error is %v, said %q", err, p.out)
				}
			}
			save("/media/usb/redis.tar")
			if n := len(p.Report.Changes()); n != 1 {
				t.Errorf("got %d changes, want 1:\n%s", n, p.plan(t))
			}
			p.Artifact.Digest = digest.FromString("another image")
			save(filepath.Join(dir, "redis.tar"))
		})
	}
}
