package source

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"github.com/kubefile/kubefile/imagespec"
)

// maxLayerEntries bounds the files of one layer.
const maxLayerEntries = 1 << 20

// VerifyBlob returns the bytes of r, which fail with [ErrDamaged], instead of
// ending, when size or digest are not the descriptor's.
func VerifyBlob(r io.Reader, descriptor ocispec.Descriptor) io.Reader {
	return blobVerifier{content.NewVerifyReader(r, descriptor)}
}

type blobVerifier struct{ *content.VerifyReader }

func (v blobVerifier) Read(p []byte) (int, error) {
	n, err := v.VerifyReader.Read(p)
	if err == io.EOF {
		if err = v.Verify(); err == nil {
			return n, io.EOF
		}
	}
	return n, damage(err)
}

// ReadLayer calls visit for every entry of a layer, with its name made safe, and
// reads to the layer's verified end: before ReadLayer returns nil, what visit saw
// must not be trusted. The blob has to verify itself, as those of [VerifyBlob] and
// [Artifact.OpenBlob] do. It returns [ErrDamaged] for other bytes than digest and
// diff ID say.
func ReadLayer(blob io.Reader, diffID digest.Digest, visit func(header *tar.Header, name string, content io.Reader) error) error {
	return readLayer(blob, diffID, math.MaxInt64, visit)
}

// readLayer is [ReadLayer] for at most so many bytes of content.
func readLayer(blob io.Reader, diffID digest.Digest, limit int64, visit func(header *tar.Header, name string, content io.Reader) error) error {
	if err := diffID.Validate(); err != nil {
		return fmt.Errorf("diff ID %q: %w: %w", diffID, imagespec.ErrInvalid, err)
	}
	l := &layerReader{blob: failing{Reader: blob}}
	stream, err := Decompress(&l.blob)
	if err != nil {
		return l.damage(err)
	}
	defer stream.Close()
	sum := diffID.Verifier()
	plain := io.TeeReader(&bounded{stream, limit}, sum)
	l.tar = tar.NewReader(plain)
	if err := l.entries(visit); err != nil {
		return err
	}
	// A tar reader stops at the end mark; what follows it counts for the digests.
	if _, err := io.Copy(io.Discard, plain); err != nil {
		return l.damage(err)
	}
	if _, err := io.Copy(io.Discard, &l.blob); err != nil {
		return err
	}
	if !sum.Verified() {
		return fmt.Errorf("%w: its content is not that of its diff ID %s", ErrDamaged, diffID)
	}
	return nil
}

// layerReader reads the tar that is in a blob.
type layerReader struct {
	blob failing
	tar  *tar.Reader
}

func (l *layerReader) entries(visit func(header *tar.Header, name string, content io.Reader) error) error {
	for count := 0; ; count++ {
		header, err := l.tar.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return l.damage(err)
		}
		if count == maxLayerEntries {
			return fmt.Errorf("%w: more than %d files in a layer", imagespec.ErrInvalid, maxLayerEntries)
		}
		if header.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		name, err := imagespec.SafePath(header.Name)
		if err != nil {
			return err
		}
		if err := visit(header, name, l); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
}

// Read reads the content of the entry that is being visited.
func (l *layerReader) Read(p []byte) (int, error) {
	n, err := l.tar.Read(p)
	if err != nil && err != io.EOF {
		err = l.damage(err)
	}
	return n, err
}

// damage is why a layer cannot be read: its blob cannot, or it is no tar.
func (l *layerReader) damage(err error) error {
	if l.blob.err != nil {
		return l.blob.err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// bounded is a reader that fails after so many bytes.
type bounded struct {
	io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, errTooLarge
	}
	return n, err
}

var errTooLarge = errors.New("it decompresses to many times its size")

// failing remembers why a reader failed.
type failing struct {
	io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}
