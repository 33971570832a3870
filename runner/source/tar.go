package source

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"

	"github.com/kubefile/kubefile/runner/source/layerfs"
)

// maxEntries bounds the table of contents of an archive.
const maxEntries = 100_000

// tarFiles is an uncompressed tar file, read in place.
type tarFiles struct {
	file    *os.File
	entries map[string]tarEntry
}

// tarEntry is a file in the archive, or a link to another entry.
type tarEntry struct {
	offset, size int64
	link         string // name of another entry; offset and size are then void
}

// openTar reads the table of contents of an archive: headers only, whatever the
// sizes of the files.
func openTar(name string) (*tarFiles, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	t := &tarFiles{file: f, entries: make(map[string]tarEntry)}
	if err := t.scan(); err != nil {
		f.Close()
		return nil, err
	}
	return t, nil
}

func (t *tarFiles) scan() error {
	if err := t.refuseCompressed(); err != nil {
		return err
	}
	reader := tar.NewReader(t.file)
	end := int64(0) // of the last entry's data
	for count := 0; ; count++ {
		header, err := reader.Next()
		if err == io.EOF {
			return t.checkEnd(end)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%w: the archive ends early, after %d files", ErrDamaged, count)
		}
		if err != nil {
			return fmt.Errorf("%w, or no tar archive: file %d: %w", ErrDamaged, count+1, err)
		}
		if count == maxEntries {
			return fmt.Errorf("%w: more than %d files in the archive", ErrDamaged, maxEntries)
		}
		// archive/tar reads whole blocks and nothing ahead: the data is next.
		offset, err := t.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		end = offset
		entry := tarEntry{offset: offset, size: header.Size}
		name := path.Clean(header.Name)
		switch header.Typeflag {
		case tar.TypeReg:
			end += (header.Size + tarBlock - 1) / tarBlock * tarBlock
		case tar.TypeLink:
			entry.link = path.Clean(header.Linkname)
		case tar.TypeSymlink:
			entry.link = path.Join(path.Dir(name), header.Linkname)
		default:
			continue
		}
		t.entries[name] = entry
	}
}

const tarBlock = 512

// refuseCompressed turns away what cannot be read at random.
func (t *tarFiles) refuseCompressed() error {
	magic := make([]byte, 4)
	n, _ := t.file.ReadAt(magic, 0)
	for _, kind := range []struct{ magic, mend string }{
		{layerfs.GzipMagic, "gzip -d"},
		{layerfs.ZstdMagic, "zstd -d"},
		{"\xfd7zX", "xz -d"},
		{"BZh", "bzip2 -d"},
	} {
		if bytes.HasPrefix(magic[:n], []byte(kind.magic)) {
			return fmt.Errorf("the archive is compressed as a whole; uncompress it first (%s): its layers are compressed already", kind.mend)
		}
	}
	return nil
}

// checkEnd checks that the archive ends with the two zero blocks that every
// complete one has: otherwise it was cut between two files.
func (t *tarFiles) checkEnd(end int64) error {
	trailer := make([]byte, 2*tarBlock)
	if _, err := t.file.ReadAt(trailer, end); err != nil || !bytes.Equal(trailer, make([]byte, len(trailer))) {
		return fmt.Errorf("%w: the archive ends early, after %d files", ErrDamaged, len(t.entries))
	}
	return nil
}

func (t *tarFiles) has(name string) bool {
	_, ok := t.find(name)
	return ok
}

// find looks up a file, through a few links.
func (t *tarFiles) find(name string) (tarEntry, bool) {
	for range 8 {
		entry, ok := t.entries[path.Clean(name)]
		if !ok || entry.link == "" {
			return entry, ok
		}
		name = entry.link
	}
	return tarEntry{}, false
}

func (t *tarFiles) open(name string) (io.ReadCloser, int64, error) {
	entry, ok := t.find(name)
	if !ok {
		return nil, 0, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return io.NopCloser(io.NewSectionReader(t.file, entry.offset, entry.size)), entry.size, nil
}

func (t *tarFiles) list(dir string) ([]string, error) {
	var names []string
	for name, entry := range t.entries {
		if path.Dir(name) == dir && entry.link == "" {
			names = append(names, path.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

func (t *tarFiles) Close() error { return t.file.Close() }
