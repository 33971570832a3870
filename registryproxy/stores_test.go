package registryproxy_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/imagespec/storetest"
	"github.com/kubefile/kubefile/registryproxy"
)

// install moves a store to where a configuration with * looks for it.
func install(t *testing.T, s *storetest.Store, apps, name string) {
	t.Helper()
	dir := filepath.Join(apps, name, "registry")
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.Dir, dir); err != nil {
		t.Fatal(err)
	}
	s.Dir = dir
}

func TestImagesOfSeveralStores(t *testing.T) {
	base, redis, mysql := storetest.New(t), storetest.New(t), storetest.New(t)
	const shared = "docker.io/library/shared:1"
	apps := filepath.Join(t.TempDir(), "apps")
	h := newSite(t).start(registryproxy.Config{Stores: []string{base.Dir, filepath.Join(apps, "*", "registry")}, Records: t.TempDir()})

	dashboardImage, first := base.Embed(dashboard, []byte("dashboard")), base.Embed(shared, []byte("of the base"))
	redis.Embed(shared, []byte("of redis"))
	redisImage := redis.Embed("docker.io/library/redis:7", []byte("redis"))
	mysqlImage := mysql.Embed("docker.io/library/mysql:8", []byte("mysql"))
	mysql.Embed("docker.io/library/redis:6", []byte("another redis"))

	pull(t, h, "docker.io/kubernetesui/dashboard", "v2.2.0", dashboardImage)
	if got := h.get(t, "/v2/library/redis/manifests/7?ns=docker.io"); got.status != http.StatusNotFound {
		t.Errorf("what is not installed yet: status %d, %s", got.status, got.body)
	}
	install(t, redis, apps, "redis")
	install(t, mysql, apps, "mysql")
	for _, name := range []string{"empty", "file"} {
		if err := os.MkdirAll(filepath.Join(apps, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(apps, "README"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	pull(t, h, "docker.io/library/redis", "7", redisImage)
	pull(t, h, "docker.io/library/mysql", mysqlImage.Index.Digest.String(), mysqlImage)
	pull(t, h, "docker.io/library/shared", "1", first)
	if got := h.get(t, "/v2/library/redis/tags/list?ns=docker.io"); string(got.body) != `{"name":"library/redis","tags":["6","7"]}` {
		t.Errorf("the tags are %s", got.body)
	}
	if missed := h.recorded(t, registryproxy.MissedFile); !slices.Equal(missed, []string{"docker.io/library/redis:7"}) {
		t.Errorf("recorded %q as missed", missed)
	}
	if err := h.stop(); err != nil || h.log.Len() == 0 || strings.Contains(h.log.String(), "damaged") {
		t.Errorf("the log says, %v:\n%s", err, h.log)
	}
}

func TestDamageInOneOfSeveralStores(t *testing.T) {
	one, two := storetest.New(t), storetest.New(t)
	image := one.Embed(dashboard, []byte("x"))
	two.Embed(dashboard, []byte("x"))
	one.Write(one.BlobPath(image.Index), []byte("{}"))
	one.Remove(one.BlobPath(image.Config))
	if err := os.Mkdir(filepath.Join(one.Dir, one.BlobPath(image.Config)), 0o755); err != nil {
		t.Fatal(err)
	}
	one.Write("refs/docker.io/kubernetesui/dashboard/_tags/v1.json", []byte("no descriptor"))
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, store := range map[string][]string{"damaged": {one.Dir}, "no directory": {file}, "damaged parent": {file + "/*/registry"}} {
		h := newSite(t).start(registryproxy.Config{Stores: append(store, two.Dir)})
		pull(t, h, "docker.io/kubernetesui/dashboard", "v2.2.0", image)
		if got := h.get(t, "/v2/kubernetesui/dashboard/tags/list?ns=docker.io"); !bytes.Contains(got.body, []byte(`"v2.2.0"`)) {
			t.Errorf("%s: the tags are %s", name, got.body)
		}
		if got := h.get(t, "/v2/a/manifests/1?ns=quay.io"); got.status != http.StatusInternalServerError && name != "damaged" {
			t.Errorf("%s: status %d for what a store that cannot be read may have: %s", name, got.status, got.body)
		}
		if err := h.stop(); err != nil || !strings.Contains(h.log.String(), store[0]) && !strings.Contains(h.log.String(), file) {
			t.Errorf("%s: the log does not say what is damaged, %v:\n%s", name, err, h.log)
		}
	}
}
