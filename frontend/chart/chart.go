// Package chart is the step of a build that fetches charts from Helm repositories and registries, for an APP with helm:// or oci://.
package chart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/kubefile/kubefile/frontend/transport"
)

// Limits on what is read, in bytes. The index of a large public repository has some 20 MB.
const (
	maxChart = 256 << 20
	maxIndex = 256 << 20
)

// Fetch answers the arguments [--checksum=sha256:HEX] SOURCE… DIRECTORY, with the credentials of a Docker configuration, where there is one.
func Fetch(ctx context.Context, args []string, dockerConfig string) error {
	checksum := ""
	var words []string
	for _, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--checksum="); ok {
			checksum = value
			continue
		}
		words = append(words, arg)
	}
	if len(words) < 2 {
		return errors.New("it needs sources and a directory")
	}
	client, err := transport.Registry(dockerConfig)
	if err != nil {
		return err
	}
	f := &fetcher{client: client, dir: words[len(words)-1]}
	if checksum != "" {
		if f.checksum, err = digest.Parse(checksum); err != nil {
			return fmt.Errorf("checksum %q: %w", checksum, err)
		}
	}
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return err
	}
	for _, source := range words[:len(words)-1] {
		if err := f.fetch(ctx, source); err != nil {
			return fmt.Errorf("fetching %s: %w", source, err)
		}
	}
	return nil
}

// fetcher puts charts into a directory.
type fetcher struct {
	client   *auth.Client
	dir      string
	checksum digest.Digest // of the chart; if empty, the repository's is used
}

func (f *fetcher) fetch(ctx context.Context, source string) error {
	scheme, rest, _ := strings.Cut(source, "://")
	switch scheme {
	case "helm":
		return f.fromRepository(ctx, "https://"+rest)
	case "helm+http":
		return f.fromRepository(ctx, "http://"+rest)
	case "oci":
		return f.fromRegistry(ctx, rest)
	}
	return errors.New("use helm:// or oci://")
}

// get asks for a URL with the credentials of its host.
func (f *fetcher) get(ctx context.Context, url string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	credential, err := f.client.Credential(ctx, req.URL.Host)
	if err != nil {
		return nil, err
	}
	if credential.Username != "" {
		req.SetBasicAuth(credential.Username, credential.Password)
	}
	res, err := f.client.Client.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		res.Body.Close()
		return nil, fmt.Errorf("%s: the server answered %s", req.URL.Redacted(), res.Status)
	}
	return res.Body, nil
}

// save writes a chart, checked against its digests, and leaves no file that is not whole.
func (f *fetcher) save(name string, body io.Reader, digests ...digest.Digest) (err error) {
	if f.checksum != "" {
		digests = append(digests, f.checksum)
	}
	if name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return fmt.Errorf("%q is not a valid file name", name)
	}
	file, err := os.CreateTemp(f.dir, ".chart-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(file.Name())
		}
	}()
	out := []io.Writer{file}
	var verifiers []digest.Verifier
	for _, d := range digests {
		if err := d.Validate(); err != nil {
			return err
		}
		verifiers = append(verifiers, d.Verifier())
		out = append(out, verifiers[len(verifiers)-1])
	}
	n, err := io.Copy(io.MultiWriter(out...), io.LimitReader(body, maxChart+1))
	if err = errors.Join(err, file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	if n > maxChart {
		return fmt.Errorf("the chart is larger than %d bytes", maxChart)
	}
	for i, v := range verifiers {
		if !v.Verified() {
			return fmt.Errorf("the downloaded content does not have the digest %s", digests[i])
		}
	}
	return os.Rename(file.Name(), filepath.Join(f.dir, name))
}
