package layerfs

import (
	"bufio"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	GzipMagic = "\x1f\x8b"
	ZstdMagic = "\x28\xb5\x2f\xfd"

	// maxWindow bounds a zstd decoder's memory: the window that zstd -19 and
	// BuildKit use is 8 MiB, and decoders need not accept more (RFC 8878,
	// section 3.1.1.1.2); --long=27 is the largest that zstd -d takes unasked.
	maxWindow = 128 << 20
)

// Decompress returns the tar stream of a layer that is gzip, zstd or not
// compressed: by its first bytes, because media types are not always right.
func Decompress(r io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	switch LayerType(buffered) {
	case ocispec.MediaTypeImageLayerGzip:
		return gzip.NewReader(buffered)
	case ocispec.MediaTypeImageLayerZstd:
		decoder, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return decoder.IOReadCloser(), nil
	}
	return io.NopCloser(buffered), nil
}

// LayerType returns the compression of a layer, by its first bytes.
func LayerType(r *bufio.Reader) string {
	magic, _ := r.Peek(len(ZstdMagic)) // an error comes again when it is read
	switch {
	case strings.HasPrefix(string(magic), GzipMagic):
		return ocispec.MediaTypeImageLayerGzip
	case string(magic) == ZstdMagic:
		return ocispec.MediaTypeImageLayerZstd
	}
	return ocispec.MediaTypeImageLayer
}
