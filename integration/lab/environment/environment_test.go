package environment

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	out := t.TempDir()
	if _, err := Read(out); !errors.Is(err, ErrDown) {
		t.Errorf("without a file: %v", err)
	}
	want := Environment{BuildKitHost: "unix:///run/b=c.sock", Registry: "127.0.0.1:5000", Bin: "/bin"}
	if err := want.Write(out); err != nil {
		t.Fatal(err)
	}
	got, err := Read(out)
	if err != nil || *got != want {
		t.Errorf("read %+v, %v; want %+v", got, err, want)
	}
	if !slices.Contains(want.Lines(), "BUILDKIT_HOST=unix:///run/b=c.sock") {
		t.Errorf("lines %q", want.Lines())
	}
}

func TestUnusableFileIsRefused(t *testing.T) {
	for content, registry := range map[string]string{
		"BUILDKIT_HOST\n":           "",
		"REGISTRY=127.0.0.1:5000\n": "127.0.0.1:5000", // of an older version: what it says may still be of use
	} {
		out := t.TempDir()
		if err := os.WriteFile(filepath.Join(out, File), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		env, err := Read(out)
		if err == nil || errors.Is(err, ErrDown) {
			t.Errorf("%q gives %+v, %v", content, env, err)
		}
		if registry != "" && (env == nil || env.Registry != registry) {
			t.Errorf("%q gives %+v", content, env)
		}
	}
}
