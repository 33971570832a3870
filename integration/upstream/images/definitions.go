// Package images makes the images of the stand-in registry that really run: Kubernetes from the compiled tools, flannel, the
// dashboard's stand-ins, and a few programs from Debian.
package images

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/integration/upstream/image"
)

// Sources says where on this machine the parts of images are.
type Sources struct {
	Tools    string // directory of the compiled tools, by name
	Programs string // directory of what is in ./programs, compiled
	Debian   string // what UnpackDebian returned
}

// A Definition is one image, under one or more full references. It is made for linux/amd64.
type Definition struct {
	References []string
	Layers     [][]image.Entry
	Config     ocispec.ImageConfig

	// Compression is that of the layers; gzip when empty. Large images that many hosts unpack are better compressed with zstd.
	Compression image.Compression
}

func (d Definition) compression() image.Compression { return cmp.Or(d.Compression, image.Gzip) }

// A Set is a group of images that only some targets need, because making them takes time.
type Set string

// The sets. Without any there are busybox, the dashboard's stand-ins and BuildKit's scanner.
const (
	Cluster   Set = "cluster"   // Kubernetes and flannel, from the compiled tools
	Databases Set = "databases" // Redis and MariaDB, from Debian
)

// Definitions lists the images of the sets, and those that are always made.
func Definitions(ctx context.Context, src Sources, sets []Set) ([]Definition, error) {
	busybox, err := src.busybox(ctx)
	if err != nil {
		return nil, err
	}
	all := append(src.dashboard(),
		Definition{
			References: []string{"docker.io/library/busybox:latest", "docker.io/library/busybox:1.35"},
			Layers:     [][]image.Entry{base(), busybox},
			Config:     ocispec.ImageConfig{Cmd: []string{"sh"}},
		},
		Definition{ // what --sbom=true runs
			References: []string{"docker.io/docker/buildkit-syft-scanner:stable-1"},
			Layers:     [][]image.Entry{{{Path: "scanner", Mode: 0o755, Source: filepath.Join(src.Programs, "scanner")}}},
			Config:     ocispec.ImageConfig{Entrypoint: []string{"/scanner"}},
		})
	for _, set := range sets {
		var more []Definition
		switch set {
		case Cluster:
			more, err = src.cluster(ctx, busybox)
		case Databases:
			more, err = src.databases(busybox)
		default:
			err = fmt.Errorf("unknown set of images %q (sets: %s, %s)", set, Cluster, Databases)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// base is the first layer of most images: the least that programs expect of a system.
func base() []image.Entry {
	return []image.Entry{
		{Path: "etc/passwd", Mode: 0o644, Data: []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")},
		{Path: "etc/group", Mode: 0o644, Data: []byte("root:x:0:\nnogroup:x:65534:\n")},
		{Path: "root", Mode: fs.ModeDir | 0o700},
		{Path: "run", Mode: fs.ModeDir | 0o755},
		{Path: "tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
	}
}

func (src Sources) tool(name, target string) image.Entry {
	return image.Entry{Path: target, Mode: 0o755, Source: filepath.Join(src.Tools, name)}
}

// busybox is busybox with a link for each of its programs.
func (src Sources) busybox(ctx context.Context) ([]image.Entry, error) {
	binary := src.tool("busybox-amd64", "bin/busybox")
	list, err := exec.CommandContext(ctx, binary.Source, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("listing the programs of busybox: %w", err)
	}
	entries := []image.Entry{binary}
	for _, name := range strings.Fields(string(list)) {
		if name != "busybox" {
			entries = append(entries, image.Entry{Path: "bin/" + name, Link: "busybox"})
		}
	}
	return entries, nil
}

// dashboard makes stand-ins for the images of the dashboard's manifest, in testdata/dashboard.
func (src Sources) dashboard() []Definition {
	standIn := func(ref, port string) Definition {
		return Definition{
			References: []string{ref},
			Layers:     [][]image.Entry{base(), {{Path: "dashboard", Mode: 0o755, Source: filepath.Join(src.Programs, "dashboard")}}},
			Config: ocispec.ImageConfig{
				Entrypoint: []string{"/dashboard"}, User: "65534", ExposedPorts: map[string]struct{}{port: {}},
			},
		}
	}
	return []Definition{
		standIn("docker.io/kubernetesui/dashboard:v2.2.0", "8443/tcp"),
		standIn("docker.io/kubernetesui/metrics-scraper:v1.0.6", "8000/tcp"),
	}
}
