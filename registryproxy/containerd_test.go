package registryproxy_test

import (
	"bytes"
	"flag"
	"io"
	"maps"
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

func TestHostsFiles(t *testing.T) {
	store := storetest.New(t)
	for _, reference := range []string{dashboard, "docker.io/library/nginx:1", "registry.k8s.io/pause:3.10", "localhost:5001/x:1"} {
		store.Embed(reference, []byte(reference))
	}
	site := newSite(t)
	files, err := registryproxy.HostsFiles(store.Lock, "127.0.0.1:5000", []string{"10.77.0.11:5000", "[2001:db8::1]:5000"}, "/etc/kubefile/ca.crt")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"_default/hosts.toml", "docker.io/hosts.toml", "localhost:5001/hosts.toml", "registry.k8s.io/hosts.toml"}
	if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
		t.Errorf("the files are %q, want %q", got, want)
	}
	golden(t, "default.toml", files["_default/hosts.toml"])
	golden(t, "registry.toml", files["docker.io/hosts.toml"])

	for name, content := range files {
		files[name] = bytes.ReplaceAll(content, []byte("/etc/kubefile/ca.crt"), []byte(site.ca))
	}
	hosts := certsD(t, files)
	own := []string{"http://127.0.0.1:5000", "https://10.77.0.11:5000", "https://[2001:db8::1]:5000"}
	for registry, want := range map[string][]string{
		"docker.io":           own,
		"registry.k8s.io":     own,
		"localhost:5001":      own,
		"harbor.example.com":  append(own[:3:3], "https://harbor.example.com"),
		"harbor.example:8443": append(own[:3:3], "https://harbor.example:8443"),
	} {
		found, err := hosts(registry)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i, host := range found {
			got = append(got, host.Scheme+"://"+host.Host)
			if i < 3 && (host.Capabilities != docker.HostCapabilityPull|docker.HostCapabilityResolve || host.Path != "/v2") {
				t.Errorf("%s: %s has capabilities %v and path %s", registry, host.Host, host.Capabilities, host.Path)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("containerd asks %q for %s, not %q", got, registry, want)
		}
	}
}

func TestHostsFilesRefuses(t *testing.T) {
	lock := storetest.New(t).Lock
	for name, try := range map[string]struct {
		loopback, seed, authority string
	}{
		"no port":       {"127.0.0.1", "10.0.0.1:5000", "/ca.crt"},
		"quote":         {"127.0.0.1:5000", "10.0.0.1\":5000", "/ca.crt"},
		"path":          {"127.0.0.1:5000", "10.0.0.1/x:5000", "/ca.crt"},
		"relative":      {"127.0.0.1:5000", "10.0.0.1:5000", "ca.crt"},
		"quoted path":   {"127.0.0.1:5000", "10.0.0.1:5000", "/a\"b"},
		"line in path":  {"127.0.0.1:5000", "10.0.0.1:5000", "/a\nb"},
		"port of words": {"127.0.0.1:http", "10.0.0.1:5000", "/ca.crt"},
	} {
		if files, err := registryproxy.HostsFiles(lock, try.loopback, []string{try.seed}, try.authority); err == nil {
			t.Errorf("%s: got %s", name, files["_default/hosts.toml"])
		}
	}
}

func TestHostsTOMLOfASingleHost(t *testing.T) {
	hosts, err := certsD(t, map[string][]byte{"_default/hosts.toml": []byte(registryproxy.HostsTOML("127.0.0.1:5000", nil, ""))})("docker.io")
	if err != nil || len(hosts) != 1 || hosts[0].Scheme+hosts[0].Host != "http127.0.0.1:5000" {
		t.Errorf("got %+v, %v", hosts, err)
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
	files, err := registryproxy.HostsFiles(store.Lock, worker.plain, []string{seed.secure}, site.ca)
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
