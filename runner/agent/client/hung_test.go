package client

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubefile/kubefile/runner/agent/clusterdir"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
)

// hang makes the agent of a target stop when it receives a layer: while the file is there that is returned.
func hang(t *testing.T, tg *Target, until string) {
	t.Helper()
	// The script stops after it has read something: a disk that hangs lets the first bytes through.
	script := fmt.Sprintf("#!/bin/sh\nif [ \"$2\" = put-blob ] && [ -e %[2]s ]; then head -c 1000 >/dev/null; %[3]s kill -STOP $$; fi\nexec %[1]s \"$@\"\n",
		tg.path, tg.path+".hangs", until)
	for name, content := range map[string]string{tg.path + ".hangs": "", tg.path + ".sh": script} {
		if err := os.WriteFile(name, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tg.path += ".sh"
}

// bigLayers are more layers than are under way at once, and each is more than a connection buffers.
func bigLayers(t *testing.T) []sourcetest.Layer {
	t.Helper()
	var layers []sourcetest.Layer
	for i := range 6 {
		content := make([]byte, 5<<20)
		rand.Read(content)
		layers = append(layers, sourcetest.Layer{Tar: sourcetest.Tar(t, oneFile(fmt.Sprint("f", i), string(content)))})
	}
	return layers
}

// A host that hangs for good gets an error that names it, and the others get everything.
func TestOneHungHost(t *testing.T) {
	overSSH, _ := dial(t)
	hung, second, third := target(t, overSSH, false), target(t, local(t, "10.0.0.2"), false), target(t, local(t, "10.0.0.3"), false)
	hang(t, &hung, "")
	art := artifact(t, bigLayers(t)...)
	meter := newMeter()
	_, err := Send(t.Context(), art, []Target{hung, second, third}, SendOptions{Progress: meter, Stall: 3 * time.Second})
	var limit *host.LimitError
	if !errors.As(err, &limit) || !limit.Stalled || limit.Host != "127.0.0.1" || !strings.Contains(err.Error(), "127.0.0.1: agent put-blob: the host took no data for 3s") {
		t.Errorf("error is %v", err)
	}
	for _, tg := range []Target{second, third} {
		if rest, _, err := tg.Missing(t.Context(), art.RootfsLayers, nil); err != nil || len(rest) != 0 {
			t.Errorf("%s lacks %d layers, %v", tg.name(), len(rest), err)
		}
	}
}

// A host that hangs once is tried again when the others are done.
func TestHostThatHangsOnce(t *testing.T) {
	overSSH, _ := dial(t)
	hung, second := target(t, overSSH, false), target(t, local(t, "10.0.0.2"), false)
	hang(t, &hung, "rm "+hung.path+".hangs;")
	art := artifact(t, bigLayers(t)...)
	if _, err := Send(t.Context(), art, []Target{hung, second}, SendOptions{Stall: 3 * time.Second}); err != nil {
		t.Fatal(err)
	}
	for _, tg := range []Target{hung, second} {
		if rest, _, err := tg.Missing(t.Context(), art.RootfsLayers, nil); err != nil || len(rest) != 0 {
			t.Errorf("%s lacks %d layers, %v", tg.name(), len(rest), err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(hung.Dir, clusterdir.IncomingDir)); err != nil || len(left) != 0 {
		t.Errorf("left of the first try: %v, %v", left, err)
	}
}

// A slow host that is no longer in step goes on from where it is: its bytes are right, and none is sent twice.
func TestSlowHostGoesOnApart(t *testing.T) {
	slow, fast := target(t, local(t, "10.0.0.2"), false), target(t, local(t, "10.0.0.3"), false)
	script := fmt.Sprintf("#!/bin/sh\nif [ \"$2\" = put-blob ]; then (head -c 100000; sleep 6; cat) | exec %[1]s \"$@\"; else exec %[1]s \"$@\"; fi\n", slow.path)
	if err := os.WriteFile(slow.path+".sh", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	slow.path += ".sh"
	art := artifact(t, bigLayers(t)[:2]...)
	meter := newMeter()
	transfers, err := Send(t.Context(), art, []Target{slow, fast}, SendOptions{Progress: meter})
	if err != nil {
		t.Fatal(err)
	}
	if !meter.apart["10.0.0.2"] || meter.apart["10.0.0.3"] {
		t.Errorf("apart are %v", meter.apart)
	}
	for _, transfer := range transfers {
		if transfer.Sent != transfer.Need {
			t.Errorf("%s was sent %d bytes of %d", transfer.Host, transfer.Sent, transfer.Need)
		}
	}
}
