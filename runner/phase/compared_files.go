package phase

import (
	"path"
	"strings"

	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/deliver"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/network"
	"github.com/kubefile/kubefile/runner/registry"
	"github.com/kubefile/kubefile/runner/store"
	"github.com/kubefile/kubefile/runner/unit"
)

// comparedFiles are those that the phases compare with what a host is to have. Of what may be long, or is a secret, the digest is enough.
func comparedFiles(m *execute.Member) wire.Files {
	in := func(dir, name string) string { return path.Join(literal(dir), name) }
	files := wire.Files{
		Contents: []string{execute.HostsFile, in(m.Dir, store.File), in(m.Dir, execute.InitConfig), in(m.Dir, "*.started"), in(m.Dir, path.Join(execute.AppsDir, "*", deliver.UnpackedMarker)), in(m.Dir, "pki/*.crt"), in(m.Dir, "pki/registry.htpasswd")},
		Digests: []string{wire.Path, rootConfig, in(m.Dir, "*.json"), in(m.Dir, "pki/*"), in(m.Dir, network.ResolvFile), in(m.Dir, network.RouteScript),
			unit.Dir + "kubefile-*.service", path.Join(registry.ContainerdDir, "*", "hosts.toml")},
	}
	for _, dir := range []string{m.Dir, m.Image.Dir} {
		files.Contents = append(files.Contents, in(dir, "*.done"), in(dir, deliver.FilesMarker))
	}
	return files
}

// literal makes of a path a pattern for just this path.
func literal(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}
