package images

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/integration/upstream/image"
)

const (
	debianRelease = "bookworm"
	libraries     = "usr/lib/x86_64-linux-gnu"
)

// packagesOf lists the Debian packages that the images of a set take programs from. Their dependencies are unpacked with them.
func packagesOf(set Set) []string {
	switch set {
	case Cluster:
		return []string{"conntrack", "iptables", "nftables"}
	case Databases:
		return []string{"mariadb-client", "mariadb-server-core", "redis-server"}
	}
	return nil
}

// UnpackDebian unpacks the Debian packages of sets into a directory of the cache, without installing them, and returns the directory.
// It needs mmdebstrap and the machine's package sources, but only the first time. One caller at a time may use a cache.
func UnpackDebian(ctx context.Context, cache string, sets []Set) (string, error) {
	var packages []string
	for _, set := range sets {
		packages = append(packages, packagesOf(set)...)
	}
	slices.Sort(packages)
	dir := filepath.Join(cache, "debian", debianRelease+"-"+strings.Join(packages, "-"))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	unfinished := filepath.Join(cache, "debian", ".unfinished")
	if err := os.RemoveAll(unfinished); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(unfinished), 0o755); err != nil {
		return "", err
	}
	sources, err := packageSources()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "mmdebstrap", "--variant=extract", "--mode=root", "--include="+strings.Join(packages, ","),
		"--aptopt=Apt::Install-Recommends false", debianRelease, unfinished, sources)
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("unpacking Debian packages: %w\n%s", err, output)
	}
	return dir, os.Rename(unfinished, dir)
}

// packageSources finds the machine's list of Debian mirrors, in the newer or the older form.
func packageSources() (string, error) {
	for _, name := range []string{"/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"} {
		if _, err := os.Stat(name); err == nil {
			return name, nil
		}
	}
	return "", errors.New("no package sources in /etc/apt: images take programs from Debian packages")
}

// withLibraries returns entries for programs below root, and for the libraries that they load: those that each file names,
// and plugins, which are matched by the pattern in plugins and stay at their paths.
func withLibraries(root string, programs []string, plugins string) ([]image.Entry, error) {
	found := make(map[string]image.Entry) // by path in the image
	var pending []string                  // files whose libraries are still to be found
	add := func(target, source string) error {
		if _, ok := found[target]; ok {
			return nil
		}
		resolved, err := resolve(root, source)
		if err != nil {
			return err
		}
		found[target] = image.Entry{Path: target, Mode: 0o755, Source: resolved}
		pending = append(pending, resolved)
		return nil
	}
	for _, program := range programs {
		if err := add(program, program); err != nil {
			return nil, err
		}
	}
	matches, err := fs.Glob(os.DirFS(root), plugins)
	if err != nil {
		return nil, err
	}
	for _, plugin := range matches {
		if err := add(plugin, plugin); err != nil {
			return nil, err
		}
	}
	for len(pending) > 0 {
		interpreter, needed, err := dynamic(pending[0])
		if err != nil {
			return nil, err
		}
		pending = pending[1:]
		if interpreter != "" {
			if err := add(interpreter, interpreter); err != nil {
				return nil, err
			}
		}
		for _, library := range needed {
			if err := add(path.Join(libraries, library), path.Join(libraries, library)); err != nil {
				return nil, err
			}
		}
	}
	entries := make([]image.Entry, 0, len(found))
	for _, entry := range found {
		entries = append(entries, entry)
	}
	slices.SortFunc(entries, func(a, b image.Entry) int { return strings.Compare(a.Path, b.Path) })
	return entries, nil
}

// resolve returns the file that a path below root leads to, whose links are relative to root. A path under /usr/lib may be a
// path under /lib, as packages of this release have it.
func resolve(root, name string) (string, error) {
	for range 8 {
		info, err := os.Lstat(filepath.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(name, "usr/lib/") {
			name = strings.TrimPrefix(name, "usr/")
			info, err = os.Lstat(filepath.Join(root, name))
		}
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			return filepath.Join(root, name), nil
		}
		link, err := os.Readlink(filepath.Join(root, name))
		if err != nil {
			return "", err
		}
		if path.IsAbs(link) {
			name = strings.TrimPrefix(path.Clean(link), "/")
		} else {
			name = path.Join(path.Dir(name), link)
		}
	}
	return "", fmt.Errorf("%s: too many links", name)
}

// dynamic returns an ELF file's program interpreter, relative to the root, and the libraries that it needs.
func dynamic(name string) (interpreter string, needed []string, err error) {
	file, err := elf.Open(name)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", name, err)
	}
	defer file.Close()
	for _, program := range file.Progs {
		if program.Type == elf.PT_INTERP {
			value := make([]byte, program.Filesz)
			if _, err := program.ReadAt(value, 0); err != nil {
				return "", nil, fmt.Errorf("%s: %w", name, err)
			}
			interpreter = strings.Trim(string(value), "/\x00")
		}
	}
	needed, err = file.ImportedLibraries()
	return interpreter, needed, err
}
