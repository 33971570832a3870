package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/agent/clusterdir"
	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/agent/wire"
)

// WriteBlock puts a cluster's lines into a file that others write, too, in the place where they are or at its end.
func WriteBlock(r wire.BlockRequest) (wire.Changed, error) {
	if err := checkPath(r.Path); err != nil {
		return wire.Changed{}, err
	}
	if r.Cluster == "" || strings.ContainsAny(r.Cluster+strings.Join(r.Lines, ""), "\r\n") {
		return wire.Changed{}, fmt.Errorf("lines for %s: %w: expected a cluster name and single lines", r.Path, wire.ErrInvalid)
	}
	j, err := openJournal(r.Dir)
	if err != nil {
		return wire.Changed{}, err
	}
	defer j.Close()
	path, err := followLink(r.Path)
	if err != nil {
		return wire.Changed{}, err
	}
	old, mode, err := readShared(path)
	if err != nil {
		return wire.Changed{}, err
	}
	b := &hostrecord.Block{Mark: r.Cluster, Lines: r.Lines}
	e := j.Find(path)
	known, original := j.known(e)
	rest, at, err := b.Cut(old, known, original)
	if err != nil {
		return wire.Changed{}, fmt.Errorf("%s: %w", path, err)
	}
	text := b.Insert(rest, at)
	if text == old && e != nil && e.Block != nil && len(e.Block.Old) == 0 {
		return wire.Changed{}, nil
	}
	b.Old = known
	if err := j.prepareBlock(path, b); err != nil {
		return wire.Changed{}, err
	}
	if text != old {
		if err := putFile(path, strings.NewReader(text), mode, -1, -1); err != nil {
			return wire.Changed{}, err
		}
	}
	j.Find(path).Block.Old = nil
	return wire.Changed{Changed: text != old}, j.save()
}

// readShared reads a file that others write too. One that is missing is empty.
func readShared(path string) (string, fs.FileMode, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", 0o644, nil
	}
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", 0, err
	}
	data, err := clusterdir.ReadBounded(f, path, maxFile)
	return string(data), info.Mode(), err
}

// known are the lines that the journal says the cluster has in a file, nil when it does not say, and what the file was before.
func (j *journal) known(e *hostrecord.Entry) (lines []string, original string) {
	if e == nil || e.Block == nil {
		return nil, ""
	}
	lines = append(append([]string{}, e.Block.Lines...), e.Block.Old...)
	if e.Previous != nil {
		if data, err := clusterdir.ReadFile(j.root, e.Previous.File(), maxFile); err == nil {
			original = string(data)
		}
	}
	return lines, original
}

// prepareBlock journals that a block is about to be written.
func (j *journal) prepareBlock(path string, b *hostrecord.Block) error {
	if e := j.Find(path); e != nil {
		e.Block = b
		return j.save()
	}
	for _, missing := range missingDirs(filepath.Dir(path)) {
		j.Add(hostrecord.Entry{Path: missing, Dir: true})
	}
	kept, err := j.keep(path)
	if err != nil {
		return fmt.Errorf("keeping the present %s: %w", path, err)
	}
	j.Add(hostrecord.Entry{Path: path, Block: b, Previous: kept})
	if err := j.save(); err != nil {
		return err
	}
	return os.MkdirAll(filepath.Dir(path), 0o755)
}

// undoBlock takes the cluster's lines out of a file, and nothing else.
func (j *journal) undoBlock(e hostrecord.Entry) string {
	path, err := followLink(e.Path)
	if err != nil {
		return err.Error()
	}
	old, mode, err := readShared(path)
	if err != nil {
		return err.Error()
	}
	known, original := j.known(&e)
	b := e.Block
	if b == nil { // of an agent that did not note them
		b = &hostrecord.Block{Mark: filepath.Base(j.dir)}
	}
	rest, _, err := b.Cut(old, known, original)
	if errors.Is(err, hostrecord.ErrMarks) {
		return j.leave(e, err.Error())
	}
	if err != nil {
		return err.Error()
	}
	text := strings.Join(rest, "")
	// The file's last line had no end before, if nothing else was changed.
	if bare := strings.TrimSuffix(text, "\n"); e.Previous != nil && digest.FromString(bare) == e.Previous.Digest {
		text = bare
	}
	switch {
	case text == "" && e.Previous == nil:
		err = os.Remove(path)
	case text != old:
		err = putFile(path, bytes.NewReader([]byte(text)), mode, -1, -1)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err.Error()
	}
	return ""
}

// hasBlock reports whether a file has a block of this cluster.
func (j *journal) hasBlock(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxFile {
		return false
	}
	content, _, err := readShared(path)
	b := hostrecord.Block{Mark: filepath.Base(j.dir)}
	return err == nil && strings.Contains("\n"+content, "\n"+b.Begin())
}
