package clusterdir

import (
	"errors"
	"fmt"
	"os"
	"path"
	"syscall"

	"github.com/opencontainers/go-digest"
)

// DigestOf reads a file anywhere on the host.
func DigestOf(path string) (digest.Digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return digest.FromReader(f)
}

// IncomingDir is the directory, in the cluster's directory, for what is being received.
const IncomingDir = "incoming"

// incoming is a file that is being received. It is locked as long as its writer
// lives, so that one that was left behind can be told.
type incoming struct {
	*os.File
	root *os.Root
	name string
}

// CreateIncoming begins a file. It ends with publish or discard.
func CreateIncoming(root *os.Root) (*incoming, error) {
	if err := root.MkdirAll(IncomingDir, 0o700); err != nil {
		return nil, err
	}
	name := path.Join(IncomingDir, fmt.Sprintf("%d-%s", os.Getpid(), RandomName()))
	f, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", name, err)
	}
	return &incoming{File: f, root: root, name: name}, nil
}

// Publish syncs the file and moves it to its name.
func (i *incoming) Publish(file string, mode os.FileMode) error {
	if err := i.Chmod(mode); err != nil {
		return err
	}
	if err := i.Sync(); err != nil {
		return err
	}
	dir := path.Dir(file)
	if err := i.root.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := i.root.Rename(i.name, file); err != nil {
		return err
	}
	i.name = ""
	return syncDir(i.root, dir)
}

// Discard closes the file, and removes it if it was not published.
func (i *incoming) Discard() {
	i.Close()
	if i.name != "" {
		i.root.Remove(i.name)
	}
}

// SweepIncoming removes what killed receivers left behind.
func SweepIncoming(root *os.Root) error {
	entries, err := ReadDir(root, IncomingDir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := path.Join(IncomingDir, entry.Name())
		f, err := root.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			err = root.Remove(name)
		}
		f.Close()
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
