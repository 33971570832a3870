// Package layer reads layers of images as streams that verify themselves, and tells what files layers make together. Nothing is unpacked.
package layerfs

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"github.com/kubefile/kubefile/imagespec"
)

// ErrDamaged says that bytes are not those of their digest: truncated, or changed on the way.
var ErrDamaged = errors.New("damaged")

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
	return n, MarkDamaged(err)
}

// MarkDamaged marks the errors that mean that the bytes are not those of the digest.
func MarkDamaged(err error) error {
	for _, sign := range []error{content.ErrMismatchedDigest, content.ErrTrailingData, content.ErrInvalidDescriptorSize,
		digest.ErrDigestInvalidFormat, digest.ErrDigestInvalidLength, digest.ErrDigestUnsupported, io.ErrUnexpectedEOF} {
		if errors.Is(err, sign) {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return err
}

// Read calls visit for every entry of a layer, with its name made safe, and
// reads to the layer's verified end: before Read returns nil, what visit saw
// must not be trusted. The blob has to verify itself, as those of [VerifyBlob] and
// of an artifact do. It returns [ErrDamaged] for other bytes than digest and
// diff ID say.
func Read(blob io.Reader, diffID digest.Digest, visit func(header *tar.Header, name string, content io.Reader) error) error {
	return ReadWithin(blob, diffID, math.MaxInt64, visit)
}

// ReadWithin is [Read] for at most so many bytes of content.
func ReadWithin(blob io.Reader, diffID digest.Digest, limit int64, visit func(header *tar.Header, name string, content io.Reader) error) error {
	if err := diffID.Validate(); err != nil {
		return fmt.Errorf("diff ID %q: %w: %w", diffID, imagespec.ErrInvalid, err)
	}
	l := &layerReader{blob: Failing{Reader: blob}}
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
	blob Failing
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
	if l.blob.Err != nil {
		return l.blob.Err
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

// Failing remembers why a reader failed.
type Failing struct {
	io.Reader
	Err error // nil as long as it did not
}

func (f *Failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err != nil && err != io.EOF {
		f.Err = err
	}
	return n, err
}

// Interruptible returns a reader that ends with a context.
func Interruptible(ctx context.Context, r io.Reader) io.Reader { return untilDone{r, ctx} }

type untilDone struct {
	io.Reader
	ctx context.Context
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.Reader.Read(p)
}
