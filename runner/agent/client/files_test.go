package client

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/agent/wire"
)

// TestObserve: each requested file has a digest, and its content if that was requested and is short. Nothing is concluded about files that were not
// requested, or about paths that are not files.
func TestObserve(t *testing.T) {
	const longest = 256 << 10 // of which the content is observed
	c, dir := newHost(t), t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	long := strings.Repeat("x", longest+1)
	for name, content := range map[string]string{"a.done": "done\n", "long.done": long, "key": "secret", "empty.done": "", "other": "x"} {
		if err := os.WriteFile(file(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(file("directory.done"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", file("dangling.done")); err != nil {
		t.Fatal(err)
	}
	o, err := c.Observe(t.Context(), wire.Files{Contents: []string{file("*.done")}, Digests: []string{file("key"), file("none")}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		content, digested string // empty if the file does not exist
		noContent, none   bool   // it is not known
	}{
		"a.done":         {content: "done\n", digested: "done\n"},
		"long.done":      {digested: long, noContent: true},
		"key":            {digested: "secret", noContent: true},
		"none":           {noContent: true},
		"none.done":      {},
		"dangling.done":  {},
		"directory.done": {noContent: true, none: true},
		"other":          {noContent: true, none: true},
	} {
		content, known := o.Content(file(name))
		if known == want.noContent || !bytes.Equal(content, []byte(want.content)) {
			t.Errorf("%s has the content %.20q (known: %v), want %.20q (known: %v)", name, content, known, want.content, !want.noContent)
		}
		sum, known := o.Digest(file(name))
		wanted := digest.Digest("")
		if want.digested != "" {
			wanted = digest.FromString(want.digested)
		}
		if known == want.none || sum != wanted {
			t.Errorf("%s has the digest %q (known: %v), want %q (known: %v)", name, sum, known, wanted, !want.none)
		}
	}
	if sum, known := o.Digest(file("empty.done")); !known || sum != digest.FromString("") {
		t.Errorf("an empty file has the digest %q (known: %v), want %q", sum, known, digest.FromString(""))
	}
	if strings.Contains(string(o.Files[file("key")].Content), "secret") {
		t.Error("the content of a file was sent of which only the digest was asked for")
	}
}
