package chart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/kubefile/kubefile/frontend/transport"
	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/imagespec/registryclient"
)

// chartLayer is the media type of a chart in a registry (https://helm.sh/docs/topics/registries/, HIP 6).
const chartLayer = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"

// fromRegistry fetches a chart from REGISTRY/REPOSITORY:VERSION, or @VERSION as in helm://, or @DIGEST.
func (f *fetcher) fromRegistry(ctx context.Context, source string) error {
	if name, version, ok := strings.Cut(source, "@"); ok && !strings.Contains(version, ":") {
		source = name + ":" + version
	}
	// a tag knows no "+"; Helm writes it as "_"
	named, err := reference.ParseNamed(strings.ReplaceAll(source, "+", "_"))
	if err != nil {
		return fmt.Errorf("write oci://REGISTRY/REPOSITORY:VERSION: %w", err)
	}
	wanted := ""
	switch r := named.(type) {
	case reference.Digested:
		wanted = r.Digest().String()
	case reference.Tagged:
		wanted = r.Tag()
	default:
		return errors.New("a version is missing: oci://REGISTRY/REPOSITORY:VERSION")
	}
	repository, err := remote.NewRepository(named.Name())
	if err != nil {
		return err
	}
	repository.Client = registryclient.Manifests{Client: f.client}
	repository.PlainHTTP = transport.PlainHTTP(reference.Domain(named))
	layer, err := f.layer(ctx, repository, wanted)
	if err != nil {
		return err
	}
	body, err := repository.Blobs().Fetch(ctx, layer)
	if err != nil {
		return err
	}
	defer body.Close()
	version := strings.ReplaceAll(strings.ReplaceAll(wanted, "_", "+"), "sha256:", "")
	return f.save(path.Base(named.Name())+"-"+version+".tgz", body, layer.Digest)
}

// layer reads the manifest and returns the layer with the chart.
func (f *fetcher) layer(ctx context.Context, repository *remote.Repository, wanted string) (ocispec.Descriptor, error) {
	_, rc, err := repository.Manifests().FetchReference(ctx, wanted)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer rc.Close()
	dt, err := io.ReadAll(io.LimitReader(rc, imagespec.MaxManifestSize))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if d, err := digest.Parse(wanted); err == nil && d.Algorithm().FromBytes(dt) != d {
		return ocispec.Descriptor{}, fmt.Errorf("the downloaded content does not have the digest %s", d)
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(dt, &manifest); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("reading the manifest: %w", err)
	}
	for _, layer := range manifest.Layers {
		if layer.MediaType == chartLayer {
			return layer, nil
		}
	}
	return ocispec.Descriptor{}, errors.New("not a chart: no layer has the media type " + chartLayer)
}
