package step

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/kubefile/kubefile/frontend/transport"
	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/imagespec/registryclient"
)

// registries reads from registries and their mirrors.
type registries struct {
	client  *auth.Client
	mirrors map[string][]string
}

// newRegistries takes credentials from a config.json of Docker, where there is one; without, it asks anonymously.
func newRegistries(dockerConfig string, mirrors map[string][]string) (*registries, error) {
	client, err := transport.Registry(dockerConfig)
	if err != nil {
		return nil, err
	}
	return &registries{client: client, mirrors: mirrors}, nil
}

// manifest returns the exact bytes of a manifest or index, checked against its digest.
func (r *registries) manifest(ctx context.Context, name reference.Named, dgst digest.Digest) (ocispec.Descriptor, []byte, error) {
	var found ocispec.Descriptor
	var body []byte
	err := r.try(name, func(repo *remote.Repository) error {
		desc, rc, err := repo.Manifests().FetchReference(ctx, dgst.String())
		if err != nil {
			return err
		}
		defer rc.Close()
		body, err = io.ReadAll(io.LimitReader(rc, imagespec.MaxManifestSize+1))
		if err != nil {
			return err
		}
		if len(body) > imagespec.MaxManifestSize {
			return fmt.Errorf("the manifest %s is larger than %d bytes", dgst, imagespec.MaxManifestSize)
		}
		if dgst.Algorithm().FromBytes(body) != dgst {
			return fmt.Errorf("the registry sent other bytes than %s", dgst)
		}
		found = ocispec.Descriptor{MediaType: desc.MediaType, Digest: dgst, Size: int64(len(body))}
		return nil
	})
	return found, body, err
}

// blob copies a blob to w. The caller checks the digest.
func (r *registries) blob(ctx context.Context, name reference.Named, desc ocispec.Descriptor, w func(io.Reader) error) error {
	return r.try(name, func(repo *remote.Repository) error {
		rc, err := repo.Blobs().Fetch(ctx, desc)
		if err != nil {
			return err
		}
		defer rc.Close()
		return w(rc)
	})
}

// try calls fn with the mirrors of a repository in their order and then with the repository itself, until one succeeds.
func (r *registries) try(name reference.Named, fn func(*remote.Repository) error) error {
	host := reference.Domain(name)
	var failures []error
	for _, base := range append(append([]string{}, r.mirrors[host]...), originOf(host)) {
		repo, err := r.repository(base, reference.Path(name))
		if err == nil {
			err = fn(repo)
		}
		if err == nil {
			return nil
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

func (r *registries) repository(base, path string) (*remote.Repository, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the mirror %q is not an http or https URL", base)
	}
	repo, err := remote.NewRepository(u.Host + "/" + strings.TrimPrefix(u.Path+"/"+path, "/"))
	if err != nil {
		return nil, err
	}
	repo.PlainHTTP = u.Scheme == "http"
	repo.Client = registryclient.Manifests{Client: r.client}
	return repo, nil
}

// originOf is a registry's own address.
func originOf(host string) string {
	if transport.PlainHTTP(host) {
		return "http://" + host
	}
	return "https://" + host
}

// denied reports whether a registry asked for other credentials. Many also do so for content that does not exist.
func denied(err error) bool {
	var response *errcode.ErrorResponse
	return errors.Is(err, auth.ErrBasicCredentialNotFound) ||
		errors.As(err, &response) && (response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden)
}
