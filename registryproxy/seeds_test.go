package registryproxy_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/imagespec/storetest"
	"github.com/kubefile/kubefile/registryproxy"
)

// deadAddress is an address where nothing listens.
func deadAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// fake is a seed of the cluster that answers as it likes.
func (s *site) fake(answer http.HandlerFunc) string {
	s.t.Helper()
	l := s.tls()
	pair, err := tls.LoadX509KeyPair(l.Certificate, l.Key)
	if err != nil {
		s.t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(answer)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	s.t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestWorkerPullsFromTheSeeds(t *testing.T) {
	store := storetest.New(t)
	image := store.Embed(dashboard, bytes.Repeat([]byte("layer"), 1<<20))
	site := newSite(t)
	seed := site.run(store.Dir)
	worker := site.run("", deadAddress(t), seed.secure)
	pull(t, worker, "docker.io/kubernetesui/dashboard", "v2.2.0", image)
	want := dashboard + " " + image.Index.Digest.String()
	for name, h := range map[string]*host{"worker": worker, "seed": seed} {
		if served := h.recorded(t, registryproxy.ServedFile); !slices.Contains(served, want) {
			t.Errorf("%s recorded %q, want %s among it", name, served, want)
		}
	}
}

func TestMasterAsksTheOtherMasters(t *testing.T) {
	one, two := storetest.New(t), storetest.New(t)
	image := two.Embed(dashboard, []byte("x"))
	site := newSite(t)
	// Each names the other: what neither has must not go around in circles.
	addressOfOne := deadAddress(t)
	second := site.run(two.Dir, addressOfOne)
	first := site.run(one.Dir, second.secure)
	pull(t, first, "docker.io/kubernetesui/dashboard", "v2.2.0", image)
	for range 2 {
		if got := first.get(t, "/v2/a/manifests/1?ns=quay.io"); got.status != http.StatusNotFound || got.code() != "MANIFEST_UNKNOWN" {
			t.Errorf("status %d, %s", got.status, got.body)
		}
	}
	if missed := first.recorded(t, registryproxy.MissedFile); !slices.Equal(missed, []string{"quay.io/a:1"}) {
		t.Errorf("recorded %q as missed", missed)
	}
	if missed := second.recorded(t, registryproxy.MissedFile); len(missed) != 0 {
		t.Errorf("the other master recorded %q: it was not the one who was asked", missed)
	}
}

func TestForwardedRequestIsNotForwardedAgain(t *testing.T) {
	site := newSite(t)
	var asked int
	loop := site.fake(func(w http.ResponseWriter, r *http.Request) { asked++ })
	h := site.run(storetest.New(t).Dir, loop)
	got := h.get(t, "/v2/a/manifests/1?ns=quay.io", "Kubefile-Forwarded: 1")
	if got.status != http.StatusNotFound || asked != 0 {
		t.Errorf("status %d, asked %d times", got.status, asked)
	}
}

func TestSeedDiesWithinABlob(t *testing.T) {
	store := storetest.New(t)
	content := bytes.Repeat([]byte("0123456789"), 100_000)
	image := store.Embed(dashboard, content)
	site := newSite(t)
	half := len(content) / 2
	var asked int
	dying := site.fake(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		w.Write(content[:half])
		panic(http.ErrAbortHandler)
	})
	seed := site.run(store.Dir)
	worker := site.run("", dying, seed.secure)
	path := "/v2/kubernetesui/dashboard/blobs/" + image.Layer.Digest.String() + "?ns=docker.io"

	part, err := worker.try(http.MethodGet, path)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("a part of %d bytes was passed on as a whole: %v", len(part.body), err)
	}
	if !bytes.Equal(part.body, content[:len(part.body)]) {
		t.Error("the part has other bytes")
	}
	// A client goes on from there, and the seed that died is asked last now.
	rest := worker.get(t, path, fmt.Sprintf("Range: bytes=%d-", len(part.body)))
	if rest.status != http.StatusPartialContent || !bytes.Equal(append(part.body, rest.body...), content) {
		t.Errorf("the rest of %d bytes does not make it whole: status %d", len(rest.body), rest.status)
	}
	if asked != 1 {
		t.Errorf("the seed that died was asked %d times", asked)
	}
}

func TestSeedsThatDoNotAnswer(t *testing.T) {
	site := newSite(t)
	store := storetest.New(t)
	image := store.Embed(dashboard, []byte("x"))
	stranger := newSite(t).run(store.Dir) // of another cluster, with another authority
	failing := site.fake(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusInternalServerError) })
	elsewhere := site.fake(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+stranger.plain+r.URL.Path, http.StatusFound)
	})
	empty := site.run(filepath.Join(t.TempDir(), "later")) // no store yet: cannot know
	worker := site.run("", deadAddress(t), stranger.secure, failing, elsewhere, empty.secure)
	for _, path := range []string{"manifests/v2.2.0", "blobs/" + image.Layer.Digest.String(), "tags/list"} {
		if got := worker.get(t, "/v2/kubernetesui/dashboard/"+path+"?ns=docker.io"); got.status != http.StatusBadGateway || got.code() != "UNKNOWN" {
			t.Errorf("%s: status %d, %s", path, got.status, got.body)
		}
	}
	if missed := worker.recorded(t, registryproxy.MissedFile); len(missed) != 0 {
		t.Errorf("recorded %q as missed, though nobody said so", missed)
	}
	if err := worker.stop(); err != nil {
		t.Error(err)
	}
	for _, cause := range []string{"connection refused", "unknown authority", "500 Internal Server Error", "302 Found", "502 Bad Gateway"} {
		if !strings.Contains(worker.log.String(), cause) {
			t.Errorf("the log does not say %q:\n%s", cause, worker.log)
		}
	}
}

func TestMissIsRecordedOnce(t *testing.T) {
	site := newSite(t)
	seed := site.run(storetest.New(t).Dir)
	config := registryproxy.Config{Seeds: []string{deadAddress(t), seed.secure}, Records: t.TempDir()}
	want := []string{"quay.io/a:1", "quay.io/a:2"}
	for range 2 { // and once over restarts
		worker := site.start(config)
		for _, name := range []string{"1", "1", "2"} {
			for _, method := range []string{http.MethodHead, http.MethodGet} {
				if got := worker.ask(t, method, "/v2/a/manifests/"+name+"?ns=quay.io"); got.status != http.StatusNotFound {
					t.Errorf("status %d, %s", got.status, got.body)
				}
			}
		}
		if missed := worker.recorded(t, registryproxy.MissedFile); !slices.Equal(missed, want) {
			t.Errorf("recorded %q as missed, want %q", missed, want)
		}
		if err := worker.stop(); err != nil {
			t.Error(err)
		}
	}
}

func TestStoreAppearsLater(t *testing.T) {
	made := storetest.New(t)
	image := made.Embed(dashboard, []byte("x"))
	dir := filepath.Join(t.TempDir(), "registry")
	h := newSite(t).run(dir)
	path := "/v2/kubernetesui/dashboard/manifests/v2.2.0?ns=docker.io"
	if got := h.get(t, path); got.status != http.StatusBadGateway {
		t.Errorf("before there is a store: status %d, %s", got.status, got.body)
	}
	if err := os.Rename(made.Dir, dir); err != nil {
		t.Fatal(err)
	}
	made.Dir = dir
	if got := h.get(t, path); got.status != http.StatusOK {
		t.Errorf("status %d, %s", got.status, got.body)
	}
	pull(t, h, "docker.io/kubernetesui/dashboard", image.Index.Digest.String(), image)
	later := made.Embed("docker.io/kubernetesui/dashboard:v2.3.0", []byte("y"))
	pull(t, h, "docker.io/kubernetesui/dashboard", "v2.3.0", later)
}

func TestDamagedStore(t *testing.T) {
	damaged, whole := storetest.New(t), storetest.New(t)
	image := damaged.Embed(dashboard, []byte("x"))
	whole.Embed(dashboard, []byte("x"))
	damaged.Write(damaged.BlobPath(image.Index), []byte("{}"))
	site := newSite(t)
	path := "/v2/kubernetesui/dashboard/manifests/v2.2.0?ns=docker.io"

	alone := site.run(damaged.Dir)
	got := alone.get(t, path)
	if got.status != http.StatusInternalServerError || got.code() != "UNKNOWN" || bytes.Contains(got.body, []byte(damaged.Dir)) {
		t.Errorf("status %d, %s", got.status, got.body)
	}
	if missed := alone.recorded(t, registryproxy.MissedFile); len(missed) != 0 {
		t.Errorf("a damage was recorded as a miss: %q", missed)
	}
	pull(t, site.run(damaged.Dir, site.run(whole.Dir).secure), "docker.io/kubernetesui/dashboard", "v2.2.0", image)
}
