package agent

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/source"
)

// maxEntries bounds the files of one layer.
const maxEntries = 1 << 20

// eachEntry calls visit for every entry of a layer, with its name made safe.
func eachEntry(reader *tar.Reader, visit func(header *tar.Header, name string) error) error {
	for count := 0; ; count++ {
		header, err := reader.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if count == maxEntries {
			return fmt.Errorf("%w: more than %d files", ErrInvalid, maxEntries)
		}
		if header.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		name, err := imagespec.SafePath(header.Name)
		if err != nil {
			return err
		}
		if err := visit(header, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
}

// layerStream is the tar of a layer, with all that it is to be checked against.
type layerStream struct {
	io.Closer           // of the decompressor
	plain     io.Reader // the tar, which sum sees
	sum       digest.Verifier
	diffID    digest.Digest
	raw       io.Reader // the blob, which rawSum and rawSize see
	rawSum    digest.Verifier
	rawSize   counter
	want      blob
}

// openLayer starts reading a layer's blob.
func openLayer(content io.Reader, want blob, diffID digest.Digest) (*layerStream, error) {
	if err := errors.Join(want.Digest.Validate(), diffID.Validate()); err != nil {
		return nil, fmt.Errorf("layer %q, diff ID %q: %w: %w", want.Digest, diffID, ErrInvalid, err)
	}
	s := &layerStream{want: want, diffID: diffID, rawSum: want.Digest.Verifier(), sum: diffID.Verifier()}
	s.raw = io.TeeReader(io.LimitReader(content, want.Size+1), io.MultiWriter(s.rawSum, &s.rawSize))
	stream, err := source.Decompress(s.raw)
	if err != nil {
		return nil, fmt.Errorf("layer %s: %w: %w", want.Digest, ErrDamaged, err)
	}
	s.Closer, s.plain = stream, io.TeeReader(stream, s.sum)
	return s, nil
}

func (s *layerStream) Read(p []byte) (int, error) { return s.plain.Read(p) }

// verify reads to the end and checks size and both digests.
func (s *layerStream) verify() error {
	// A tar reader stops at the end mark; what follows it counts for the digests.
	if _, err := io.Copy(io.Discard, s.plain); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if _, err := io.Copy(io.Discard, s.raw); err != nil {
		return err
	}
	if int64(s.rawSize) != s.want.Size || !s.rawSum.Verified() {
		return fmt.Errorf("%w: %d bytes of %d arrived, or other bytes than announced", ErrDamaged, s.rawSize, s.want.Size)
	}
	if !s.sum.Verified() {
		return fmt.Errorf("%w: its content is not that of its diff ID %s", ErrDamaged, s.diffID)
	}
	return nil
}

// counter counts the bytes written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
