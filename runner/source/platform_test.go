package source

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
)

// hostileLayout is an image of a runner whose platform is what the artifact says, under an index that says another.
func hostileLayout(t *testing.T, config ocispec.Platform, described *ocispec.Platform) string {
	t.Helper()
	dir := t.TempDir()
	sourcetest.Layout(t, dir, []string{config.Architecture}, sourcetest.Layer{Tar: sourcetest.Tar(t,
		sourcetest.Entry{Name: ".kubefile/", Type: tar.TypeDir},
		sourcetest.Entry{Name: imagespec.RunnerPath, Content: "overwritten", Mode: 0o755})})
	name := filepath.Join(dir, ocispec.ImageIndexFile)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var index ocispec.Index
	if err := json.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	index.Manifests[0].Platform = described
	if data, err = json.Marshal(index); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestThePlatformIsTheOneThatWasChosen(t *testing.T) {
	linux := func(architecture string) ocispec.Platform {
		return ocispec.Platform{OS: "linux", Architecture: architecture}
	}
	amd64, arm64 := linux("amd64"), linux("arm64")
	for name, test := range map[string]struct {
		config    string
		described *ocispec.Platform
		chosen    ocispec.Platform
		want      error
	}{
		"same":                   {"amd64", &amd64, amd64, nil},
		"nothing described":      {"amd64", nil, amd64, nil},
		"config for another":     {"arm64", &amd64, amd64, imagespec.ErrInvalid},
		"both for another":       {"arm64", &arm64, amd64, ErrPlatform},
		"config is a path":       {"x/../../f", &amd64, amd64, imagespec.ErrInvalid},
		"config and choice are":  {"x/../../f", nil, linux("x/../../f"), imagespec.ErrInvalid},
		"all three are":          {"../f", &ocispec.Platform{OS: "linux", Architecture: "../f"}, linux("../f"), imagespec.ErrInvalid},
		"absolute":               {"/f", nil, linux("/f"), imagespec.ErrInvalid},
		"a variant is a path":    {"amd64", &ocispec.Platform{OS: "linux", Architecture: "amd64", Variant: "../f"}, amd64, nil},
		"architecture and colon": {"amd64:x", nil, linux("amd64:x"), imagespec.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			artifact, err := Open(t.Context(), hostileLayout(t, linux(test.config), test.described), Options{Platform: test.chosen})
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err == nil {
				artifact.Close()
			}
		})
	}
}

// TestNothingOfTheArtifactIsInAPath: even an artifact that nobody has checked writes its runner where it is told to.
func TestNothingOfTheArtifactIsInAPath(t *testing.T) {
	artifact, err := Open(t.Context(), hostileLayout(t, ocispec.Platform{OS: "linux", Architecture: "amd64"}, nil),
		Options{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	if err != nil {
		t.Fatal(err)
	}
	defer artifact.Close()
	parent := t.TempDir()
	dir, victim := filepath.Join(parent, "dir"), filepath.Join(parent, "victim")
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "sealer-run-x"), 0o755), os.WriteFile(victim, []byte("untouched"), 0o644)); err != nil {
		t.Fatal(err)
	}
	artifact.Name = "../../victim"
	artifact.Config.Architecture = "x/../../victim"
	artifact.Description.Platform = artifact.Config.Platform
	artifact.Digest = digest.Digest("sha256:../../victim")
	file, _, _, err := artifact.Runner(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(file) != dir {
		t.Errorf("written to %s", file)
	}
	if data, err := os.ReadFile(victim); err != nil || string(data) != "untouched" {
		t.Errorf("%q, %v", data, err)
	}
}
