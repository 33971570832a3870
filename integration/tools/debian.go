package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// installed makes sure that Debian packages are on the machine. Nothing is run but a query when they are.
func installed(ctx context.Context, packages []string) error {
	var missing []string
	for _, name := range packages {
		status, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f=${db:Status-Status}", name).Output()
		if err != nil || string(status) != "installed" {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("missing Debian packages; as root: apt-get install %s", strings.Join(missing, " "))
	}
	fmt.Println("installing Debian packages:", strings.Join(missing, " "))
	install := append([]string{"install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=600"}, missing...)
	if aptGet(ctx, "", install...) == nil {
		return nil
	}
	// A bare machine has no package lists yet, an old one outdated ones.
	if err := aptGet(ctx, "", "update"); err != nil {
		return err
	}
	return aptGet(ctx, "", install...)
}

func aptGet(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q"}, args...)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	return runCommand(cmd)
}

// static is a program of Debian's package PROGRAM-static for an architecture, which need not be the machine's. Its version is the
// Debian release.
func static(program, arch string) (tool, error) {
	release, err := debianRelease()
	if err != nil {
		return tool{}, err
	}
	name := program + "-" + arch
	key := sha256.Sum256([]byte(name + " " + release))
	return tool{
		name: name, version: release, key: hex.EncodeToString(key[:])[:12], binaries: []string{name},
		build: func(ctx context.Context, dir string) error {
			return fetchStatic(ctx, program, arch, filepath.Join(dir, name))
		},
	}, nil
}

// fetchStatic downloads the package from the machine's configured sources, where apt checks the signatures, with package
// lists of its own: the machine's lists and dpkg's architectures stay as they are.
func fetchStatic(ctx context.Context, program, arch, target string) (err error) {
	work, err := os.MkdirTemp("", "kubefile-"+program+"-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	for _, dir := range []string{"state/lists/partial", "cache/archives/partial", "root"} {
		if err := os.MkdirAll(filepath.Join(work, dir), 0o755); err != nil {
			return err
		}
	}
	status := filepath.Join(work, "status")
	if err := os.WriteFile(status, nil, 0o644); err != nil {
		return err
	}
	options := []string{
		"-o", "APT::Architecture=" + arch, "-o", "APT::Architectures=" + arch,
		"-o", "Dir::State=" + filepath.Join(work, "state"), "-o", "Dir::State::status=" + status,
		"-o", "Dir::Cache=" + filepath.Join(work, "cache"),
		"-o", "APT::Sandbox::User=root", // the directory belongs to the caller alone
	}
	if err := aptGet(ctx, work, append(options, "update")...); err != nil {
		return err
	}
	if err := aptGet(ctx, work, append(options, "download", program+"-static")...); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil || len(debs) != 1 {
		return fmt.Errorf("apt-get download left %d packages: %w", len(debs), err)
	}
	root := filepath.Join(work, "root")
	if err := runCommand(exec.CommandContext(ctx, "dpkg-deb", "-x", debs[0], root)); err != nil {
		return err
	}
	for _, dir := range []string{"bin", "usr/bin"} { // before and after Debian's /usr merge
		for _, name := range []string{program, program + "-static"} {
			if data, err := os.ReadFile(filepath.Join(root, dir, name)); err == nil {
				return os.WriteFile(target, data, 0o755)
			}
		}
	}
	return fmt.Errorf("%s holds no %s", filepath.Base(debs[0]), program)
}

// debianRelease returns the code name in /etc/os-release.
func debianRelease() (string, error) {
	data, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			return strings.Trim(name, `"`), nil
		}
	}
	return "", errors.New("/etc/os-release names no release: this needs Debian")
}
