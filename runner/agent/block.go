package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
)

// block is the lines that a cluster has, between two marks, in a file that it shares with others.
type block struct {
	Mark  string   `json:"mark"` // the cluster's name
	Lines []string `json:"lines"`
	// Old are the lines that were there before, until those of Lines are.
	Old []string `json:"old,omitempty"`
}

func (b *block) begin() string { return "# begin kubefile cluster " + b.Mark }
func (b *block) end() string   { return "# end kubefile cluster " + b.Mark }

// errMarks says that it is not known where a block ends.
var errMarks = errors.New("the marks around the cluster's lines are incomplete")

// WithBlock returns a text with the cluster's lines between two marks, in the place where they are or at the end. It fails when only one
// of the marks is there.
func WithBlock(content, cluster string, lines []string) (string, error) {
	b := block{Mark: cluster, Lines: lines}
	rest, at, err := b.cut(content, nil, "")
	if err != nil {
		return "", err
	}
	return b.insert(rest, at), nil
}

// textKey is what of a line is compared: editors change line endings.
func textKey(line string) string { return strings.TrimRight(line, " \t\r\n") }

// balanced reports whether every begin mark has its end mark, and there is one.
func (b *block) balanced(lines []string) bool {
	inside, found := false, false
	for _, line := range lines {
		switch textKey(line) {
		case b.begin():
			if inside {
				return false
			}
			inside, found = true, true
		case b.end():
			if !inside {
				return false
			}
			inside = false
		}
	}
	return found && !inside
}

// cut returns the lines of a text that are not the cluster's, and where its lines began; -1 without any. known are the lines that
// the cluster wrote: others that someone put between the marks stay. Without known, all between the marks are the cluster's. When marks
// are missing, known lines are taken out wherever they are, but for those that were in the original.
func (b *block) cut(content string, known []string, original string) (rest []string, at int, err error) {
	lines := strings.SplitAfter(content, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	balanced, marked := b.balanced(lines), false
	for _, line := range lines {
		marked = marked || textKey(line) == b.begin() || textKey(line) == b.end()
	}
	if !balanced && known == nil {
		if marked {
			return nil, -1, fmt.Errorf("%w: expected a line %q and a line %q; restore the missing one, or remove the other with the cluster's lines",
				errMarks, b.begin(), b.end())
		}
		return lines, -1, nil
	}
	left := counts(known)
	if !balanced {
		left = removable(lines, left, original)
	}
	inside, at := false, -1
	for _, line := range lines {
		key := textKey(line)
		switch {
		case key == b.begin() || key == b.end():
			inside = key == b.begin()
			if inside && balanced {
				left = counts(known)
			}
			if at < 0 {
				at = len(rest)
			}
		case inside && known == nil:
		case (inside || !balanced) && left[key] > 0:
			left[key]--
		default:
			rest = append(rest, line)
		}
	}
	return rest, at, nil
}

func counts(lines []string) map[string]int {
	count := map[string]int{}
	for _, line := range lines {
		count[textKey(line)]++
	}
	return count
}

// removable is how many copies of each of the cluster's lines may be taken out so that the original's stay.
func removable(lines []string, ours map[string]int, original string) map[string]int {
	now, before := counts(lines), counts(strings.Split(original, "\n"))
	for key, n := range ours {
		ours[key] = max(0, min(n, now[key]-before[key]))
	}
	return ours
}

// insert returns the text with the block at a line; -1 is the end.
func (b *block) insert(rest []string, at int) string {
	if at < 0 {
		at = len(rest)
	}
	before, after := strings.Join(rest[:at], ""), strings.Join(rest[at:], "")
	if before != "" && !strings.HasSuffix(before, "\n") {
		before += "\n"
	}
	return before + strings.Join(append(append([]string{b.begin()}, b.Lines...), b.end()), "\n") + "\n" + after
}

type blockRequest struct {
	Dir     string   `json:"dir"`
	Path    string   `json:"path"`
	Cluster string   `json:"cluster"`
	Lines   []string `json:"lines"`
}

// WriteBlock makes the cluster's lines be in a file that others write too, between two marks. All other lines stay, also those that somebody
// put between the marks; so do the file's mode and owner. It reports whether that changed anything.
func (c Client) WriteBlock(ctx context.Context, path, cluster string, lines []string) (bool, error) {
	var answer changed
	request := blockRequest{Dir: c.Dir, Path: path, Cluster: cluster, Lines: lines}
	if err := c.call(ctx, c.agent(), verbBlock, request, nil, &answer); err != nil {
		return false, fmt.Errorf("writing the cluster's lines to %s: %w", path, err)
	}
	return answer.Changed, nil
}

func writeBlock(r blockRequest) (changed, error) {
	if err := checkPath(r.Path); err != nil {
		return changed{}, err
	}
	if r.Cluster == "" || strings.ContainsAny(r.Cluster+strings.Join(r.Lines, ""), "\r\n") {
		return changed{}, fmt.Errorf("lines for %s: %w: expected a cluster name and single lines", r.Path, ErrInvalid)
	}
	j, err := openJournal(r.Dir)
	if err != nil {
		return changed{}, err
	}
	defer j.Close()
	path, err := followLink(r.Path)
	if err != nil {
		return changed{}, err
	}
	old, mode, err := readShared(path)
	if err != nil {
		return changed{}, err
	}
	b := &block{Mark: r.Cluster, Lines: r.Lines}
	e := j.find(path)
	known, original := j.known(e)
	rest, at, err := b.cut(old, known, original)
	if err != nil {
		return changed{}, fmt.Errorf("%s: %w", path, err)
	}
	text := b.insert(rest, at)
	if text == old && e != nil && e.Block != nil && len(e.Block.Old) == 0 {
		return changed{}, nil
	}
	b.Old = known
	if err := j.prepareBlock(path, b); err != nil {
		return changed{}, err
	}
	if text != old {
		if err := putFile(path, strings.NewReader(text), mode, -1, -1); err != nil {
			return changed{}, err
		}
	}
	j.find(path).Block.Old = nil
	return changed{text != old}, j.save()
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
	data, err := readBounded(f, path, maxFile)
	return string(data), info.Mode(), err
}

// known are the lines that the journal says the cluster has in a file, nil when it does not say, and what the file was before.
func (j *journal) known(e *entry) (lines []string, original string) {
	if e == nil || e.Block == nil {
		return nil, ""
	}
	lines = append(append([]string{}, e.Block.Lines...), e.Block.Old...)
	if e.Previous != nil {
		if data, err := readFile(j.root, e.Previous.file(), maxFile); err == nil {
			original = string(data)
		}
	}
	return lines, original
}

// prepareBlock journals that a block is about to be written.
func (j *journal) prepareBlock(path string, b *block) error {
	if e := j.find(path); e != nil {
		e.Block = b
		return j.save()
	}
	for _, missing := range missingDirs(filepath.Dir(path)) {
		j.add(entry{Path: missing, Dir: true})
	}
	kept, err := j.keep(path)
	if err != nil {
		return fmt.Errorf("keeping the present %s: %w", path, err)
	}
	j.add(entry{Path: path, Block: b, Previous: kept})
	if err := j.save(); err != nil {
		return err
	}
	return os.MkdirAll(filepath.Dir(path), 0o755)
}

// undoBlock takes the cluster's lines out of a file, and nothing else.
func (j *journal) undoBlock(e entry) string {
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
		b = &block{Mark: filepath.Base(j.dir)}
	}
	rest, _, err := b.cut(old, known, original)
	if errors.Is(err, errMarks) {
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
	b := block{Mark: filepath.Base(j.dir)}
	return err == nil && strings.Contains("\n"+content, "\n"+b.begin())
}
