package execute

import "path"

const (
	// DefaultDataRoot is where a cluster's files are on its hosts, below a directory with the cluster's name.
	DefaultDataRoot = "/var/lib/sealer/data"
	// DefaultName is the name of a cluster that is given none.
	DefaultName = "default"
	// AppsDir is where application images are, below the cluster's directory.
	AppsDir = "apps"
	// HostsFile has the names of hosts, on every host.
	HostsFile = "/etc/hosts"
	// ManifestsDir is where the kubelet of a master finds the static pods of the control plane.
	ManifestsDir = "/etc/kubernetes/manifests/"
)

// Dir is the cluster's directory on every host.
func (s *Session) Dir() string { return path.Join(s.DataRoot, s.Name) }

// ImageDir is the directory of the image of this run: the cluster's, or one below it for an application image.
func (s *Session) ImageDir() string {
	if s.App == "" {
		return s.Dir()
	}
	return path.Join(s.Dir(), AppsDir, s.App)
}
