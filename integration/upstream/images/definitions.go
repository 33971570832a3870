// Package images makes the images of the stand-in registry that really run: Kubernetes from the compiled tools, flannel, the
// dashboard's stand-ins, and a few programs from Debian.
package images

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/integration/upstream/image"
)

// flannelPluginTag is what flannel's manifest calls its CNI plugin.
const flannelPluginTag = "v1.9.1-flannel3"

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
}

// Definitions lists all images.
func Definitions(ctx context.Context, src Sources) ([]Definition, error) {
	network, err := withLibraries(src.Debian, []string{"usr/sbin/xtables-nft-multi", "usr/sbin/nft", "usr/sbin/conntrack"},
		path.Join(libraries, "xtables", "*.so"))
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"} {
		network = append(network, image.Entry{Path: "usr/sbin/" + name, Link: "xtables-nft-multi"})
	}
	busybox, err := src.busybox(ctx)
	if err != nil {
		return nil, err
	}
	kubernetes, err := src.kubernetes(ctx, network)
	if err != nil {
		return nil, err
	}
	flannel, err := src.flannel(network, busybox)
	if err != nil {
		return nil, err
	}
	redis, err := src.redis(busybox)
	if err != nil {
		return nil, err
	}
	mariadb, err := src.mariadb(busybox)
	if err != nil {
		return nil, err
	}
	all := append(kubernetes, flannel...)
	all = append(all, src.dashboard()...)
	return append(all,
		Definition{
			References: []string{"docker.io/library/busybox:latest", "docker.io/library/busybox:1.35"},
			Layers:     [][]image.Entry{base(), busybox},
			Config:     ocispec.ImageConfig{Cmd: []string{"sh"}},
		},
		Definition{ // what --sbom=true runs
			References: []string{"docker.io/docker/buildkit-syft-scanner:stable-1"},
			Layers:     [][]image.Entry{{{Path: "scanner", Mode: 0o755, Source: filepath.Join(src.Programs, "scanner")}}},
			Config:     ocispec.ImageConfig{Entrypoint: []string{"/scanner"}},
		},
		redis,
		mariadb,
	), nil
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

// kubernetes makes exactly the images that this kubeadm asks for, under its names for them.
func (src Sources) kubernetes(ctx context.Context, network []image.Entry) ([]Definition, error) {
	kubeadm := filepath.Join(src.Tools, "kubeadm")
	version, err := exec.CommandContext(ctx, kubeadm, "version", "--output", "short").Output()
	if err != nil {
		return nil, fmt.Errorf("asking kubeadm for its version: %w", err)
	}
	list, err := exec.CommandContext(ctx, kubeadm, "config", "images", "list",
		"--kubernetes-version", strings.TrimSpace(string(version))).Output()
	if err != nil {
		return nil, fmt.Errorf("asking kubeadm for its images: %w", err)
	}
	var all []Definition
	for _, ref := range strings.Fields(string(list)) {
		named, err := reference.ParseNamed(ref)
		if err != nil {
			return nil, fmt.Errorf("image %q of kubeadm: %w", ref, err)
		}
		d := Definition{References: []string{ref}, Layers: [][]image.Entry{base()}}
		switch name := path.Base(named.Name()); name {
		case "kube-apiserver", "kube-controller-manager", "kube-scheduler":
			d.Layers = append(d.Layers, []image.Entry{src.tool(name, "usr/local/bin/"+name)})
		case "kube-proxy":
			d.Layers = append(d.Layers, network, []image.Entry{src.tool(name, "usr/local/bin/"+name)})
		case "etcd":
			d.Layers = append(d.Layers, []image.Entry{
				src.tool("etcd", "usr/local/bin/etcd"), src.tool("etcdctl", "usr/local/bin/etcdctl")})
		case "coredns":
			d.Layers = append(d.Layers, []image.Entry{src.tool(name, "coredns")})
			d.Config.Entrypoint = []string{"/coredns"}
		case "pause":
			d.Layers = [][]image.Entry{{{Path: "pause", Mode: 0o755, Source: filepath.Join(src.Programs, "pause")}}}
			d.Config.Entrypoint, d.Config.User = []string{"/pause"}, "65535:65535"
		default:
			return nil, fmt.Errorf("kubeadm asks for %s, which nothing here makes", ref)
		}
		all = append(all, d)
	}
	return all, nil
}

// flannel makes the two images of flannel's manifest. Its init containers run cp, or install-conf in newer releases.
func (src Sources) flannel(network, busybox []image.Entry) ([]Definition, error) {
	daemon := src.tool("flanneld", "opt/bin/flanneld")
	tag, err := moduleVersion(daemon.Source, "github.com/flannel-io/flannel")
	if err != nil {
		return nil, err
	}
	return []Definition{
		{
			References: []string{"ghcr.io/flannel-io/flannel:" + tag},
			Layers: [][]image.Entry{base(), busybox, network, {
				daemon, src.tool("install-conf", "opt/bin/install-conf")}},
			Config: ocispec.ImageConfig{Entrypoint: []string{"/opt/bin/flanneld"}},
		},
		{
			References: []string{"ghcr.io/flannel-io/flannel-cni-plugin:" + flannelPluginTag},
			Layers:     [][]image.Entry{base(), busybox, {src.tool("flannel", "flannel")}},
		},
	}, nil
}

// moduleVersion returns the version of a module that a Go program was compiled with.
func moduleVersion(program, module string) (string, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return "", err
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			return dep.Version, nil
		}
	}
	return "", fmt.Errorf("%s is not compiled with %s", program, module)
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
