package main

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	spdxjson "github.com/spdx/tools-golang/json"
)

func TestCheckVersion(t *testing.T) {
	for _, version := range []string{"v0.1.0", "v10.20.30", "v1.0.0-rc.1", "v1.0.0-0a", "v1.0.0-x-y.7"} {
		if err := checkVersion(version); err != nil {
			t.Error(err)
		}
	}
	for _, version := range []string{"", "0.1.0", "v0.1", "v1", "v01.0.0", "v1.0.0-", "v1.0.0-01", "v1.0.0-a..b", "v1.0.0+x", "v1.0.0 ", "v1.0.0\n", "../v1.0.0", "v1.0.0-ä"} {
		if err := checkVersion(version); err == nil || !strings.Contains(err.Error(), "vMAJOR.MINOR.PATCH") {
			t.Errorf("%q: got %v, want a hint", version, err)
		}
	}
}

func TestNoVersion(t *testing.T) {
	if err := checkVersion(""); err == nil || !strings.Contains(err.Error(), "no version given") || !strings.Contains(err.Error(), "make release VERSION=v0.1.0") {
		t.Errorf("got %v, want what is missing and an example", err)
	}
}

func TestCutNotes(t *testing.T) {
	const text = "# Changelog\n\nAll of it.\n\n## [Unreleased]\n\n### Added\n\n- new\n\n## [0.2.0] - 2026-11-01\n\n### Fixed\n\n- two\n\n## v0.1.0\n\n- one\n\n[Unreleased]: https://example.com\n[0.2.0]: https://example.com\n"
	for version, want := range map[string]struct{ notes, section string }{
		"v0.2.0": {"### Fixed\n\n- two\n", "0.2.0"}, "v0.1.0": {"- one\n", "v0.1.0"},
		"v0.3.0": {"### Added\n\n- new\n", unreleased}, "v0.2.0-rc.1": {"### Added\n\n- new\n", unreleased},
	} {
		if notes, section, err := cutNotes(text, version); err != nil || notes != want.notes || section != want.section {
			t.Errorf("%s: got %q of section %s, %v, want %q", version, notes, section, err, want)
		}
	}
	for _, text := range []string{"", "# Changelog\n## [Unreleased]\n\n## [0.1.0]\n- one\n"} {
		if got, _, err := cutNotes(text, "v0.3.0"); err == nil || !strings.Contains(err.Error(), "[0.3.0]") {
			t.Errorf("got %q, %v, want an error that names the section", got, err)
		}
	}
}

// TestForRelease: in the text of a release, GitHub keeps line breaks inside paragraphs, and resolves no relative links.
func TestForRelease(t *testing.T) {
	const notes = `### Added

One paragraph
on two lines.
- An item that goes on,
  with a [page](docs/checks/README.md#why), an [image](imagespec/SPEC.md), another
  [site](https://example.com/a) and an [anchor](#added).
  - Nested, and on
    two lines.
* Other item
1. First
   item

  A second paragraph
  of the item.

` + "```" + `sh
make release
  [a](b)
` + "```" + `

| a | b |
|---|---|
| 1 | [2](docs/x.md) |

    code
    [a](b)
`
	const want = `### Added

One paragraph on two lines.
- An item that goes on, with a [page](https://github.com/kubefile/kubefile/blob/v0.1.0/docs/checks/README.md#why), an [image](https://github.com/kubefile/kubefile/blob/v0.1.0/imagespec/SPEC.md), another [site](https://example.com/a) and an [anchor](#added).
  - Nested, and on two lines.
* Other item
1. First item

  A second paragraph of the item.

` + "```" + `sh
make release
  [a](b)
` + "```" + `

| a | b |
|---|---|
| 1 | [2](https://github.com/kubefile/kubefile/blob/v0.1.0/docs/x.md) |

    code
    [a](b)
`
	if got := forRelease(notes, "v0.1.0"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestNotesOfThisChangelog wants no line of it that continues another.
func TestNotesOfThisChangelog(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", changelog))
	if err != nil {
		t.Fatal(err)
	}
	notes, _, err := cutNotes(string(data), "v0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(forRelease(notes, "v0.0.1")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "- ") && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "**") {
			t.Errorf("a line of its own: %s", line)
		}
		if strings.Contains(line, "](docs/") {
			t.Errorf("a relative link: %s", line)
		}
	}
}

// pemOf is a key as openssl writes it.
func pemOf(t *testing.T, kind string, der []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestSign(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	forms := [][]byte{pemOf(t, "PRIVATE KEY", pkcs8, err)}
	sec1, err := x509.MarshalECPrivateKey(key)
	forms = append(forms, append([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"), pemOf(t, "EC PRIVATE KEY", sec1, err)...))
	var first []byte
	for _, form := range forms {
		parsed, err := parseKey(form)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := sign(parsed, []byte("data"))
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && !bytes.Equal(first, signature) {
			t.Errorf("got signature %s, want %s again", signature, first)
		}
		first = signature
	}
	raw, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(first)))
	sum := sha256.Sum256([]byte("data"))
	if err != nil || !ecdsa.VerifyASN1(&key.PublicKey, sum[:], raw) {
		t.Errorf("signature %s (%v) does not verify", first, err)
	}
}

func TestOtherKeys(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := x509.MarshalECPrivateKey(other)
	curve := pemOf(t, "EC PRIVATE KEY", p384, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	legacy := &pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: []byte("secret")}
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"legacy":      {pem.EncodeToMemory(legacy), "encrypted"},
		"not PEM":     {[]byte("secret"), "no PEM block"},
		"curve":       {curve, "P-256"},
		"RSA":         {pemOf(t, "PRIVATE KEY", pkcs8, err), "P-256"},
		"encrypted":   {pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("secret")}), "encrypted"},
		"public":      {pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("secret")}), "PUBLIC KEY"},
		"not a key":   {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret")}), "malformed"},
		"not ASN.1":   {pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("secret")}), "malformed"},
		"params only": {pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte("x")}), "no PEM block"},
	} {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, test.data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := readKey(file)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want an error with %q, and none with the key", name, err, test.want)
			continue
		}
		advice := "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out " + file + ".new"
		if test.want == "encrypted" {
			advice = "openssl pkey -in " + file + " -out " + file + ".new"
		}
		if !strings.HasSuffix(err.Error(), advice) {
			t.Errorf("%s: got %v, want the advice %q", name, err, advice)
		}
	}
}

// TestAdviceOverwritesNothing: the advice about a key is a command that writes a file of another name than those that are there.
func TestAdviceOverwritesNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	for i, want := range []string{"", file + ".new", file + ".new.new", file + ".new.new.new"} {
		if i > 0 {
			_, err := readKey(file)
			if err == nil || !strings.HasSuffix(err.Error(), " -out "+want) {
				t.Errorf("got %v, want -out %s", err, want)
			}
		}
		if err := os.WriteFile(cmp.Or(want, file), []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDocument(t *testing.T) {
	r := &release{version: "v0.1.0", commit: "0123", date: time.Date(2026, 11, 29, 13, 0, 0, 0, time.FixedZone("", 3600))}
	build := &debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Path: "github.com/kubefile/kubefile"}, Deps: []*debug.Module{
		{Path: "example.com/a", Version: "v1.2.3"},
		{Path: "example.com/b", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/c", Version: "v2.0.0"}},
	}}
	var out, again bytes.Buffer
	for _, to := range []*bytes.Buffer{&out, &again} {
		if err := spdxjson.Write(r.document("sealer-run-linux-amd64", "aa", build), to); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(out.Bytes(), again.Bytes()) {
		t.Error("the same binary gives two documents")
	}
	doc, err := spdxjson.Read(&out)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range doc.Packages {
		names = append(names, p.PackageName+" "+p.PackageVersion)
	}
	if want := []string{"sealer-run-linux-amd64 v0.1.0", "stdlib 1.26.8", "example.com/a v1.2.3", "example.com/c v2.0.0"}; !slices.Equal(names, want) {
		t.Errorf("got packages %q, want %q", names, want)
	}
	if doc.SPDXVersion != "SPDX-2.3" || doc.CreationInfo.Created != "2026-11-29T12:00:00Z" || len(doc.Relationships) != 4 {
		t.Errorf("got %s of %s with %d relationships", doc.SPDXVersion, doc.CreationInfo.Created, len(doc.Relationships))
	}
}
