package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	"github.com/goreleaser/nfpm/v2/rpm"
)

// writePackages packs a binary for Debian and RPM distributions.
func (r *release) writePackages(binary, arch string) error {
	packers := []struct {
		nfpm.Packager
		extension, license string
	}{
		{deb.Default, ".deb", "/usr/share/doc/" + program + "/copyright"},
		{rpm.DefaultRPM, ".rpm", "/usr/share/licenses/" + program + "/LICENSE"},
	}
	for _, p := range packers {
		info := nfpm.WithDefaults(r.description(binary, arch, p.license))
		if err := nfpm.PrepareForPackager(info, p.extension[1:]); err != nil {
			return err
		}
		name := p.ConventionalFileName(info)
		file, err := os.Create(r.path(name))
		if err != nil {
			return err
		}
		info.Target = r.path(name)
		if err := errors.Join(p.Package(info, file), file.Close()); err != nil {
			return err
		}
	}
	return nil
}

// description is the metadata of a package, and its content.
func (r *release) description(binary, arch, licenseFile string) *nfpm.Info {
	content := func(source, destination string, mode os.FileMode) *files.Content {
		return &files.Content{Source: source, Destination: destination,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode, MTime: r.date}}
	}
	info := &nfpm.Info{
		Name: program, Arch: arch, Platform: "linux", Version: r.version, Release: "1", MTime: r.date, DisableGlobbing: true,
		Section: "admin", Priority: "optional", License: license, Homepage: project,
		Maintainer:  "The Kubefile Authors <kubefile@users.noreply.github.com>",
		Description: "Bring a Kubernetes cluster image up on bare hosts, offline\nsealer-run installs a cluster from one OCI image over SSH. The hosts need no internet.",
	}
	info.Contents = files.Contents{
		content(r.path(binary), "/usr/bin/"+program, 0o755),
		content(filepath.Join(r.root, "LICENSE"), licenseFile, 0o644),
	}
	info.RPM.Group = "Applications/System"
	info.RPM.BuildHost = "localhost" // not the machine's own name, for the packages are reproducible
	return info
}
