package registryproxy_test

import (
	"bytes"
	"cmp"
	"flag"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec/storetest"
	"github.com/kubefile/kubefile/registryproxy"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s has changed (go test -update writes it):\n%s", name, got)
	}
}

// certsD writes the files and returns containerd's own reader of them.
func certsD(t *testing.T, files map[string][]byte) docker.RegistryHosts {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return config.ConfigureHosts(t.Context(), config.HostOptions{HostDir: config.HostDirFromRoot(dir)})
}

// asked is what containerd asks for a registry, in its order.
func asked(t *testing.T, hosts docker.RegistryHosts, registry string) []string {
	t.Helper()
	found, err := hosts(registry)
	if err != nil {
		t.Fatal(err)
	}
	var urls []string
	for _, host := range found {
		urls = append(urls, host.Scheme+"://"+host.Host)
	}
	return urls
}

// checkMirror checks that containerd only reads from a mirror, and logs in to it.
func checkMirror(t *testing.T, name string, got docker.RegistryHost, mirror registryproxy.Mirror) {
	t.Helper()
	user, password, _ := (&http.Request{Header: got.Header}).BasicAuth()
	if got.Capabilities != docker.HostCapabilityPull|docker.HostCapabilityResolve || got.Path != "/v2" ||
		user != mirror.Credentials.Username || password != mirror.Credentials.Password {
		t.Errorf("%s %s has capabilities %v, path %s, header %v", name, mirror.URL, got.Capabilities, got.Path, got.Header)
	}
}

func TestHostsFiles(t *testing.T) {
	store := storetest.New(t)
	for _, reference := range []string{dashboard, "docker.io/library/nginx:1", "registry.k8s.io/pause:3.10", "localhost:5001/x:1"} {
		store.Embed(reference, []byte(reference))
	}
	site := newSite(t)
	const ca = "/etc/kubefile/ca.crt"
	mirrors := []registryproxy.Mirror{{URL: "http://127.0.0.1:5000"}, {URL: "https://10.77.0.11:5000", Authority: ca}, {URL: "https://[2001:db8::1]:5000", Authority: ca}}
	login := registryproxy.Credentials{Username: "admin", Password: `p"a\s's`}
	for name, test := range map[string]struct {
		domain  string
		mirrors []registryproxy.Mirror
	}{
		"":        {"", mirrors},
		"secret-": {"sea.hub:5000", []registryproxy.Mirror{mirrors[0], {URL: mirrors[1].URL, Authority: ca, Credentials: login}, {URL: mirrors[2].URL, Authority: ca, Credentials: login}}},
		"external-": {"sea.hub:5000", append(mirrors[:2:2], registryproxy.Mirror{
			URL: "https://harbor.site", Credentials: registryproxy.Credentials{Username: "robot$site", Password: "x"}})},
		"plain-": {"sea.hub:5000", []registryproxy.Mirror{mirrors[0], {URL: "http://10.77.0.11:5000", Credentials: login}}},
	} {
		files, err := registryproxy.HostsFiles(store.Lock, test.domain, test.mirrors)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"_default/hosts.toml", "docker.io/hosts.toml", "localhost:5001/hosts.toml", "registry.k8s.io/hosts.toml"}
		if test.domain != "" {
			want = append(want, "sea.hub:5000/hosts.toml")
		}
		if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
			t.Errorf("%s the files are %q, want %q", name, got, want)
		}
		golden(t, name+"default.toml", files["_default/hosts.toml"])
		golden(t, name+"registry.toml", files["docker.io/hosts.toml"])
		for name, content := range files {
			files[name] = bytes.ReplaceAll(content, []byte(ca), []byte(site.ca))
		}
		hosts := certsD(t, files)
		var own []string
		for _, mirror := range test.mirrors {
			own = append(own, mirror.URL)
		}
		for _, registry := range []string{"docker.io", "registry.k8s.io", "localhost:5001", cmp.Or(test.domain, "docker.io")} {
			if got := asked(t, hosts, registry); !slices.Equal(got, own) {
				t.Errorf("%s containerd asks %q for %s, not %q", name, got, registry, own)
			}
		}
		for _, registry := range []string{"harbor.example.com", "harbor.example:8443"} {
			if got := asked(t, hosts, registry); !slices.Equal(got, append(own[:len(own):len(own)], "https://"+registry)) {
				t.Errorf("%s containerd asks %q for %s", name, got, registry)
			}
			found, _ := hosts(registry)
			for i, mirror := range test.mirrors {
				checkMirror(t, name, found[i], mirror)
			}
		}
	}
}

func TestHostsFilesRefuses(t *testing.T) {
	lock := storetest.New(t).Lock
	for name, mirror := range map[string]registryproxy.Mirror{
		"no scheme":     {URL: "127.0.0.1:5000"},
		"other scheme":  {URL: "ftp://127.0.0.1:5000"},
		"quote":         {URL: "https://10.0.0.1\":5000"},
		"path":          {URL: "https://10.0.0.1:5000/x"},
		"user":          {URL: "https://u:p@10.0.0.1:5000"},
		"no host":       {URL: "https://:5000"},
		"port of words": {URL: "https://10.0.0.1:http"},
		"relative":      {URL: "https://10.0.0.1:5000", Authority: "ca.crt"},
		"quoted path":   {URL: "https://10.0.0.1:5000", Authority: "/a\"b"},
		"line in path":  {URL: "https://10.0.0.1:5000", Authority: "/a\nb"},
		"no password":   {URL: "https://10.0.0.1:5000", Credentials: registryproxy.Credentials{Username: "admin"}},
	} {
		if files, err := registryproxy.HostsFiles(lock, "", []registryproxy.Mirror{mirror}); err == nil {
			t.Errorf("%s: got %s", name, files["_default/hosts.toml"])
		}
	}
	one := []registryproxy.Mirror{{URL: "http://127.0.0.1:5000"}}
	for name, try := range map[string]struct {
		domain  string
		mirrors []registryproxy.Mirror
	}{"no mirror": {"", nil}, "no port": {"sea.hub", one}, "leaves the directory": {"../x:5000", one}} {
		if files, err := registryproxy.HostsFiles(lock, try.domain, try.mirrors); err == nil {
			t.Errorf("%s: got %s", name, files["_default/hosts.toml"])
		}
	}
}

func TestHostsFilesOfASingleMirror(t *testing.T) {
	files, err := registryproxy.HostsFiles(storetest.New(t).Lock, "sea.hub:5000", []registryproxy.Mirror{{URL: "http://127.0.0.1:5000"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := asked(t, certsD(t, files), "sea.hub:5000"); !slices.Equal(got, []string{"http://127.0.0.1:5000"}) {
		t.Errorf("containerd asks %q", got)
	}
}

// TestContainerdPulls pulls with containerd's own resolver and fetcher through the files of a worker.
func TestContainerdPulls(t *testing.T) {
	store := storetest.New(t)
	content := bytes.Repeat([]byte("layer"), 1<<20)
	image := store.Embed(dashboard, content)
	site := newSite(t)
	seed := site.run(store.Dir)
	worker := site.run("", seed.secure)
	files, err := registryproxy.HostsFiles(store.Lock, "", []registryproxy.Mirror{
		{URL: "http://" + worker.plain}, {URL: "https://" + seed.secure, Authority: site.ca}})
	if err != nil {
		t.Fatal(err)
	}
	resolver := docker.NewResolver(docker.ResolverOptions{Hosts: certsD(t, files)})

	for reference, want := range map[string]ocispec.Descriptor{
		dashboard: image.Index,
		"docker.io/kubernetesui/dashboard@" + image.Index.Digest.String():    image.Index,
		"docker.io/kubernetesui/dashboard@" + image.Manifest.Digest.String(): image.Manifest,
	} {
		if _, got, err := resolver.Resolve(t.Context(), reference); err != nil || got.Digest != want.Digest || got.MediaType != want.MediaType || got.Size != want.Size {
			t.Errorf("%s resolves to %+v, %v", reference, got, err)
		}
	}
	fetcher, err := resolver.Fetcher(t.Context(), dashboard)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []ocispec.Descriptor{image.Index, image.Manifest, image.Config, image.Layer} {
		reader, err := fetcher.Fetch(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(reader)
		reader.Close()
		if err != nil || digest.FromBytes(data) != d.Digest {
			t.Errorf("%s of %s: %d bytes, %v", d.MediaType, d.Digest, len(data), err)
		}
	}
	if _, _, err := resolver.Resolve(t.Context(), "docker.io/library/absent:1"); !errdefs.IsNotFound(err) {
		t.Errorf("what is not embedded: %v", err)
	}
	if missed := worker.recorded(t, registryproxy.MissedFile); !slices.Equal(missed, []string{"docker.io/library/absent:1"}) {
		t.Errorf("recorded %q as missed", missed)
	}
	if served := worker.recorded(t, registryproxy.ServedFile); !strings.HasPrefix(strings.Join(served, "\n"), "docker.io/kubernetesui/dashboard") || len(served) != 3 {
		t.Errorf("recorded %q as served", served)
	}
}
