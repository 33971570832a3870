// Package daemon runs background processes that outlive the command which starts them, and finds them again.
package daemon

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is how long a process gets to end after SIGTERM before it is killed.
const patience = 5 * time.Second

// A Daemon is a process that may be running already. Its record is the file NAME.json in State.
type Daemon struct {
	Name  string
	State string // directory of the record
	Log   string // file that standard error is appended to
	// Output is the file that standard output is appended to; empty means Log.
	Output string
	Argv   []string
	Env    []string
	// Config lists the files that the process reads when it starts. When their content, Argv or the program changes,
	// Start replaces the process.
	Config []string
	// Ready returns nil once the process does its work.
	Ready func(context.Context) error
}

type record struct {
	PID         int      `json:"pid"`
	Argv        []string `json:"argv"`
	Fingerprint string   `json:"fingerprint"`
}

// Start makes sure that the process runs as described and is ready before ctx ends. It reports whether it started one.
func (d Daemon) Start(ctx context.Context) (started bool, err error) {
	fingerprint, err := d.fingerprint()
	if err != nil {
		return false, fmt.Errorf("starting %s: %w", d.Name, err)
	}
	old, running := d.find()
	if running && old.Fingerprint == fingerprint {
		return false, d.await(ctx, old)
	}
	if err := d.Stop(ctx); err != nil {
		return false, err
	}
	r, err := d.launch(fingerprint)
	if err != nil {
		return false, fmt.Errorf("starting %s: %w", d.Name, err)
	}
	return true, d.await(ctx, r)
}

func (d Daemon) launch(fingerprint string) (record, error) {
	stderr, err := os.OpenFile(d.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return record{}, err
	}
	defer stderr.Close()
	stdout := stderr
	if d.Output != "" {
		if stdout, err = os.OpenFile(d.Output, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644); err != nil {
			return record{}, err
		}
		defer stdout.Close()
	}
	cmd := exec.Command(d.Argv[0], d.Argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = d.Env, stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // the terminal's Ctrl-C is not for it
	if err := cmd.Start(); err != nil {
		return record{}, err
	}
	// It is a child of this process for now and would stay a zombie if it ended while Start waits for it.
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	r := record{PID: cmd.Process.Pid, Argv: d.Argv, Fingerprint: fingerprint}
	data, err := json.Marshal(r)
	if err == nil {
		err = os.WriteFile(d.record(), data, 0o644)
	}
	if err != nil { // without a record it could not be stopped later
		return record{}, errors.Join(err, cmd.Process.Kill())
	}
	r.awaitCommandLine(ended)
	return r, nil
}

// awaitCommandLine waits a moment until the kernel shows the command line of a process that was just started: os/exec returns when
// execve(2) has closed the parent's files, which is before that.
func (r record) awaitCommandLine(ended <-chan struct{}) {
	for range 500 {
		if r.alive() {
			return
		}
		select {
		case <-ended:
			return
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// await polls until the process is ready, has ended, or ctx ends.
func (d Daemon) await(ctx context.Context, r record) error {
	for {
		err := d.Ready(ctx)
		if err == nil {
			return nil
		}
		if !r.alive() {
			return fmt.Errorf("%s ended instead of becoming ready; the end of %s:\n%s", d.Name, d.Log, tail(d.Log))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w (%w); its log is %s", d.Name, err, ctx.Err(), d.Log)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Stop ends the recorded process, if it is still the one that was started, and removes the record.
// Of the description only Name and State are needed.
func (d Daemon) Stop(ctx context.Context) error {
	r, running := d.find()
	if running {
		// On Linux this is a handle of the process itself, so the second look makes sure that no other one is signalled.
		process, err := os.FindProcess(r.PID)
		if err == nil && r.alive() {
			err = end(ctx, process, r)
		}
		if err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stopping %s (process %d): %w", d.Name, r.PID, err)
		}
	}
	if err := os.Remove(d.record()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func end(ctx context.Context, process *os.Process, r record) error {
	if err := process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	killed := false
	for deadline := time.Now().Add(patience); r.alive(); {
		if !killed && time.Now().After(deadline) {
			if err := process.Kill(); err != nil {
				return err
			}
			killed = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// Running reports whether the recorded process runs.
func (d Daemon) Running() bool {
	_, running := d.find()
	return running
}

func (d Daemon) record() string { return filepath.Join(d.State, d.Name+".json") }

func (d Daemon) find() (record, bool) {
	data, err := os.ReadFile(d.record())
	if err != nil {
		return record{}, false
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil || r.PID <= 1 || len(r.Argv) == 0 {
		return record{}, false
	}
	return r, r.alive()
}

// alive reports whether the process with the recorded number has the recorded command line: numbers are used again.
func (r record) alive() bool {
	cmdline, err := os.ReadFile("/proc/" + strconv.Itoa(r.PID) + "/cmdline")
	if err != nil || len(cmdline) == 0 { // a zombie has none
		return false
	}
	return slices.Equal(strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00"), r.Argv)
}

// fingerprint identifies the program, its arguments and its configuration.
func (d Daemon) fingerprint() (string, error) {
	hash := sha256.New()
	for _, name := range append([]string{d.Argv[0]}, d.Config...) {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(hash, f)
		f.Close()
		if err != nil {
			return "", err
		}
	}
	fmt.Fprintf(hash, "%q", d.Argv[1:])
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// tail returns the last lines of a log.
func tail(name string) []byte {
	data, err := os.ReadFile(name)
	if err != nil {
		return []byte(err.Error())
	}
	lines := bytes.SplitAfter(bytes.TrimSpace(data), []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-10):], nil)
}
