package main

import "fmt"

// cgoPackages are the Debian packages that compile and statically link a cgo program: runc, with seccomp.
var cgoPackages = []string{"gcc", "libc6-dev", "libseccomp-dev", "pkg-config"}

// clusterTags are those of Kubernetes. Everything in its module has them, so that the packages that they change are compiled once.
const clusterTags = "notest,grpcnotrace"

// programs lists everything that is compiled. Versions stand in the go.mod files only; README.md says why there are several.
// The order is that of the builds: what the other parts of the lab wait for comes first.
var programs = []program{
	{name: "buildkitd", dir: "build", module: "github.com/moby/buildkit",
		packages: []string{"github.com/moby/buildkit/cmd/buildkitd"},
		set:      []string{"github.com/moby/buildkit/version.Version={version}"}},
	{name: "buildctl", dir: "build", module: "github.com/moby/buildkit",
		packages: []string{"github.com/moby/buildkit/cmd/buildctl"},
		set:      []string{"github.com/moby/buildkit/version.Version={version}"}},
	{name: "runc", dir: "runtime", module: "github.com/opencontainers/runc",
		packages: []string{"github.com/opencontainers/runc"},
		tags:     "seccomp,netgo,osusergo,urfave_cli_no_docs", cgo: true},
	{name: "registry", dir: "build", module: "github.com/distribution/distribution/v3",
		packages: []string{"./registry"},
		set:      []string{"github.com/distribution/distribution/v3/version.version={version}"}},
	{name: "crane", dir: "build", module: "github.com/google/go-containerregistry",
		packages: []string{"github.com/google/go-containerregistry/cmd/crane"},
		set:      []string{"github.com/google/go-containerregistry/cmd/crane/cmd.Version={version}"}},
	{name: "oras", dir: "build", module: "oras.land/oras",
		packages: []string{"oras.land/oras/cmd/oras"}},
	{name: "buildx", dir: "build", module: "github.com/docker/buildx",
		packages: []string{"github.com/docker/buildx/cmd/buildx"},
		set:      []string{"github.com/docker/buildx/version.Version={version}"}},
	// BuildKits that people still have: one that cannot fetch blobs itself (0.28 and later can), the oldest that is taken, the last that is refused.
	{name: "buildkitd-v0.17", dir: "buildkit-v0.17", module: "github.com/moby/buildkit",
		packages: []string{"github.com/moby/buildkit/cmd/buildkitd"},
		set:      []string{"github.com/moby/buildkit/version.Version={version}"}},
	{name: "buildkitd-v0.11", dir: "buildkit-v0.11", module: "github.com/moby/buildkit",
		packages: []string{"github.com/moby/buildkit/cmd/buildkitd"},
		set:      []string{"github.com/moby/buildkit/version.Version={version}"}},
	{name: "buildkitd-v0.10", dir: "buildkit-v0.10", module: "github.com/moby/buildkit",
		packages: []string{"github.com/moby/buildkit/cmd/buildkitd"},
		set:      []string{"github.com/moby/buildkit/version.Version={version}"}},
	{name: "cosign", dir: "cosign", module: "github.com/sigstore/cosign/v3",
		packages: []string{"github.com/sigstore/cosign/v3/cmd/cosign"}},
	{name: "staticcheck", dir: ".", module: "honnef.co/go/tools",
		packages: []string{"honnef.co/go/tools/cmd/staticcheck"}},
	{name: "actionlint", dir: "actionlint", module: "github.com/rhysd/actionlint",
		packages: []string{"github.com/rhysd/actionlint/cmd/actionlint"}},
	{name: "govulncheck", dir: "govulncheck", module: "golang.org/x/vuln",
		packages: []string{"golang.org/x/vuln/cmd/govulncheck"}},
	// Helm 4, because it is the engine that the frontend renders charts with: what was discovered is what gets installed.
	{name: "helm", dir: "helm", module: "helm.sh/helm/v4",
		packages: []string{"helm.sh/helm/v4/cmd/helm"},
		set:      []string{"helm.sh/helm/v4/internal/version.version={version}"}},
	// containerd 2.3 is the long-term release; btrfs, device mapper and zfs snapshotters are left out as on most distributions.
	{name: "containerd", dir: "runtime", module: "github.com/containerd/containerd/v2",
		packages: []string{
			"github.com/containerd/containerd/v2/cmd/containerd",
			"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
			"github.com/containerd/containerd/v2/cmd/ctr"},
		set:  []string{"github.com/containerd/containerd/v2/version.Version={version}"},
		tags: "urfave_cli_no_docs,no_btrfs,no_devmapper,no_zfs"},
	{name: "cni-plugins", dir: "runtime", module: "github.com/containernetworking/plugins",
		packages: []string{
			"github.com/containernetworking/plugins/plugins/main/bridge",
			"github.com/containernetworking/plugins/plugins/main/loopback",
			"github.com/containernetworking/plugins/plugins/main/ptp",
			"github.com/containernetworking/plugins/plugins/ipam/host-local",
			"github.com/containernetworking/plugins/plugins/meta/firewall",
			"github.com/containernetworking/plugins/plugins/meta/portmap"},
		set: []string{"github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion={version}"}},
	{name: "crictl", dir: "cluster", module: "sigs.k8s.io/cri-tools",
		packages: []string{"sigs.k8s.io/cri-tools/cmd/crictl"},
		set:      []string{"sigs.k8s.io/cri-tools/pkg/version.Version={version}"},
		tags:     clusterTags},
	{name: "kubeadm", dir: "cluster", module: "k8s.io/kubernetes", // apart, for tests that need nothing else
		packages: []string{"k8s.io/kubernetes/cmd/kubeadm"},
		set:      kubernetesVersion(),
		tags:     clusterTags},
	{name: "kubernetes", dir: "cluster", module: "k8s.io/kubernetes",
		packages: []string{
			"k8s.io/kubernetes/cmd/kubelet",
			"k8s.io/kubernetes/cmd/kubectl",
			"k8s.io/kubernetes/cmd/kube-apiserver",
			"k8s.io/kubernetes/cmd/kube-controller-manager",
			"k8s.io/kubernetes/cmd/kube-scheduler",
			"k8s.io/kubernetes/cmd/kube-proxy"},
		set:  kubernetesVersion(),
		tags: clusterTags},
	// etcd and CoreDNS stay at the versions whose images this Kubernetes' kubeadm asks for: a tag names what is in it.
	{name: "etcd", dir: "cluster", module: "go.etcd.io/etcd/server/v3",
		packages: []string{"go.etcd.io/etcd/server/v3"},
		tags:     clusterTags},
	{name: "etcdctl", dir: "cluster", module: "go.etcd.io/etcd/etcdctl/v3",
		packages: []string{"go.etcd.io/etcd/etcdctl/v3"},
		tags:     clusterTags},
	{name: "coredns", dir: "coredns", module: "github.com/coredns/coredns",
		packages: []string{"./"},
		tags:     clusterTags},
	{name: "flanneld", dir: "cluster", module: "github.com/flannel-io/flannel",
		packages: []string{"./flanneld"},
		set:      []string{"github.com/flannel-io/flannel/pkg/version.Version={version}"},
		tags:     clusterTags},
	{name: "install-conf", dir: "cluster", module: "github.com/flannel-io/flannel", // what the manifest's init container runs
		packages: []string{"github.com/flannel-io/flannel/cmd/install_conf"},
		tags:     clusterTags},
	{name: "flannel", dir: "cluster", module: "github.com/containernetworking/plugins",
		packages: []string{"./cni-flannel"},
		set:      []string{"github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion={version}"},
		tags:     clusterTags},
}

// kubernetesVersion sets what `kubectl version` and the API server's /version report. Without it they say v0.0.0-master, which
// kubeadm refuses. The commit is not known to a module build and stays empty.
func kubernetesVersion() []string {
	var set []string
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		set = append(set,
			pkg+".gitVersion={version}",
			pkg+".gitMajor={major}",
			pkg+".gitMinor={minor}",
			pkg+".gitTreeState=clean",
			pkg+".gitCommit=")
	}
	return set
}

// tools returns all tools in the order of the table; root is the directory with the go.mod files.
func tools(root string) ([]tool, error) {
	var all []tool
	for _, p := range programs {
		t, err := p.tool(root)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		all = append(all, t)
	}
	// The frontend image is made for both platforms, so its toolbox is too.
	for _, arch := range []string{"amd64", "arm64"} {
		for _, name := range []string{"busybox", "bash"} {
			t, err := static(name, arch)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			all = append(all, t)
		}
	}
	return all, nil
}
