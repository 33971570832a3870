package hostrecord

import (
	"errors"
	"fmt"
	"strings"
)

// Block is the lines that a cluster has, between two marks, in a file that it shares with others.
type Block struct {
	Mark  string   `json:"mark"` // the cluster's name
	Lines []string `json:"lines"`
	// Old are the lines that were there before, until those of Lines are.
	Old []string `json:"old,omitempty"`
}

// Begin is the mark in front of the lines.
func (b *Block) Begin() string { return "# begin kubefile cluster " + b.Mark }

func (b *Block) end() string { return "# end kubefile cluster " + b.Mark }

// ErrMarks says that it is not known where a block ends.
var ErrMarks = errors.New("the marks around the cluster's lines are incomplete")

// WithBlock returns a text with the cluster's lines between two marks, in the place where they are or at the end. It fails when only one
// of the marks is there.
func WithBlock(content, cluster string, lines []string) (string, error) {
	b := Block{Mark: cluster, Lines: lines}
	rest, at, err := b.Cut(content, nil, "")
	if err != nil {
		return "", err
	}
	return b.Insert(rest, at), nil
}

// textKey is what of a line is compared: editors change line endings.
func textKey(line string) string { return strings.TrimRight(line, " \t\r\n") }

// balanced reports whether every begin mark has its end mark, and there is one.
func (b *Block) balanced(lines []string) bool {
	inside, found := false, false
	for _, line := range lines {
		switch textKey(line) {
		case b.Begin():
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

// Cut returns the lines of a text that are not the cluster's, and where its lines began; -1 without any. known are the lines that
// the cluster wrote: others that someone put between the marks stay. Without known, all between the marks are the cluster's. When marks
// are missing, known lines are taken out wherever they are, but for those that were in the original.
func (b *Block) Cut(content string, known []string, original string) (rest []string, at int, err error) {
	lines := strings.SplitAfter(content, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	balanced, marked := b.balanced(lines), false
	for _, line := range lines {
		marked = marked || textKey(line) == b.Begin() || textKey(line) == b.end()
	}
	if !balanced && known == nil {
		if marked {
			return nil, -1, fmt.Errorf("%w: expected a line %q and a line %q; restore the missing one, or remove the other with the cluster's lines",
				ErrMarks, b.Begin(), b.end())
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
		case key == b.Begin() || key == b.end():
			inside = key == b.Begin()
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

// Insert returns the text with the block at a line; -1 is the end.
func (b *Block) Insert(rest []string, at int) string {
	if at < 0 {
		at = len(rest)
	}
	before, after := strings.Join(rest[:at], ""), strings.Join(rest[at:], "")
	if before != "" && !strings.HasSuffix(before, "\n") {
		before += "\n"
	}
	return before + strings.Join(append(append([]string{b.Begin()}, b.Lines...), b.end()), "\n") + "\n" + after
}
