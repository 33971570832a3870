package discovery

import (
	"bytes"
	"regexp"
	"slices"
)

// imageKey is a line with one of the keys that the rules read.
var imageKey = regexp.MustCompile(`^[^#]*?(?:^|[\s{,"'-])(?:image|reference)["']?\s*:`)

// templateLine returns the line of a template that made a line of what it renders to: the one that says the same or, failing that, one
// with a template action and the most neighbours in common. Lines count from 1; 0 is that it cannot be told, for instance because
// the image comes out of a helper.
func templateLine(source, rendered []byte, line int) int {
	from, to := bytes.Split(source, []byte("\n")), bytes.Split(rendered, []byte("\n"))
	if line < 1 || line > len(to) || !imageKey.Match(to[line-1]) {
		return 0
	}
	var same, actions []int
	for i, text := range from {
		switch {
		case !imageKey.Match(text):
		case sameLine(text, to[line-1]):
			same = append(same, i)
		case bytes.Contains(text, []byte("{{")):
			actions = append(actions, i)
		}
	}
	if same == nil {
		same = actions
	}
	if len(same) == 1 {
		return same[0] + 1
	}
	return closest(from, to, same, line-1) + 1
}

func sameLine(a, b []byte) bool {
	return bytes.Equal(bytes.TrimSpace(a), bytes.TrimSpace(b))
}

// closest returns the candidate that has the most neighbours in common with a line, the first of several; -1 if none has any.
func closest(from, to [][]byte, candidates []int, line int) int {
	const reach = 6
	around := func(lines [][]byte, i int) [][]byte { return lines[max(0, i-reach):min(len(lines), i+reach)] }
	best, most := -1, 0
	for _, candidate := range candidates {
		common := 0
		for _, text := range around(to, line) {
			same := func(other []byte) bool { return sameLine(text, other) }
			if len(bytes.TrimSpace(text)) > 0 && slices.ContainsFunc(around(from, candidate), same) {
				common++
			}
		}
		if common > most {
			best, most = candidate, common
		}
	}
	return best
}
