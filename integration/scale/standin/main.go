// Command standin is kubeadm, kubectl, systemctl and ip on hosts that share one machine and one network, by the name that it is called by. It
// keeps what an API server would know in a directory that all hosts see.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	// world is the directory that all hosts see.
	world = "/mnt/world"
	// addressFile has the address of the host.
	addressFile = "/etc/address"
	// kubernetes is the version of all nodes.
	kubernetes = "v1.34.4"
)

func main() {
	if err := run(filepath.Base(os.Args[0]), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(name string, args []string) error {
	switch name {
	case "kubeadm":
		return kubeadm(args)
	case "kubectl":
		return kubectl(args)
	case "systemctl":
		return systemctl(args)
	case "ip":
		return ip(args)
	}
	return fmt.Errorf("%s is none of the programs that this one replaces", name)
}

// ip prints the address of the host, and its routes.
func ip(args []string) error {
	own, err := address()
	if err != nil {
		return err
	}
	switch strings.Join(args, " ") {
	case "-o addr show":
		fmt.Printf("1: lo    inet 127.0.0.1/8 scope host lo\n2: eth0    inet %s/16 scope global eth0\n", own)
	case "-4 -o route show":
		fmt.Printf("default via 10.90.255.254 dev eth0\n10.90.0.0/16 dev eth0 proto kernel scope link src %s\n", own)
	}
	return nil
}

// address is that of the host.
func address() (string, error) {
	data, err := os.ReadFile(addressFile)
	return strings.TrimSpace(string(data)), err
}

// locked calls work while no other process does.
func locked(work func() error) error {
	f, err := os.OpenFile(filepath.Join(world, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	return work()
}

// object is one object of the API, as JSON has it.
type object map[string]any

// objectFile is where an object is.
func objectFile(kind, name string) string { return filepath.Join(world, kind, name+".json") }

// load returns an object, or nil.
func load(kind, name string) (object, error) {
	data, err := os.ReadFile(objectFile(kind, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var one object
	return one, json.Unmarshal(data, &one)
}

// store writes an object with a new version.
func store(kind, name string, one object) error {
	metadata := one["metadata"].(map[string]any)
	version := 0
	fmt.Sscan(fmt.Sprint(metadata["resourceVersion"]), &version)
	metadata["resourceVersion"] = fmt.Sprint(version + 1)
	return write(objectFile(kind, name), one)
}

// write replaces a file at once: others read it at any time.
func write(file string, content any) error {
	data, err := json.Marshal(content)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	temporary := fmt.Sprintf("%s.%d", file, os.Getpid())
	if err := os.WriteFile(temporary, data, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, file)
}
