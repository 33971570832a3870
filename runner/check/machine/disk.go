package machine

import (
	"fmt"
	"slices"

	"github.com/kubefile/kubefile/runner/check"
	"github.com/kubefile/kubefile/runner/host"
)

const (
	// What is there when a cluster has come up and nothing runs on it.
	containerdBytes = 256 << 20
	kubeletBytes    = 128 << 20
	etcdBytes       = 256 << 20
	// runningBytes is for what runs: logs, containers, snapshots.
	runningBytes = 2 << 30
	fewInodes    = 100_000
)

func disks() []check.Check {
	return []check.Check{
		{ID: "disk-space", Severity: check.Error, Title: "The file systems that grow have enough free space", Host: space},
		{ID: "disk-space-margin", Severity: check.Warning, Title: "The file systems that grow have space for what runs", Host: margin},
		{ID: "disk-inodes", Severity: check.Warning, Title: "The file systems that grow have free inodes", Host: inodes},
		{ID: "read-only-directory", Severity: check.Error, Title: "The directories that are written to are not read-only", Host: readOnly},
		{ID: "noexec-directory", Severity: check.Error, Title: "Programs can be run where they are installed", Host: noexec},
		{ID: "noexec-tmp", Severity: check.Warning, Title: "Programs can be run in /tmp", Host: noexecTmp},
		{ID: "network-file-system", Severity: check.Warning, Title: "Data are on a local file system", Host: networkFS},
		{ID: "nested-overlay", Severity: check.Warning, Title: "Containers are not stored on an overlay", Host: nestedOverlay},
		{ID: "data-symlink", Severity: check.Warning, Title: "Directories for data are not symbolic links", Host: symlinks},
	}
}

// demand is what will be stored on one file system.
type demand struct {
	system host.FileSystem
	bytes  uint64
	dirs   []string
}

// demands sum up what will be stored on each file system of a host: layers as shipped and unpacked about three times as large, programs
// once more in /usr/local/bin, images in the registry of a master and in containerd's store. margin is for what runs then.
func demands(h check.Host, s *check.Site, margin uint64) (all []*demand) {
	need := func(purpose, dir string, bytes uint64) {
		system, known := h.Facts.FileSystem(purpose)
		if !known || bytes == 0 {
			return
		}
		i := slices.IndexFunc(all, func(d *demand) bool { return d.system.ID() == system.ID() })
		if i < 0 {
			i, all = len(all), append(all, &demand{system: system})
		}
		all[i].bytes += bytes
		all[i].dirs = append(all[i].dirs, dir)
	}
	images, etcd := s.ImageBytes, uint64(etcdBytes)
	if !h.IsMaster() {
		images, etcd = 0, 0
	}
	need(host.DataRoot, s.DataRoot, 4*s.RootfsBytes+images)
	need("/usr/local/bin", "/usr/local/bin", 3*s.RootfsBytes)
	need(host.ContainerdDir, host.ContainerdDir, images+containerdBytes+margin)
	need("/var/lib/kubelet", "/var/lib/kubelet", kubeletBytes)
	need(host.EtcdDir, host.EtcdDir, etcd)
	return all
}

func space(h check.Host, s *check.Site, report func(what, fix string)) {
	for _, d := range demands(h, s, 0) {
		if !h.Ours && d.system.FreeBytes < d.bytes {
			report(fmt.Sprintf("%s free where %s are needed: %s, for %s", check.Size(d.system.FreeBytes), check.Size(d.bytes), d.system.Mount, check.List(d.dirs)),
				"free some space, enlarge that file system, or put the data root on another one (--data-root)")
		}
	}
}

func margin(h check.Host, s *check.Site, report func(what, fix string)) {
	tight := demands(h, s, 0)
	for i, d := range demands(h, s, runningBytes) {
		if !h.Ours && d.system.FreeBytes < d.bytes && d.system.FreeBytes >= tight[i].bytes {
			report(fmt.Sprintf("%s free where %s are recommended: %s; when it is full, the kubelet evicts pods and etcd stops", check.Size(d.system.FreeBytes), check.Size(d.bytes), d.system.Mount),
				"free some space, or enlarge that file system")
		}
	}
}

func inodes(h check.Host, _ *check.Site, report func(what, fix string)) {
	var seen []string
	for _, system := range h.Facts.FileSystems {
		if grows(system.Purpose) && system.HasInodes && system.FreeInodes < fewInodes && !slices.Contains(seen, system.ID()) {
			seen = append(seen, system.ID())
			report(fmt.Sprintf("%d inodes are free in %s: images of many small files do not fit, although there is space", system.FreeInodes, system.Mount),
				"remove files there, or create the file system again with more inodes")
		}
	}
}

func grows(purpose string) bool {
	return slices.Contains([]string{host.DataRoot, host.ContainerdDir, host.EtcdDir, "/var/lib/kubelet"}, purpose)
}

// pathOf is a file system's purpose as a person knows it.
func pathOf(s *check.Site, system host.FileSystem) string {
	if system.Purpose == host.DataRoot {
		return s.DataRoot
	}
	return system.Purpose
}

func mounted(h check.Host, s *check.Site, option string, report func(dir, mount string), purposes ...string) {
	for _, system := range h.Facts.FileSystems {
		if slices.Contains(purposes, system.Purpose) && slices.Contains(system.Options, option) {
			report(pathOf(s, system), system.Mount)
		}
	}
}

func readOnly(h check.Host, s *check.Site, report func(what, fix string)) {
	mounted(h, s, "ro", func(dir, mount string) {
		report(fmt.Sprintf("%s is read-only (%s)", dir, mount), "mount it writable: mount -o remount,rw "+mount+", and correct /etc/fstab")
	}, host.DataRoot, "/usr/local/bin", "/opt/cni/bin", "/etc", host.ContainerdDir, "/var/lib/kubelet")
}

func noexec(h check.Host, s *check.Site, report func(what, fix string)) {
	mounted(h, s, "noexec", func(dir, mount string) {
		report(fmt.Sprintf("%s is mounted noexec (%s), and programs of the image are run there", dir, mount),
			"remount it with exec and correct /etc/fstab, or put the data root elsewhere (--data-root)")
	}, host.DataRoot, "/usr/local/bin", "/opt/cni/bin")
}

func noexecTmp(h check.Host, s *check.Site, report func(what, fix string)) {
	mounted(h, s, "noexec", func(string, string) {
		report("/tmp is mounted noexec: a plugin or a script of the image that runs a program there fails", "remount it with exec, or test the image's scripts with this setting")
	}, "/tmp")
}

func networkFS(h check.Host, s *check.Site, report func(what, fix string)) {
	remote := []string{"nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "9p", "afs", "lustre", "gpfs"}
	for _, system := range h.Facts.FileSystems {
		if grows(system.Purpose) && slices.Contains(remote, system.Type) {
			report(fmt.Sprintf("%s is on %s (%s): etcd loses its leader when the network is slow, and containers cannot be unpacked there", pathOf(s, system), system.Type, system.Mount),
				"put it on a local disk")
		}
	}
}

func nestedOverlay(h check.Host, _ *check.Site, report func(what, fix string)) {
	if system, known := h.Facts.FileSystem(host.ContainerdDir); known && !h.Ours && (system.Type == "overlay" || system.Type == "aufs") {
		report(fmt.Sprintf("%s is on an %s: containerd's default snapshotter cannot put layers on it, and no container starts", host.ContainerdDir, system.Type),
			"mount a file system of its own there, ext4 or XFS")
	}
}

func symlinks(h check.Host, _ *check.Site, report func(what, fix string)) {
	for _, dir := range h.Facts.Symlinks {
		report(dir+" is a symbolic link: mounts of volumes below it are not recognized, and are left behind", "mount the file system there (mount --bind), in place of the link")
	}
}
