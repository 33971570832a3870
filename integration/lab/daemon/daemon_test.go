package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sleeper describes a process that does nothing for a long time, and ends with the test at the latest.
func sleeper(t *testing.T) Daemon {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "config")
	if err := os.WriteFile(config, []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := Daemon{
		Name: "sleeper", State: dir, Log: filepath.Join(dir, "log"), Config: []string{config},
		Argv:  []string{"/bin/sleep", "1000"},
		Ready: func(context.Context) error { return nil },
	}
	t.Cleanup(func() {
		if err := d.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return d
}

func start(t *testing.T, d Daemon) (pid int, started bool) {
	t.Helper()
	started, err := d.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, running := d.find()
	if !running {
		t.Fatal("started, but not running")
	}
	return r.PID, started
}

func TestStartIsIdempotentUntilSomethingChanges(t *testing.T) {
	d := sleeper(t)
	first, started := start(t, d)
	if !started {
		t.Error("the first start started nothing")
	}
	if pid, started := start(t, d); started || pid != first {
		t.Errorf("the second start: process %d, %t; want process %d", pid, started, first)
	}
	if err := os.WriteFile(d.Config[0], []byte("two"), 0o644); err != nil {
		t.Fatal(err)
	}
	second, started := start(t, d)
	if !started || second == first {
		t.Error("a changed configuration is not in use")
	}
	d.Argv = []string{"/bin/sleep", "1001"}
	if pid, started := start(t, d); !started || pid == second {
		t.Error("changed arguments are not in use")
	}
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d.Running() {
		t.Error("it runs after it was stopped")
	}
	if err := d.Stop(t.Context()); err != nil {
		t.Errorf("stopping what does not run: %v", err)
	}
}

func TestProcessOfSomebodyElseIsLeftAlone(t *testing.T) {
	other := exec.Command("/bin/sleep", "1000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- other.Wait() }()
	defer func() {
		_ = other.Process.Kill()
		<-ended
	}()
	d := sleeper(t)
	data, err := json.Marshal(record{PID: other.Process.Pid, Argv: []string{"/bin/sleep", "1"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.record(), data, 0o644); err != nil {
		t.Fatal(err)
	}
	if d.Running() {
		t.Error("a process with another command line is taken for it")
	}
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		t.Fatalf("the other process ended: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
}

func TestProcessThatEndsIsReportedWithItsLog(t *testing.T) {
	d := sleeper(t)
	d.Argv = []string{"/bin/sh", "-c", "echo no such thing >&2; exit 3"}
	d.Ready = func(context.Context) error { return errors.New("not ready") }
	_, err := d.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("error %v", err)
	}
}

func TestWaitingForReadinessHasAnEnd(t *testing.T) {
	d := sleeper(t)
	notReady := errors.New("still warming up")
	d.Ready = func(context.Context) error { return notReady }
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := d.Start(ctx); !errors.Is(err, notReady) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestMissingProgram(t *testing.T) {
	d := sleeper(t)
	d.Argv = []string{filepath.Join(d.State, "none")}
	if _, err := d.Start(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
