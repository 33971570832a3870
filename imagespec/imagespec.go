// Package imagespec is the cluster image format: the labels, the lock file and the embedded OCI store of an image that a
// Kubefile builds, and the one reader and validator that frontend and runner share. SPEC.md is the normative text.
//
// Everything this package reads comes from outside and is treated as hostile: sizes, depths, names and digests are checked
// before they are used.
package imagespec

import "errors"

// Version is the format version that this package writes and reads (SPEC.md, section 1).
const Version = "1"

// Labels of the image config (SPEC.md, section 3). What a derived build or an inspection needs is here, so that no layer has to be
// pulled for it.
const (
	// LabelVersion marks a cluster image and has the version of its format.
	LabelVersion = "io.kubefile.version"
	// LabelFrontend is the version of the frontend that built the image ("v0.1.0"). It is for people; nothing is decided by it.
	LabelFrontend = "io.kubefile.frontend"
	// LabelKind is KindCluster or KindApp.
	LabelKind = "io.kubefile.kind"
	// LabelKubernetesVersion is the packed Kubernetes version ("v1.34.4"). A Kubefile sets it by LABEL; derived images inherit it.
	LabelKubernetesVersion = "io.kubefile.kubernetes.version"
	// LabelSupportedKubernetes is the range of Kubernetes versions that an image supports (">=1.28, <1.35"), as written in KUBEVERSION.
	LabelSupportedKubernetes = "io.kubefile.kubernetes.supported"
	// LabelApps is the JSON list of the applications in the image, the base image's first.
	LabelApps = "io.kubefile.apps"
	// LabelCommands is the JSON list of commands that bring the applications up, the base image's first.
	LabelCommands = "io.kubefile.commands"
	// LabelImages is the whole lock as compact JSON.
	LabelImages = "io.kubefile.images"
	// LabelRootfs lists the files of the rootfs, so that a derived build knows what is where without pulling a layer: a [TreeLabel].
	LabelRootfs = "io.kubefile.rootfs"
)

// Kinds of cluster images.
const (
	// KindCluster has Kubernetes in it and makes hosts a cluster.
	KindCluster = "cluster"
	// KindApp has none and runs on a cluster that is there.
	KindApp = "app"
)

// Roles of applications that a cluster needs before all others.
const (
	// RoleCNI is the network: its commands run first.
	RoleCNI = "cni"
	// RoleCSI is the storage. Its commands run after the commands of the network.
	RoleCSI = "csi"
)

// HistoryImages is the comment of a history entry whose layer holds embedded images and nothing else, so that a worker node
// never receives it (SPEC.md, section 5).
const HistoryImages = "io.kubefile.layer=images"

// PredicateLock is the type of the in-toto statement whose predicate is the lock (SPEC.md, section 6).
const PredicateLock = "https://kubefile.io/images-lock/v1"

// Places in the image, relative to its root (SPEC.md, section 2).
const (
	// RegistryDir is the embedded OCI store.
	RegistryDir = "registry"
	// LockPath is the lock file.
	LockPath = RegistryDir + "/images.lock.json"
	// ApplicationsDir has a directory for each application.
	ApplicationsDir = "applications"
	// RunnerPath is the static runner of the image's platform.
	RunnerPath = RunnerDir + "/sealer-run"
)

// Limits on what is read (SPEC.md, section 8).
const (
	// MaxManifestSize bounds manifests, indexes and image configs, in bytes; the OCI distribution specification asks registries
	// to accept manifests of 4 MiB.
	MaxManifestSize = 4 << 20
	// MaxLockSize bounds the lock, in bytes.
	MaxLockSize = 16 << 20
	// MaxIndexDepth bounds indexes within indexes.
	MaxIndexDepth = 4
	// MaxLayers bounds the layers of a cluster image; above it the overlay mounts of the next build fail.
	MaxLayers = 500

	maxRefSize  = 64 << 10
	maxCommands = 4096
	// maxCommandSize bounds one command, in bytes: it has to fit into one argument of a process, of 128 KiB on Linux, with what the run adds.
	maxCommandSize = 96 << 10
	maxApps        = 1024
)

var (
	// ErrNotClusterImage is returned for an image without the label io.kubefile.version, which was not built from a Kubefile.
	ErrNotClusterImage = errors.New("not a cluster image")
	// ErrVersion is returned for an image with a format version that this program does not know.
	ErrVersion = errors.New("unknown cluster image version")
	// ErrInvalid is returned for a cluster image that breaks a rule of SPEC.md.
	ErrInvalid = errors.New("invalid cluster image")
	// ErrNotFound is returned if the requested content is not in the embedded store.
	ErrNotFound = errors.New("not in the embedded store")
)
