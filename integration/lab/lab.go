package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// A lab is what belongs to one clone. All of it is below one directory, but for finished images in the cache.
type lab struct {
	out string // absolute
}

// plain is what a path may consist of: it is written into configuration files and a file that shells read.
var plain = regexp.MustCompile(`^[A-Za-z0-9/._+@%-]+$`)

// open prepares the output directory and waits until no other command works on it.
func open(ctx context.Context, out string) (l *lab, unlock func(), err error) {
	out, err = filepath.Abs(out)
	if err != nil {
		return nil, nil, err
	}
	if !plain.MatchString(out) {
		return nil, nil, fmt.Errorf("the output directory %q has characters other than letters, digits and /._+@%%-", out)
	}
	l = &lab{out: out}
	for _, dir := range []string{"lab", "log"} {
		if err := os.MkdirAll(l.path(dir), 0o755); err != nil {
			return nil, nil, err
		}
	}
	unlock, err = lock(ctx, l.path("lab", "lock"))
	return l, unlock, err
}

func (l *lab) path(elements ...string) string {
	return filepath.Join(append([]string{l.out}, elements...)...)
}

func (l *lab) tool(name string) string { return l.path("bin", name) }

// lock takes an exclusive lock on the file at path; it waits until the lock is free or ctx ends.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("another command holds %s: %w", path, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// freeAddress returns a loopback address with a free port. It is outside the range that the kernel takes the ports of outgoing connections
// from, and usually the same for the same directory and service.
func (l *lab) freeAddress(service string) (string, error) {
	const first, count = 20000, 10000
	hash := fnv.New32a()
	fmt.Fprint(hash, l.out, service)
	for try := range uint32(count) {
		address := "127.0.0.1:" + strconv.Itoa(int(first+(hash.Sum32()%count+try)%count))
		listener, err := net.Listen("tcp", address)
		if err == nil {
			return address, listener.Close()
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return "", err
		}
	}
	return "", fmt.Errorf("no free port for %s between %d and %d", service, first, first+count)
}
