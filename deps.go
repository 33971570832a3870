//go:build tools

package kubefile

import (
	_ "github.com/Masterminds/sprig/v3"
	_ "github.com/distribution/reference"
	_ "github.com/klauspost/compress/zstd"
	_ "github.com/moby/buildkit/client"
	_ "github.com/moby/buildkit/frontend/dockerfile/builder"
	_ "github.com/moby/buildkit/frontend/gateway/grpcclient"
	_ "github.com/opencontainers/image-spec/specs-go/v1"
	_ "github.com/urfave/cli/v3"
	_ "go.yaml.in/yaml/v3"
	_ "golang.org/x/crypto/ssh/agent"
	_ "golang.org/x/crypto/ssh/knownhosts"
	_ "golang.org/x/crypto/x509roots/fallback"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/term"
	_ "helm.sh/helm/v4/pkg/engine"
	_ "helm.sh/helm/v4/pkg/chart/v2/loader"
	_ "oras.land/oras-go/v2/registry/remote/credentials"
	_ "oras.land/oras-go/v2/content/oci"
	_ "sigs.k8s.io/yaml"
	_ "cuelabs.dev/go/oci/ociregistry/ociserver"
)
