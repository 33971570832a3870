package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// An Entry is one path of a layer: a directory when Mode says so, a symbolic link when Link is set, else a file.
type Entry struct {
	// Path is relative to the image's root, with slashes: "usr/bin/etcd". Directories above it need no entry.
	Path string
	// Mode holds the permission bits, with fs.ModeDir for a directory; of the others only fs.ModeSticky is kept.
	Mode fs.FileMode
	// Link is the target of a symbolic link.
	Link string
	// Source is the file on this machine whose bytes the entry gets. Without it the bytes are Data.
	Source string
	Data   []byte
}

// A Layer is a compressed layer that has been written: its descriptor and the digest of its uncompressed tar.
type Layer struct {
	Descriptor ocispec.Descriptor
	DiffID     digest.Digest
}

// A Compression is how the tar of a layer is compressed.
type Compression string

// The compressions.
const (
	Gzip Compression = "gzip"
	Zstd Compression = "zstd" // unpacking it takes a fraction of gzip's processor time
)

// mediaType returns the media type of a layer.
func (c Compression) mediaType() string {
	if c == Zstd {
		return ocispec.MediaTypeImageLayerZstd
	}
	return ocispec.MediaTypeImageLayerGzip
}

// writer compresses to w, the same bytes to the same bytes.
func (c Compression) writer(w io.Writer) (io.WriteCloser, error) {
	switch c {
	case Gzip:
		return gzip.NewWriterLevel(w, gzip.BestSpeed)
	case Zstd:
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	}
	return nil, fmt.Errorf("unknown compression %q", string(c))
}

// WriteLayer writes entries to w as a compressed tar. Equal entries give equal bytes: they are sorted, belong to
// root and carry the time 0. Two entries of one path are an error.
func WriteLayer(w io.Writer, compression Compression, entries []Entry) (Layer, error) {
	all, err := withParents(entries)
	if err != nil {
		return Layer{}, err
	}
	compressed, tarred := digest.Canonical.Digester(), digest.Canonical.Digester()
	size := new(counter)
	zw, err := compression.writer(io.MultiWriter(w, compressed.Hash(), size))
	if err != nil {
		return Layer{}, err
	}
	tw := tar.NewWriter(io.MultiWriter(zw, tarred.Hash()))
	for _, entry := range all {
		if err := writeEntry(tw, entry); err != nil {
			return Layer{}, fmt.Errorf("adding %s to a layer: %w", entry.Path, err)
		}
	}
	if err := errors.Join(tw.Close(), zw.Close()); err != nil {
		return Layer{}, fmt.Errorf("writing a layer: %w", err)
	}
	return Layer{
		Descriptor: ocispec.Descriptor{
			MediaType: compression.mediaType(),
			Digest:    compressed.Digest(),
			Size:      int64(*size),
		},
		DiffID: tarred.Digest(),
	}, nil
}

// withParents returns entries sorted by path, with the directories that they need and do not name.
func withParents(entries []Entry) ([]Entry, error) {
	byPath := make(map[string]Entry, len(entries))
	for _, entry := range entries {
		if !fs.ValidPath(entry.Path) || entry.Path == "." {
			return nil, fmt.Errorf("layer entry %q is not a clean relative path", entry.Path)
		}
		if _, twice := byPath[entry.Path]; twice {
			return nil, fmt.Errorf("two layer entries are called %q", entry.Path)
		}
		byPath[entry.Path] = entry
	}
	for _, entry := range entries {
		for dir := path.Dir(entry.Path); dir != "."; dir = path.Dir(dir) {
			if _, ok := byPath[dir]; !ok {
				byPath[dir] = Entry{Path: dir, Mode: fs.ModeDir | 0o755}
			}
		}
	}
	all := make([]Entry, 0, len(byPath))
	for _, entry := range byPath {
		all = append(all, entry)
	}
	slices.SortFunc(all, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

func writeEntry(tw *tar.Writer, entry Entry) error {
	header := &tar.Header{
		Name:    entry.Path,
		Mode:    int64(entry.Mode.Perm()),
		ModTime: time.Unix(0, 0),
		Format:  tar.FormatPAX,
	}
	if entry.Mode&fs.ModeSticky != 0 {
		header.Mode |= 0o1000
	}
	switch {
	case entry.Mode.IsDir():
		header.Typeflag, header.Name = tar.TypeDir, entry.Path+"/"
		return tw.WriteHeader(header)
	case entry.Link != "":
		header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, entry.Link, 0o777
		return tw.WriteHeader(header)
	case entry.Source == "":
		header.Size = int64(len(entry.Data))
		if err := tw.WriteHeader(header); err != nil {
			return err
		}
		_, err := tw.Write(entry.Data)
		return err
	}
	f, err := os.Open(entry.Source)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", entry.Source)
	}
	header.Size = info.Size()
	if err := tw.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(tw, f)
	return err
}

// counter counts the bytes written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
