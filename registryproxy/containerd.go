package registryproxy

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strconv"

	"github.com/distribution/reference"

	"github.com/kubefile/kubefile/imagespec"
)

const (
	// DefaultHostsDir is the directory below containerd's config_path for every registry that has none of its own.
	DefaultHostsDir = "_default"
	hostsFile       = "hosts.toml"
)

// hostGrammar matches the part of an address before the port: a DNS name or an IP address. It needs no quoting in TOML.
var hostGrammar = regexp.MustCompile(`^[A-Za-z0-9.:-]+$`)

// Mirror is a registry that containerd asks for the images of others.
type Mirror struct {
	URL         string      // http://host:port, or https://
	Authority   string      // for https: file with CAs that are trusted in addition to those of the host; may be empty
	Credentials Credentials // sent with every request; may be empty
}

func (m Mirror) check() error {
	u, err := url.Parse(m.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || m.URL != u.Scheme+"://"+u.Host {
		return fmt.Errorf("%q is not http://host:port or https://host:port", m.URL)
	}
	if u.Port() == "" {
		u.Host += ":443"
	}
	if err := checkAddress(u.Host); err != nil {
		return err
	}
	if m.Authority != "" && (!path.IsAbs(m.Authority) || strconv.Quote(m.Authority) != `"`+m.Authority+`"`) {
		return fmt.Errorf("%q is not an absolute path, or has characters that need quoting", m.Authority)
	}
	if m.Credentials != (Credentials{}) {
		return m.Credentials.Check()
	}
	return nil
}

// HostsFiles returns the files below containerd's config_path (certs.d), by name, that make containerd pull from the mirrors, in their
// order: the proxy of the host itself, then each seed, then the external registry of the site.
//   - One directory for the cluster's domain (see [Config.Domain]; may be empty) and for every registry with images in the lock. These
//     names are served only from the cluster image: only shipped images run.
//   - _default for every other registry. There containerd asks the registry itself after the mirrors, so that a site's own registry
//     needs no settings.
//
// With credentials in a mirror the files are secrets, for mode 0600.
func HostsFiles(lock *imagespec.Lock, domain string, mirrors []Mirror) (map[string][]byte, error) {
	if len(mirrors) == 0 {
		return nil, errors.New("registry mirrors: none")
	}
	for _, mirror := range mirrors {
		if err := mirror.check(); err != nil {
			return nil, fmt.Errorf("registry mirrors: %w", err)
		}
	}
	files := map[string][]byte{path.Join(DefaultHostsDir, hostsFile): hostsTOML(nil, mirrors)}
	last := len(mirrors) - 1
	closed := hostsTOML(&mirrors[last], mirrors[:last])
	if domain != "" {
		if err := checkAddress(domain); err != nil {
			return nil, fmt.Errorf("registry mirrors: %w", err)
		}
		files[path.Join(domain, hostsFile)] = closed
	}
	for _, image := range lock.Images {
		ref, err := imagespec.ParseReference(image.Reference)
		if err != nil {
			return nil, err
		}
		files[path.Join(reference.Domain(ref), hostsFile)] = closed
	}
	return files, nil
}

// hostsTOML returns a hosts.toml (containerd, docs/hosts.md). containerd tries the mirrors in their order and the server last; without
// one it is the registry itself, with every capability and whatever is set for it. dial_timeout is known from containerd 2.1 on; older
// ones ignore it, as they do all keys they do not know.
func hostsTOML(server *Mirror, mirrors []Mirror) []byte {
	var b bytes.Buffer
	if server != nil {
		fmt.Fprintf(&b, "server = %q\n%s", server.URL, server.settings())
	}
	for _, mirror := range mirrors {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "[host.%q]\n%s", mirror.URL, mirror.settings())
	}
	return b.Bytes()
}

func (m Mirror) settings() string {
	lines := "capabilities = [\"pull\", \"resolve\"]\ndial_timeout = \"3s\"\n"
	if m.Authority != "" {
		lines += fmt.Sprintf("ca = %q\n", m.Authority)
	}
	if m.Credentials != (Credentials{}) {
		lines += fmt.Sprintf("header = {Authorization = %q}\n", m.Credentials.authorization())
	}
	return lines
}
