package client

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kubefile/kubefile/runner/agent/agenttest"
	"github.com/kubefile/kubefile/runner/agent/clusterdir"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
)

// TestCutMidTransfer cuts the line while a large layer is under way; the same
// Send again goes on with the layers that are missing.
func TestCutMidTransfer(t *testing.T) {
	conn, relay := dial(t)
	cut := target(t, conn, true)
	fine := target(t, local(t, "10.0.0.2"), true)
	art := artifact(t, append(someLayers(t), sourcetest.Layer{Big: 48 << 20})...)
	progress := &cutter{meter: newMeter(), host: conn.Host().String(), at: 24 << 20, cut: relay.Cut}
	transfers, err := Send(t.Context(), art, []Target{cut, fine}, SendOptions{Progress: progress, Parallel: 1})
	if !errors.Is(err, host.ErrConnectionLost) || !strings.Contains(err.Error(), conn.Host().String()) {
		t.Fatal(err)
	}
	if strings.Contains(err.Error(), "10.0.0.2") || transfers[1].Sent != transfers[1].Need {
		t.Errorf("the other host suffered: %v, %+v", err, transfers[1])
	}
	again, _ := dial(t)
	cut.Conn = again
	transfers, err = Send(t.Context(), art, []Target{cut, fine}, SendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if transfers[0].Present == 0 || transfers[0].Need < 48<<20 || transfers[1].Need != 0 {
		t.Errorf("%+v", transfers)
	}
	if left, err := os.ReadDir(filepath.Join(cut.Dir, clusterdir.IncomingDir)); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := cut.UnpackRootfs(t.Context(), art.RootfsLayers); err != nil {
		t.Fatal(err)
	}
}

// cutter cuts a line when so many bytes went over it.
type cutter struct {
	*meter
	host string
	at   int64
	cut  func()
	once sync.Once
}

func (c *cutter) Sent(host string, n int64) {
	c.meter.Sent(host, n)
	c.mu.Lock()
	now := c.sent[c.host] > c.at
	c.mu.Unlock()
	if now {
		c.once.Do(c.cut)
	}
}

// TestKilledAgent kills the process that receives a layer.
func TestKilledAgent(t *testing.T) {
	tg := target(t, local(t, "10.0.0.2"), true)
	art := artifact(t, sourcetest.Layer{Big: 1 << 20})
	layer := art.RootfsLayers[0]
	content, err := art.OpenBlob(t.Context(), layer.Descriptor)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	stuck, w := io.Pipe()
	defer w.Close()
	killed := make(chan error, 1)
	go func() { killed <- kill(filepath.Join(tg.Dir, clusterdir.IncomingDir)) }()
	err = tg.PutBlob(t.Context(), layer, io.MultiReader(io.LimitReader(content, 1<<19), stuck))
	if err := <-killed; err != nil {
		t.Fatal(err)
	}
	var exit *host.ExitError
	if !errors.As(err, &exit) || exit.Code != -1 {
		t.Fatal(err)
	}
	transfers, err := Send(t.Context(), art, []Target{tg}, SendOptions{})
	if err != nil || transfers[0].Sent != layer.Descriptor.Size {
		t.Fatal(transfers, err)
	}
	if left, err := os.ReadDir(filepath.Join(tg.Dir, clusterdir.IncomingDir)); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// kill waits for a receiver and kills it.
func kill(incoming string) error {
	for range 6000 {
		entries, err := os.ReadDir(incoming)
		if err == nil && len(entries) == 1 {
			number, _, _ := strings.Cut(entries[0].Name(), "-")
			pid, err := strconv.Atoi(number)
			if err != nil {
				return err
			}
			return syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("nothing is being received")
}

// TestDamagedArtifact blames the artifact, not the hosts.
func TestDamagedArtifact(t *testing.T) {
	art := artifact(t, sourcetest.Layer{Big: 8 << 20})
	path := filepath.Join(art.Name, "blobs", "sha256", art.RootfsLayers[0].Descriptor.Digest.Encoded())
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("x"), 5<<20); err != nil {
		t.Fatal(err)
	}
	f.Close()
	conn, _ := dial(t)
	targets := []Target{target(t, local(t, "10.0.0.2"), false), target(t, conn, false)}
	_, err = Send(t.Context(), art, targets, SendOptions{})
	if !errors.Is(err, source.ErrDamaged) || !strings.Contains(err.Error(), art.Name) || strings.Contains(err.Error(), "10.0.0.2") {
		t.Fatal(err)
	}
	if _, err := Send(t.Context(), art, targets[:1], SendOptions{}); !errors.Is(err, source.ErrDamaged) || strings.Contains(err.Error(), "10.0.0.2") {
		t.Error("a host by itself: ", err)
	}
	for _, tg := range targets {
		if got := agenttest.Tree(t, tg.Dir); strings.Contains(got, "blobs/sha256/") {
			t.Errorf("a damaged layer was kept:\n%.200s", got)
		}
	}
}

func TestSendStopsWithItsContext(t *testing.T) {
	conn, _ := dial(t)
	tg := target(t, conn, false)
	art := artifact(t, sourcetest.Layer{Big: 64 << 20})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	progress := &cutter{meter: newMeter(), host: conn.Host().String(), at: 1 << 20, cut: cancel}
	if _, err := Send(ctx, art, []Target{tg}, SendOptions{Progress: progress}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if transfers, err := Send(t.Context(), art, []Target{tg}, SendOptions{}); err != nil || transfers[0].Sent != transfers[0].Need {
		t.Fatal(transfers, err)
	}
}
