package client

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/runner/agent"
	"github.com/kubefile/kubefile/runner/agent/agenttest"
	"github.com/kubefile/kubefile/runner/agent/clusterdir"
	"github.com/kubefile/kubefile/runner/agent/layers"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/host/hosttest"
	"github.com/kubefile/kubefile/runner/host/login"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
)

// TestMain lets the test binary be the agent: it is copied to the "hosts" and
// started there like the runner.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "agent" {
		if err := agent.Main(context.Background(), os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// runner is the test binary as a runner.
func runner(t *testing.T) Binary {
	t.Helper()
	file, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	sum, err := clusterdir.DigestOf(file)
	if err != nil {
		t.Fatal(err)
	}
	return Binary{File: file, Digest: sum}
}

// target is a host with the agent in place: a directory of this machine, reached
// over conn.
func target(t *testing.T, conn host.Conn, images bool) Target {
	t.Helper()
	root := t.TempDir()
	tg := Target{Client: Client{Conn: conn, Dir: filepath.Join(root, "data", "default"), path: filepath.Join(root, "sealer-run")}, Images: images}
	if changed, err := tg.Ensure(t.Context(), runner(t)); err != nil || !changed {
		t.Fatal(changed, err)
	}
	return tg
}

// local reaches this machine under an address of its choice.
func local(t *testing.T, address string) host.Conn {
	t.Helper()
	hosttest.Sudo(t)
	conn, err := new(login.Dialer).Dial(t.Context(), host.Host{Address: netip.MustParseAddr(address), Local: true})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// dial reaches this machine over SSH, by a line that can be cut.
func dial(t *testing.T) (host.Conn, *hosttest.Relay) {
	t.Helper()
	server := hosttest.New(t)
	server.Start(t, hosttest.Config{})
	relay := hosttest.StartRelay(t, server.Address)
	d := &login.Dialer{PinFile: server.File("pins"), FirstContact: func(host.Host, string, string) error { return nil }}
	conn, err := d.Dial(t.Context(), host.Host{
		Address: relay.Address.Addr(),
		Auth:    host.Auth{User: server.User, Port: relay.Address.Port(), KeyFile: server.File("key")},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, relay
}

// artifact is an image with rootfs layers and image layers.
func artifact(t *testing.T, layers ...sourcetest.Layer) *source.Artifact {
	t.Helper()
	dir := t.TempDir()
	sourcetest.Layout(t, dir, []string{"amd64"}, layers...)
	art, err := source.Open(t.Context(), dir, source.Options{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { art.Close() })
	return art
}

// oneFile is an entry of a layer.
func oneFile(name, content string) sourcetest.Entry {
	return sourcetest.Entry{Name: name, Content: content}
}

func someLayers(t *testing.T) []sourcetest.Layer {
	shared := sourcetest.Layer{Tar: sourcetest.Tar(t, oneFile("a", "1"))}
	return []sourcetest.Layer{
		shared,
		{Compression: "gzip", Tar: sourcetest.Tar(t, oneFile("scripts/init.sh", strings.Repeat("init\n", 100_000)))},
		shared, // twice in one image
		{Images: true, Compression: "zstd", Tar: sourcetest.Tar(t, sourcetest.Embedded(t, map[string]string{"docker.io/library/nginx:1": "nginx"})...)},
		{Images: true, Tar: sourcetest.Tar(t, sourcetest.Embedded(t, map[string]string{"quay.io/a/b:1": strings.Repeat("b", 1<<20)})...)},
	}
}

// meter adds up what it is told.
type meter struct {
	mu         sync.Mutex
	need, sent map[string]int64
	apart      map[string]bool
}

func newMeter() *meter {
	return &meter{need: make(map[string]int64), sent: make(map[string]int64), apart: make(map[string]bool)}
}

func (m *meter) Apart(host string) { m.mu.Lock(); m.apart[host] = true; m.mu.Unlock() }

func (m *meter) Need(host string, n int64) { m.mu.Lock(); m.need[host] += n; m.mu.Unlock() }
func (m *meter) Sent(host string, n int64) { m.mu.Lock(); m.sent[host] += n; m.mu.Unlock() }

func TestSendBringsEachHostWhatItNeeds(t *testing.T) {
	overSSH, _ := dial(t)
	master, node, second := target(t, overSSH, true), target(t, local(t, "10.0.0.2"), false), target(t, local(t, "10.0.0.3"), true)
	targets := []Target{master, node, second}
	art := artifact(t, someLayers(t)...)
	meter := newMeter()
	transfers, err := Send(t.Context(), art, targets, SendOptions{Progress: meter})
	if err != nil {
		t.Fatal(err)
	}
	for i, transfer := range transfers {
		if transfer.Need == 0 || transfer.Sent != transfer.Need || transfer.Present != 0 ||
			meter.need[transfer.Host] != transfer.Need || meter.sent[transfer.Host] != transfer.Sent {
			t.Errorf("%+v, progress %+v", transfer, meter)
		}
		if hasStore := agenttest.Exists(filepath.Join(targets[i].Dir, layers.StoreDir)); hasStore != targets[i].Images {
			t.Errorf("host %d has an image store: %v", i, hasStore)
		}
	}
	if transfers[1].Need >= transfers[0].Need || transfers[0].Need != transfers[2].Need {
		t.Errorf("%+v", transfers)
	}
	for _, tg := range targets {
		for i := range 2 {
			if changed, err := tg.UnpackRootfs(t.Context(), art.RootfsLayers); err != nil || changed != (i == 0) {
				t.Fatal(changed, err)
			}
		}
		if agenttest.Read(t, filepath.Join(tg.Dir, layers.RootfsDir, "a")) != "1" {
			t.Error("no rootfs")
		}
	}
	if index := agenttest.Read(t, filepath.Join(master.Dir, layers.StoreDir, ocispec.ImageIndexFile)); !strings.Contains(index, "nginx:1") || !strings.Contains(index, "quay.io/a/b:1") {
		t.Error(index)
	}
	// A second time nothing is sent, and nothing changes.
	before := agenttest.Tree(t, master.Dir)
	transfers, err = Send(t.Context(), art, targets, SendOptions{})
	if err != nil || agenttest.Tree(t, master.Dir) != before {
		t.Fatal("the second time changed something: ", err)
	}
	for _, transfer := range transfers {
		if transfer.Need != 0 || transfer.Sent != 0 || transfer.Present == 0 {
			t.Errorf("%+v", transfer)
		}
	}
	// Ensure does nothing either, and all of it can be undone.
	for _, tg := range targets {
		if changed, err := tg.Ensure(t.Context(), runner(t)); err != nil || changed {
			t.Fatal(changed, err)
		}
		if left, err := tg.RemoveCreated(t.Context(), "default", "", nil); err != nil || len(left) != 0 {
			t.Fatal(left, err)
		}
		if got := agenttest.Tree(t, filepath.Dir(tg.path)); got != "" {
			t.Errorf("left:\n%s", got)
		}
	}
}

func TestWriteFileOverTheWire(t *testing.T) {
	conn, _ := dial(t)
	tg := target(t, conn, false)
	path := filepath.Join(filepath.Dir(tg.path), "etc", "a file's name", "with 'quotes'")
	content := []byte("secret\x00\n'\"$")
	for i := range 2 {
		if changed, err := tg.WriteFile(t.Context(), path, 0o600, content); err != nil || changed != (i == 0) {
			t.Fatal(changed, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 || agenttest.Read(t, path) != string(content) {
		t.Fatal(info, err)
	}
}

// TestAgentErrorsReachThePerson has the sentence of the agent in the error.
func TestAgentErrorsReachThePerson(t *testing.T) {
	tg := target(t, local(t, "10.0.0.9"), false)
	_, err := tg.WriteFile(t.Context(), tg.Dir, 0o600, nil)
	if err == nil || !strings.Contains(err.Error(), "10.0.0.9: ") || !strings.Contains(err.Error(), "not a regular file") {
		t.Fatal(err)
	}
}

func TestRunnerThatDoesNotArriveWhole(t *testing.T) {
	root := t.TempDir()
	c := Client{Conn: local(t, "10.0.0.9"), Dir: filepath.Join(root, "data", "default"), path: filepath.Join(root, "sealer-run")}
	b := runner(t)
	b.Digest = digest.FromString("another")
	if _, err := c.Ensure(t.Context(), b); err == nil || !strings.Contains(err.Error(), "did not arrive whole") {
		t.Fatal(err)
	}
	if got := agenttest.Tree(t, root); got != "" {
		t.Fatalf("left:\n%s", got)
	}
}

// TestMemoryIsBounded sends more than the memory allowed, to several hosts at
// once, and unpacks it.
func TestMemoryIsBounded(t *testing.T) {
	art := artifact(t, sourcetest.Layer{Big: 200 << 20}, sourcetest.Layer{Big: 64 << 20, Compression: "zstd"}, sourcetest.Layer{Big: 63 << 20})
	conn, _ := dial(t)
	targets := []Target{target(t, local(t, "10.0.0.2"), false), target(t, conn, false)}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Send(t.Context(), art, targets, SendOptions{}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if after.Sys > before.Sys+(100<<20) {
		t.Errorf("sending took %d MiB of memory", (after.Sys-before.Sys)>>20)
	}
}
