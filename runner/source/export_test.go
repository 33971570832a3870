package source

import (
	"archive/tar"
	"io"

	"github.com/opencontainers/go-digest"
)

// ReadLayerWithin reads a layer of at most limit bytes of content.
func ReadLayerWithin(blob io.Reader, diffID digest.Digest, limit int64) error {
	return readLayer(blob, diffID, limit, func(*tar.Header, string, io.Reader) error { return nil })
}
