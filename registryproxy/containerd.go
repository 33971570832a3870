package registryproxy

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/distribution/reference"

	"github.com/kubefile/kubefile/imagespec"
)

const (
	// DefaultHostsDir is the directory below containerd's config_path for every registry that has none of its own.
	DefaultHostsDir = "_default"
	hostsFile       = "hosts.toml"
)

// hostGrammar is what may stand before the port in an address: a DNS name or an IP address. Nothing of it needs quoting in TOML.
var hostGrammar = regexp.MustCompile(`^[A-Za-z0-9.:-]+$`)

// HostsFiles returns the files below containerd's config_path (certs.d), by name, that make containerd pull through the proxy of the own
// host at the loopback address, and then from each seed, verified against the authority file:
//
//   - One directory for every registry that the lock has images of. For those nobody else is asked: what runs is what was shipped.
//   - _default for every other registry. There containerd asks the registry itself after the seeds, so that a site's own registry
//     needs no settings.
func HostsFiles(lock *imagespec.Lock, loopback string, seeds []string, authority string) (map[string][]byte, error) {
	for _, address := range append([]string{loopback}, seeds...) {
		if err := checkAddress(address); err != nil {
			return nil, fmt.Errorf("registry mirrors: %w", err)
		}
	}
	if !path.IsAbs(authority) || strconv.Quote(authority) != `"`+authority+`"` {
		return nil, fmt.Errorf("registry mirrors: %q is no absolute path, or has characters that need quoting", authority)
	}
	files := map[string][]byte{path.Join(DefaultHostsDir, hostsFile): []byte(hostsTOML(loopback, seeds, authority, true))}
	closed := []byte(HostsTOML(loopback, seeds, authority))
	for _, image := range lock.Images {
		ref, err := imagespec.ParseReference(image.Reference)
		if err != nil {
			return nil, err
		}
		files[path.Join(reference.Domain(ref), hostsFile)] = closed
	}
	return files, nil
}

// HostsTOML returns the hosts.toml (containerd, docs/hosts.md) that sends the pulls of a registry to the proxy of the own host at the
// loopback address and then to each seed over TLS, verified against the authority file, and to nobody else.
//
// containerd tries the hosts in their order and `server` last; when that is missing it is the registry itself, with every capability
// and whatever is set for it. So the last of our own is the server. dial_timeout is known from containerd 2.1 on; older ones
// ignore it, as they do all keys they do not know.
func HostsTOML(loopback string, seeds []string, authority string) string {
	return hostsTOML(loopback, seeds, authority, false)
}

func hostsTOML(loopback string, seeds []string, authority string, upstream bool) string {
	mirrors := []string{"http://" + loopback}
	for _, seed := range seeds {
		mirrors = append(mirrors, "https://"+seed)
	}
	var b strings.Builder
	if !upstream {
		last := len(mirrors) - 1
		fmt.Fprintf(&b, "server = %q\n%s", mirrors[last], settings(mirrors[last], authority))
		mirrors = mirrors[:last]
	}
	for _, mirror := range mirrors {
		fmt.Fprintf(&b, "\n[host.%q]\n%s", mirror, settings(mirror, authority))
	}
	return strings.TrimPrefix(b.String(), "\n")
}

func settings(mirror, authority string) string {
	lines := "capabilities = [\"pull\", \"resolve\"]\ndial_timeout = \"3s\"\n"
	if strings.HasPrefix(mirror, "https:") {
		lines += fmt.Sprintf("ca = %q\n", authority)
	}
	return lines
}
