// Package hostiletest has what no cluster image may have, for the tests of everything that reads one: they have to agree.
package hostiletest

import (
	"archive/tar"
	"strings"
)

// File is an entry of a layer, or a file on a disk.
type File struct {
	Name, Content, Link string
	Type                byte // as in archive/tar
}

// Case is a list of files, of which the last one is refused.
type Case struct {
	Files []File
	// OnDisk reports that a file system can hold it, so a build step can create it.
	OnDisk bool
	// Refused is the path that an error must name; empty means the path of the last file.
	Refused string
}

// Path is the path that an error has to name.
func (c Case) Path() string {
	if c.Refused != "" {
		return c.Refused
	}
	return c.Files[len(c.Files)-1].Name
}

func regular(name string) File    { return File{Name: name, Type: tar.TypeReg} }
func link(name, to string) File   { return File{Name: name, Type: tar.TypeSymlink, Link: to} }
func hard(name, to string) File   { return File{Name: name, Type: tar.TypeLink, Link: to} }
func of(kind byte, n string) File { return File{Name: n, Type: kind} }

// Rootfs are files that no rootfs may have.
func Rootfs() map[string]Case {
	disk := func(files ...File) Case { return Case{Files: files, OnDisk: true} }
	layer := func(files ...File) Case { return Case{Files: files} }
	named := func(path string, c Case) Case { c.Refused = path; return c }
	long := strings.Repeat("x", 256)
	return map[string]Case{
		"named pipe":                   disk(of(tar.TypeFifo, "run/pipe")),
		"character device":             disk(of(tar.TypeChar, "dev/null")),
		"block device":                 disk(of(tar.TypeBlock, "dev/sda")),
		"note of the agent":            disk(regular(".kubefile/unpacked.json")),
		"note of the agent, directory": disk(of(tar.TypeDir, ".kubefile/unpacked.json")),
		"note of the agent, link":      disk(link(".kubefile/unpacked.json", "../etc/x")),
		"a file for .kubefile":         disk(regular(".kubefile")),
		"a link for .kubefile":         disk(link(".kubefile", "etc")),
		"a link for registry":          disk(link("registry", "etc")),
		"a file for registry":          disk(regular("registry")),
		"a link for the runner":        disk(link(".kubefile/sealer-run", "../bin/sh")),
		"a link above":                 layer(link("l", ".."), regular("l/x")),
		"an absolute link":             layer(link("l", "/etc"), regular("l/x")),
		"dot dot":                      named("../x", layer(regular("../x"))),
		"dot dot inside":               layer(regular("a/../../x")),
		"absolute":                     layer(regular("/x")),
		"hard link to outside":         layer(hard("h", "../x")),
		"hard link to nothing":         layer(hard("h", "missing")),
		"hard link to a directory":     layer(of(tar.TypeDir, "d"), hard("h", "d")),
		"whiteout of nothing":          layer(regular("a/.wh.")),
		"whiteout of dot dot":          layer(regular("a/.wh...")),
		"link to nothing":              layer(link("l", "")),
		"long name":                    named(long[:90], layer(regular("a/"+long))),
		"below a file":                 layer(regular("a"), regular("a/b")),
	}
}

// OnDiskOnly are files that a step of a build can make, and that an archive cannot say: there they are whiteouts.
func OnDiskOnly() map[string]Case {
	return map[string]Case{
		"whiteout":        {Files: []File{regular("etc/.wh.hosts")}, OnDisk: true},
		"opaque whiteout": {Files: []File{regular("etc/.wh..wh..opq")}, OnDisk: true},
		"directory":       {Files: []File{{Name: "etc/.wh.d", Type: tar.TypeDir}}, OnDisk: true},
	}
}

// Store are files of an image layer that no store may have.
func Store() map[string]Case {
	const hex = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" // of "test"
	blob := func(name string) Case { return Case{Files: []File{{Name: name, Content: "test", Type: tar.TypeReg}}} }
	ref := func(name, content string) Case {
		return Case{Files: []File{{Name: name, Content: content, Type: tar.TypeReg}}}
	}
	const manifest = `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:` + hex + `","size":4}`
	return map[string]Case{
		"link for a blob":          {Files: []File{link("registry/blobs/sha256/"+hex, "/etc/passwd")}},
		"device for a blob":        {Files: []File{of(tar.TypeChar, "registry/blobs/sha256/"+hex)}},
		"pipe for a reference":     {Files: []File{of(tar.TypeFifo, "registry/refs/quay.io/a/_tags/1.json")}},
		"blob of another digest":   blob("registry/blobs/sha256/0" + hex[1:]),
		"blob of no digest":        blob("registry/blobs/sha256/abc"),
		"blob of sha512":           blob("registry/blobs/sha512/" + hex + hex),
		"blob in upper case":       blob("registry/blobs/sha256/" + strings.ToUpper(hex)),
		"blob below a blob":        blob("registry/blobs/sha256/" + hex + "/" + hex),
		"reference without a tag":  ref("registry/refs/quay.io/a/_tags/.json", manifest),
		"reference without a host": ref("registry/refs/a/_tags/1.json", manifest),
		"reference, no JSON":       ref("registry/refs/quay.io/a/_tags/1.json", "{"),
		"reference to a layer":     ref("registry/refs/quay.io/a/_tags/1.json", strings.Replace(manifest, "manifest", "layer", 1)),
		"reference to a path":      ref("registry/refs/quay.io/a/_tags/1.json", strings.Replace(manifest, hex, "../../../etc/passwd", 1)),
		"negative size":            ref("registry/refs/quay.io/a/_tags/1.json", strings.Replace(manifest, ":4}", ":-4}", 1)),
		"digest of another":        ref("registry/refs/quay.io/a/_digests/sha256/0"+hex[1:]+".json", manifest),
		"reference too large":      ref("registry/refs/quay.io/a/_tags/1.json", manifest+strings.Repeat(" ", 64<<10)),
	}
}
