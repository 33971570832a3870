// Package inputfile opens files that a person names, and does not wait for one that has nothing to give.
package inputfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrNotRegular is the reason why a named pipe, a socket or a device is not opened: that may wait for ever.
var ErrNotRegular = errors.New("not a regular file")

// Open opens a regular file, or what the caller's shell has opened: /dev/stdin, and /dev/fd/63 for <(command).
func Open(name string) (*os.File, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() && (info.IsDir() || !isInherited(name)) {
		return nil, fmt.Errorf("%s is %s, %w", name, kind(info.Mode()), ErrNotRegular)
	}
	return os.Open(name)
}

// isInherited reports whether a name is that of a descriptor that the program was started with.
func isInherited(name string) bool {
	name = filepath.Clean(name)
	return name == "/dev/stdin" || strings.HasPrefix(name, "/dev/fd/") || strings.HasPrefix(name, "/proc/self/fd/")
}

// IsStdin reports whether a name is that of the standard input.
func IsStdin(name string) bool {
	switch filepath.Clean(name) {
	case "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0":
		return true
	}
	return name == "-"
}

func kind(mode fs.FileMode) string {
	switch mode.Type() {
	case fs.ModeDir:
		return "a directory"
	case fs.ModeNamedPipe:
		return "a named pipe"
	case fs.ModeSocket:
		return "a socket"
	}
	return "a device"
}
