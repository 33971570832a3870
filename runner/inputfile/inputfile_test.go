//go:build linux

package inputfile

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestOpenRefusesWhatMayWait: a pipe without a writer would hold the program in open, where no signal reaches it.
func TestOpenRefusesWhatMayWait(t *testing.T) {
	dir := t.TempDir()
	pipe, socket := filepath.Join(dir, "pipe"), filepath.Join(dir, "socket")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(pipe, link); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		pipe:        pipe + " is a named pipe, not a regular file",
		link:        link + " is a named pipe, not a regular file",
		socket:      socket + " is a socket, not a regular file",
		dir:         dir + " is a directory, not a regular file",
		"/dev/zero": "/dev/zero is a device, not a regular file",
		"/dev/fd":   "/dev/fd is a directory, not a regular file",
	} {
		f, err := Open(name)
		if !errors.Is(err, ErrNotRegular) || err.Error() != want {
			t.Errorf("%s: got %v, %v, want %q", name, f, err, want)
		}
	}
	if _, err := Open(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v for a file that is not there", err)
	}
}

// TestOpenReadsWhatTheShellOpened: files, and the pipe of <(command).
func TestOpenReadsWhatTheShellOpened(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"/dev/fd/%d", "/proc/self/fd/%d", "//dev/./fd/%d"} {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(write, "content")
		if err := errors.Join(err, write.Close()); err != nil {
			t.Fatal(err)
		}
		wantContent(t, fmt.Sprintf(format, read.Fd()))
		read.Close()
	}
	wantContent(t, file)
}

func wantContent(t *testing.T, name string) {
	t.Helper()
	f, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if data, err := io.ReadAll(f); err != nil || string(data) != "content" {
		t.Errorf("%s: got %q, %v", name, data, err)
	}
}

func TestIsStdin(t *testing.T) {
	for name, want := range map[string]bool{
		"-": true, "/dev/stdin": true, "/dev/fd/0": true, "/dev//fd/0": true, "/proc/self/fd/0": true,
		"": false, "./-": false, "/dev/fd/1": false, "stdin": false,
	} {
		if got := IsStdin(name); got != want {
			t.Errorf("%s: got %v, want %v", strings.TrimSpace(name), got, want)
		}
	}
}
