// Package hosts starts the lab's hosts for Go tests: a thin layer over hosts.sh, which explains them.
package hosts

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Lab is a set of running hosts.
type Lab struct {
	Namespace    string            `json:"namespace"` // of the delivery machine
	Key          string            `json:"key"`       // file of the key that logs in as root
	EncryptedKey string            `json:"encryptedKey"`
	Passphrase   string            `json:"passphrase"` // of the encrypted key
	Passwords    map[string]string `json:"passwords"`  // by login: root, ops (sudo asks for the password), nosudo
	Hosts        []Host            `json:"hosts"`

	scripts, name string
	logins        logins
}

// Host is one host of the lab.
type Host struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	System  string `json:"system"` // release of Debian
}

// Up starts n hosts, or uses those that are up. top is the root of the repository.
func Up(ctx context.Context, top string, n int) (*Lab, error) {
	return UpAs(ctx, top, Spec{Hosts: make([]HostSpec, n)})
}

// UpAs starts the hosts of spec, and reinstalls those that differ. top is the root of the repository.
func UpAs(ctx context.Context, top string, spec Spec) (*Lab, error) {
	lab := &Lab{scripts: filepath.Join(top, "integration", "hosts"), name: spec.Name}
	if lab.name == "" {
		lab.name = DefaultName
	}
	if err := lab.script(ctx, spec.arguments()...); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(lab.directory(), "inventory.json"))
	if err != nil {
		return nil, fmt.Errorf("reading the hosts' inventory: %w", err)
	}
	return lab, json.Unmarshal(data, lab)
}

// directory returns where the scripts keep what belongs to this lab; see lab.sh.
func (l *Lab) directory() string {
	out := filepath.Join(l.scripts, "..", "..", "_out", "hosts")
	if l.name != DefaultName {
		out += "-" + l.name
	}
	return out
}

// Name distinguishes labs that are up at the same time: it is LAB_NAME for the scripts.
func (l *Lab) Name() string { return l.name }

// Down stops all hosts and leaves nothing behind.
func (l *Lab) Down(ctx context.Context) error {
	l.Close()
	return l.script(ctx, "down")
}

// Fresh gives host i, counted from 1, a new and empty installation.
func (l *Lab) Fresh(ctx context.Context, i int) error { return l.script(ctx, "fresh", strconv.Itoa(i)) }

// Kill cuts the power of host i.
func (l *Lab) Kill(ctx context.Context, i int) error { return l.script(ctx, "kill", strconv.Itoa(i)) }

// Start starts host i again with the disk it has.
func (l *Lab) Start(ctx context.Context, i int) error { return l.script(ctx, "start", strconv.Itoa(i)) }

func (l *Lab) command(ctx context.Context, script string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(l.scripts, script), args...)
	cmd.Env = append(os.Environ(), "LAB_NAME="+l.name)
	return cmd
}

func (l *Lab) script(ctx context.Context, args ...string) error {
	out, err := l.command(ctx, "hosts.sh", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("hosts.sh %v: %w: %s", args, err, out)
	}
	return nil
}

// Command is a command on the delivery machine: in the namespace that sees the hosts and nothing else.
func (l *Lab) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return l.command(ctx, "lan", append([]string{name}, args...)...)
}

// Rules returns the rules of the packet filter of host i.
func (l *Lab) Rules(ctx context.Context, i int) (string, error) {
	out, err := l.nft(ctx, i, "list", "ruleset").Output()
	if err != nil {
		return "", fmt.Errorf("listing the rules of h%d with nft of h1: %w", i, err)
	}
	return string(out), nil
}

// ChangeRules runs commands of nft(8) in the packet filter of host i.
func (l *Lab) ChangeRules(ctx context.Context, i int, commands string) error {
	cmd := l.nft(ctx, i, "-f", "-")
	cmd.Stdin = strings.NewReader(commands)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("changing the rules of h%d with nft of h1: %w: %s", i, err, out)
	}
	return nil
}

// nft is a command for the packet filter of host i. The program is that of the first host: others may have none.
func (l *Lab) nft(ctx context.Context, i int, args ...string) *exec.Cmd {
	command := []string{"netns", "exec", fmt.Sprintf("%s-h%d", l.name, i), "chroot", filepath.Join(l.directory(), "h1"), "nft"}
	return exec.CommandContext(ctx, "ip", append(command, args...)...)
}
