// Package remote reads an image of a registry: with the credentials that docker login has stored, and again where a connection broke off.
package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/imagespec/registryclient"
)

// ErrNotFound says that the registry has no such image, or that the name is none of an image.
var ErrNotFound = errors.New("not found")

const (
	dialTimeout   = 15 * time.Second
	answerTimeout = time.Minute // from the request to the first byte of the answer
	silentTimeout = time.Minute // between two reads of a body
)

// repository is an image repository of a registry.
type repository struct {
	*remote.Repository
	transport *http.Transport
}

// Close drops idle connections.
func (r repository) Close() error {
	r.transport.CloseIdleConnections()
	return nil
}

// Fetch opens a manifest or blob; a connection that breaks is taken up where it
// broke.
func (r repository) Fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	body, err := r.Repository.Fetch(ctx, d)
	if err != nil {
		return nil, err
	}
	if seeker, ok := body.(io.ReadSeekCloser); ok {
		return &resuming{ReadSeekCloser: seeker, ctx: ctx, left: d.Size, size: d.Size}, nil
	}
	return body, nil
}

// maxResumes is how often in a row a download is taken up without a byte coming.
const maxResumes = 3

// resuming reads a body of a registry that serves ranges.
type resuming struct {
	io.ReadSeekCloser
	ctx        context.Context
	size, left int64
	failures   int
}

func (r *resuming) Read(p []byte) (int, error) {
	for {
		n, err := r.ReadSeekCloser.Read(p)
		r.left -= int64(n)
		if n > 0 {
			r.failures = 0
		}
		broken := err != nil && r.left > 0 && r.ctx.Err() == nil && r.failures < maxResumes
		if !broken {
			return n, err
		}
		r.failures++
		// Only a move makes a new request: to the end, which makes none, and back.
		_, err = r.Seek(0, io.SeekEnd)
		if err == nil {
			_, err = r.Seek(r.size-r.left, io.SeekStart)
		}
		if err != nil {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
		select {
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		case <-time.After(time.Duration(r.failures) * time.Second):
		}
	}
}

// Open resolves a reference to its manifest or index. plainHTTP talks to the registry without TLS; one on loopback is asked which it uses.
// An error says what was tried and what to write instead; it is [ErrNotFound] when there is no such image.
func Open(ctx context.Context, image string, plainHTTP bool) (repository, ocispec.Descriptor, error) {
	var none repository
	var root ocispec.Descriptor
	named, err := imagespec.ParseReference(image)
	if err != nil {
		return none, root, fmt.Errorf("%w: no such file, and no image reference: %w; write the path of a file or directory, or REGISTRY/NAME:TAG", ErrNotFound, err)
	}
	repo, err := remote.NewRepository(named.Name())
	if err != nil {
		return none, root, err
	}
	store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return none, root, fmt.Errorf("docker's credentials: %w", err)
	}
	host := repo.Reference.Host()
	transport := newTransport()
	client := &auth.Client{
		Client:     &http.Client{Transport: retry.NewTransport(transport)},
		Cache:      auth.NewCache(),
		Credential: credentials.Credential(store),
	}
	client.SetUserAgent("sealer-run")
	repo.PlainHTTP = plainHTTP
	if isLoopback(host) {
		// A token server next to a registry on loopback is as it should be.
		client.BlockedRealmPrefixes = []netip.Prefix{}
		repo.PlainHTTP = repo.PlainHTTP || !speaksTLS(ctx, host)
	}
	repo.Client = registryclient.Manifests{Client: client}
	root, err = repo.Resolve(ctx, tagOrDigest(named))
	if err != nil {
		transport.CloseIdleConnections()
		return none, root, registryError(ctx, named, host, err)
	}
	return repository{repo, transport}, root, nil
}

// tagOrDigest is what to ask the repository for; a digest wins over a tag.
func tagOrDigest(named reference.Named) string {
	if digested, ok := named.(reference.Digested); ok {
		return digested.Digest().String()
	}
	return named.(reference.Tagged).Tag()
}

// dockerHub is the registry of names that have none.
const dockerHub = "docker.io"

// registryError says what was tried, what a refusal means, and what to do.
func registryError(ctx context.Context, named reference.Named, host string, err error) error {
	hint := "write REGISTRY/NAME:TAG, or the path of a file or directory"
	if reference.Domain(named) == dockerHub {
		hint = "a name without a registry is an image of " + dockerHub + ": for an image of another registry " + hint
	}
	var response *errcode.ErrorResponse
	var network net.Error
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errdef.ErrNotFound):
		return fmt.Errorf("%w: neither a file nor an image of the registry %s (tried %s); %s", ErrNotFound, host, named, hint)
	case errors.As(err, &response) && (response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden):
		return fmt.Errorf("no such file, and the registry refuses %s: %w; log in with docker login %s, or check the name: %s", named, err, reference.Domain(named), hint)
	case errors.As(err, &network):
		return fmt.Errorf("no such file, and the registry %s cannot be reached (tried %s): %w; %s", host, named, err, hint)
	}
	return err
}

// newTransport is the default transport with a deadline for every wait.
func newTransport() *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	dialer := &net.Dialer{Timeout: dialTimeout}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return impatient{conn}, nil
	}
	transport.TLSHandshakeTimeout = dialTimeout
	transport.ResponseHeaderTimeout = answerTimeout
	transport.IdleConnTimeout = silentTimeout / 2
	return transport
}

// impatient is a connection that fails when the other side is silent.
type impatient struct{ net.Conn }

func (c impatient) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(silentTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// isLoopback says whether a registry is on this machine, the case in which
// docker, too, does without TLS.
func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}

// speaksTLS asks a server. A certificate that is not accepted counts as TLS, so
// that the real request says what is wrong with it.
func speaksTLS(ctx context.Context, hostport string) bool {
	if _, _, err := net.SplitHostPort(hostport); err != nil {
		hostport = net.JoinHostPort(hostport, "443")
	}
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout}}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := dialer.DialContext(ctx, "tcp", hostport)
	if err == nil {
		conn.Close()
		return true
	}
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &certificate)
}
