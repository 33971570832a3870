//go:build release

package release

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubefile/kubefile/version"
)

// released are the files of release v1.2.3.
var released = []string{
	"RELEASE-NOTES.md", "SHA256SUMS", "SHA256SUMS.sig",
	"sealer-run-1.2.3-1.aarch64.rpm", "sealer-run-1.2.3-1.x86_64.rpm",
	"sealer-run-linux-amd64", "sealer-run-linux-amd64.spdx.json", "sealer-run-linux-arm64", "sealer-run-linux-arm64.spdx.json",
	"sealer-run_1.2.3-1_amd64.deb", "sealer-run_1.2.3-1_arm64.deb",
}

func TestRelease(t *testing.T) {
	dir := clone(t)
	key := filepath.Join(t.TempDir(), "release.key")
	public := filepath.Join(t.TempDir(), "release.pub")
	succeed(t, "", nil, "openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
	succeed(t, "", nil, "openssl", "pkey", "-in", key, "-pubout", "-out", public)
	refused(t, dir, "vMAJOR.MINOR.PATCH", "release")
	refused(t, dir, "vMAJOR.MINOR.PATCH", "release", "VERSION=1.2.3")

	offline := []string{"GOPROXY=off"}
	succeed(t, dir, offline, "make", "release", "VERSION=v1.2.3", "KEY="+key)
	dist := filepath.Join(dir, "dist")
	if got := names(t, dist); !slices.Equal(got, released) {
		t.Fatalf("got files\n%q\nwant\n%q", got, released)
	}
	t.Run("checksums", func(t *testing.T) {
		out := succeed(t, dist, nil, "sha256sum", "--check", "--strict", "SHA256SUMS")
		if got, want := strings.Count(out, ": OK\n"), len(released)-2; got != want {
			t.Errorf("got %d checksums, want %d:\n%s", got, want, out)
		}
	})
	t.Run("signature", func(t *testing.T) { verifySignature(t, dist, public) })
	t.Run("program", func(t *testing.T) { checkProgram(t, dir) })
	t.Run("SBOM", func(t *testing.T) { checkSBOM(t, dist) })
	t.Run("deb", func(t *testing.T) { installDeb(t, dist) })
	t.Run("rpm", func(t *testing.T) { installRPM(t, dist) })

	other := filepath.Join(t.TempDir(), "another clone")
	succeed(t, "", nil, "git", "clone", "--quiet", dir, other)
	succeed(t, other, append(offline, "TZ=Asia/Tokyo", "GOAMD64=v3"), "make", "release", "VERSION=v1.2.3", "KEY="+key)
	for _, name := range released {
		first, second := read(t, filepath.Join(dist, name)), read(t, filepath.Join(other, "dist", name))
		if !bytes.Equal(first, second) {
			t.Errorf("%s is not the same in another clone", name)
		}
	}

	refuseOtherClones(t, other)
}

// refuseOtherClones: a release is of a commit, and of the commit that its tag names.
func refuseOtherClones(t *testing.T, dir string) {
	succeed(t, dir, nil, "git", "tag", "v1.2.4", "HEAD~1")
	refused(t, dir, "tag v1.2.4 is at commit", "release", "VERSION=v1.2.4")
	if err := os.WriteFile(filepath.Join(dir, "version", "new.go"), []byte("package version\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	refused(t, dir, "version/new.go", "release", "VERSION=v1.2.3")
	out := succeed(t, dir, nil, "go", "-C", "release", "run", ".", "-root", "..", "-version", "v1.2.3", "-dirty", "-check")
	if out != "v1.2.3-dirty\n" {
		t.Errorf("got version %q of a clone with changes, want v1.2.3-dirty", out)
	}
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return all
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// verifySignature verifies the checksums like docs/releasing.md, and expects another text to fail.
func verifySignature(t *testing.T, dist, public string) {
	der := filepath.Join(t.TempDir(), "der")
	succeed(t, dist, nil, "sh", "-c", "base64 -d SHA256SUMS.sig > "+der)
	succeed(t, dist, nil, "openssl", "dgst", "-sha256", "-verify", public, "-signature", der, "SHA256SUMS")
	if out, err := attempt(t, dist, nil, "openssl", "dgst", "-sha256", "-verify", public, "-signature", der, "RELEASE-NOTES.md"); err == nil {
		t.Errorf("the signature is that of another file, too:\n%s", out)
	}
}

// checkProgram asks the program what it is, and looks at the one for the other platform.
func checkProgram(t *testing.T, dir string) {
	var got version.Info
	out := succeed(t, dir, nil, "dist/sealer-run-linux-amd64", "version", "--output", "json")
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	seconds := strings.TrimSpace(succeed(t, dir, nil, "git", "show", "--no-patch", "--format=%cI", "HEAD"))
	date, err := time.Parse(time.RFC3339, seconds)
	if err != nil {
		t.Fatal(err)
	}
	commit := strings.TrimSpace(succeed(t, dir, nil, "git", "rev-parse", "HEAD"))
	want := version.Info{Version: "v1.2.3", Commit: commit, Date: date.UTC().Format(time.RFC3339), Go: got.Go, Platform: "linux/amd64"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		file, err := elf.Open(filepath.Join(dir, "dist", "sealer-run-linux-"+arch))
		if err != nil {
			t.Fatal(err)
		}
		static := !slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
		if file.Machine != machine || !static {
			t.Errorf("%s: got machine %v, static %v", arch, file.Machine, static)
		}
		file.Close()
	}
}

// checkSBOM compares the modules of the document with those that the program records.
func checkSBOM(t *testing.T, dist string) {
	for _, arch := range []string{"amd64", "arm64"} {
		binary := "sealer-run-linux-" + arch
		var doc struct {
			SPDXVersion string
			Packages    []struct {
				Name, VersionInfo string
				Checksums         []struct{ ChecksumValue string }
			}
		}
		if err := json.Unmarshal(read(t, filepath.Join(dist, binary+".spdx.json")), &doc); err != nil {
			t.Fatal(err)
		}
		build, err := buildinfo.ReadFile(filepath.Join(dist, binary))
		if err != nil {
			t.Fatal(err)
		}
		if doc.SPDXVersion != "SPDX-2.3" || len(doc.Packages) != len(build.Deps)+2 { // the program itself, and Go's library
			t.Fatalf("%s: got %s with %d packages, want %d", binary, doc.SPDXVersion, len(doc.Packages), len(build.Deps)+2)
		}
		sum, _, _ := strings.Cut(succeed(t, dist, nil, "sha256sum", binary), " ")
		if self := doc.Packages[0]; self.Name != binary || self.VersionInfo != "v1.2.3" || len(self.Checksums) != 1 || self.Checksums[0].ChecksumValue != sum {
			t.Errorf("got %+v, want %s v1.2.3 with SHA-256 %s", self, binary, sum)
		}
		for _, dep := range build.Deps {
			found := false
			for _, p := range doc.Packages {
				found = found || p.Name == dep.Path && p.VersionInfo == dep.Version
			}
			if !found {
				t.Errorf("%s: module %s %s is not in the SBOM", binary, dep.Path, dep.Version)
			}
		}
	}
}

// installDeb installs the package into a root of its own.
func installDeb(t *testing.T, dist string) {
	fields := succeed(t, dist, nil, "dpkg-deb", "--field", "sealer-run_1.2.3-1_arm64.deb", "Package", "Version", "Architecture")
	if want := "Package: sealer-run\nVersion: 1.2.3-1\nArchitecture: arm64\n"; fields != want {
		t.Errorf("got\n%s\nwant\n%s", fields, want)
	}
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "var/lib/dpkg/info"), 0o755); err != nil {
		t.Fatal(err)
	}
	succeed(t, dist, nil, "dpkg", "--root="+root, "--log=/dev/null", "--install", "sealer-run_1.2.3-1_amd64.deb")
	if out := succeed(t, dist, nil, "dpkg-query", "--root="+root, "--show", "--showformat=${db:Status-Status}", "sealer-run"); out != "installed" {
		t.Errorf("got status %q", out)
	}
	installed(t, root, "usr/share/doc/sealer-run/copyright")
}

// installRPM installs the package into a root of its own.
func installRPM(t *testing.T, dist string) {
	format := []string{"-qp", "--queryformat", "%{NAME} %{VERSION} %{RELEASE} %{ARCH} %{LICENSE}"}
	fields := succeed(t, dist, nil, "rpm", append(format, "sealer-run-1.2.3-1.aarch64.rpm")...)
	if want := "sealer-run 1.2.3 1 aarch64 Apache-2.0"; fields != want {
		t.Errorf("got %q, want %q", fields, want)
	}
	root := t.TempDir()
	succeed(t, dist, nil, "rpm", "--root", root, "--dbpath", "/var/lib/rpm", "--install", "--ignorearch", "--nodeps", "sealer-run-1.2.3-1.x86_64.rpm")
	installed(t, root, "usr/share/licenses/sealer-run/LICENSE")
}

// installed runs the program that a package has put into a root, and looks for the license.
func installed(t *testing.T, root, license string) {
	t.Helper()
	if out := succeed(t, root, nil, filepath.Join(root, "usr/bin/sealer-run"), "--version"); !strings.Contains(out, "v1.2.3") {
		t.Errorf("got %q, want version v1.2.3", out)
	}
	if text := read(t, filepath.Join(root, license)); !bytes.Contains(text, []byte("Apache License")) {
		t.Errorf("%s is not the license", license)
	}
}

// TestBuildAndInstall: make build needs Go only, and make install puts the programs where a packager wants them.
func TestBuildAndInstall(t *testing.T) {
	dir := clone(t)
	if err := os.RemoveAll(filepath.Join(dir, ".git")); err != nil { // as in a source archive
		t.Fatal(err)
	}
	root := t.TempDir()
	succeed(t, dir, nil, "make", "build", "VERSION=v1.2.3")
	succeed(t, dir, nil, "make", "install", "DESTDIR="+root, "PREFIX=/usr")
	for _, program := range []string{"sealer-run", "kubefile-frontend"} {
		var got version.Info
		out := succeed(t, dir, nil, filepath.Join(root, "usr/bin", program), "version", "-o", "json")
		if err := json.Unmarshal([]byte(out), &got); err != nil || got.Version != "v1.2.3" || got.Commit != "" {
			t.Errorf("%s: got %v, %+v, want version v1.2.3 and no commit", program, err, got)
		}
	}
	succeed(t, dir, nil, "make", "clean")
	for _, name := range []string{"bin", "dist", "_out"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("make clean leaves %s: %v", name, err)
		}
	}
}

// TestVersionOfAClone: git's tags and changes are in the version.
func TestVersionOfAClone(t *testing.T) {
	dir := clone(t)
	describe := func() string {
		t.Helper()
		out := succeed(t, dir, nil, "version/version.sh", "env")
		line, _, _ := strings.Cut(out, "\n")
		return strings.TrimPrefix(line, "VERSION=")
	}
	short := strings.TrimSpace(succeed(t, dir, nil, "git", "rev-parse", "--short=12", "HEAD"))
	for _, step := range []struct {
		do   []string
		want string
	}{
		{[]string{"true"}, "v0.0.0-g" + short},
		{[]string{"git", "tag", "v0.1.0", "HEAD~1"}, "v0.1.0-1-g" + short},
		{[]string{"git", "tag", "other", "HEAD"}, "v0.1.0-1-g" + short},
		{[]string{"git", "tag", "v0.2.0", "HEAD"}, "v0.2.0"},
		{[]string{"sh", "-c", "echo >> README.md"}, "v0.2.0-dirty"},
	} {
		succeed(t, dir, nil, step.do[0], step.do[1:]...)
		if got := describe(); got != step.want {
			t.Errorf("after %q: got version %q, want %q", step.do, got, step.want)
		}
	}
}
