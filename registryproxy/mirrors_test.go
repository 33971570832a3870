package registryproxy

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/imagespec"
)

// mirrored are the files for a registry on the host and mirrors.
func mirrored(t *testing.T, urls ...string) map[string][]byte {
	t.Helper()
	mirrors := []Mirror{{URL: "http://127.0.0.1:5000"}}
	for _, url := range urls {
		mirrors = append(mirrors, Mirror{URL: url, Authority: "/ca", Credentials: Credentials{Username: "u", Password: "p"}})
	}
	files, err := HostsFiles(&imagespec.Lock{Images: []imagespec.LockedImage{{Reference: "docker.io/library/a:1"}}}, "sea.hub:5000", mirrors)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Without a mirror, each file is what would have been written without it.
func TestChangeMirrors(t *testing.T) {
	a, b, c := "https://10.0.0.1:5000", "https://10.0.0.2:5000", "https://10.0.0.3:5000"
	for _, tt := range []struct{ have, want []string }{
		{[]string{a, b, c}, []string{b, c}}, {[]string{a, b, c}, []string{a, b}}, {[]string{a, b, c}, []string{c, a}}, {[]string{a, b}, []string{a}},
		{[]string{a}, nil}, {[]string{a, b}, []string{a, b}},
	} {
		have, want := mirrored(t, tt.have...), mirrored(t, tt.want...)
		for name := range have {
			got, ok := ChangeMirrors(have[name], func(urls []string) []string {
				if expected := append([]string{"http://127.0.0.1:5000"}, tt.have...); !slices.Equal(urls, expected) {
					t.Errorf("%s: read %v, want %v", name, urls, expected)
				}
				return append(urls[:1:1], tt.want...)
			})
			if !ok || !bytes.Equal(got, want[name]) {
				t.Errorf("%s: from %v to %v: %v\n%s\nwant\n%s", name, tt.have, tt.want, ok, got, want[name])
			}
		}
	}
}

// A file that somebody wrote or changed stays as it is.
func TestChangeMirrorsOfOthers(t *testing.T) {
	ours := string(mirrored(t, "https://10.0.0.1:5000")["_default/hosts.toml"])
	for _, text := range []string{"", "\n", "x", "server = \"https://harbor\"\n\n[host.x]\n", "# ours\n" + ours, ours + "\n", strings.ReplaceAll(ours, "\n\n", "\n\n\n"),
		strings.Replace(ours, `"]`, `" ]`, 1), ours + "\n" + ours} {
		if got, ok := ChangeMirrors([]byte(text), func(urls []string) []string { return urls[:1] }); ok || string(got) != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func FuzzChangeMirrors(f *testing.F) {
	f.Add([]byte("server = \"https://a\"\nca = \"/x\"\n\n[host.\"http://127.0.0.1:5000\"]\nca = \"y\"\n"))
	f.Add([]byte("[host.\"http://127.0.0.1:5000\"]\ncapabilities = [\"pull\"]\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		got, ok := ChangeMirrors(content, func(urls []string) []string { return urls })
		if !bytes.Equal(got, content) {
			t.Errorf("%v: %q became %q without a change", ok, content, got)
		}
	})
}
