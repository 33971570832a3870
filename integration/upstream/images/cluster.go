package images

import (
	"context"
	"debug/buildinfo"
	"fmt"
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

// cluster lists the images of Kubernetes and of flannel.
func (src Sources) cluster(ctx context.Context, busybox []image.Entry) ([]Definition, error) {
	network, err := withLibraries(src.Debian, []string{"usr/sbin/xtables-nft-multi", "usr/sbin/nft", "usr/sbin/conntrack"},
		path.Join(libraries, "xtables", "*.so"))
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"} {
		network = append(network, image.Entry{Path: "usr/sbin/" + name, Link: "xtables-nft-multi"})
	}
	kubernetes, err := src.kubernetes(ctx, network)
	if err != nil {
		return nil, err
	}
	flannel, err := src.flannel(network, busybox)
	if err != nil {
		return nil, err
	}
	return append(kubernetes, flannel...), nil
}

// kubernetes makes exactly the images that this kubeadm asks for, under its names for them. Compressed with gzip they would cost hosts
// that bring up a cluster a tenth more processor time.
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
		d := Definition{References: []string{ref}, Layers: [][]image.Entry{base()}, Compression: image.Zstd}
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
			d.Compression = image.Gzip // every cluster has images of both compressions
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
			Config:      ocispec.ImageConfig{Entrypoint: []string{"/opt/bin/flanneld"}},
			Compression: image.Zstd,
		},
		{
			References:  []string{"ghcr.io/flannel-io/flannel-cni-plugin:" + flannelPluginTag},
			Layers:      [][]image.Entry{base(), busybox, {src.tool("flannel", "flannel")}},
			Compression: image.Zstd,
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
