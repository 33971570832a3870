package discovery

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
)

// What a template renders to has lost the lines of the template. They are found by rendering once more with a comment behind every
// line that names an image. What is found is what renders without the comments; they only say where it came from.

// mark is the place of a line that a template renders.
type mark struct {
	template string
	line     int // from 1
}

var (
	// imageKey is a line that one of the rules may read.
	imageKey = regexp.MustCompile(`(?i)(?:image[\w-]*["']?\s*[:=]|(?:^|[\s{,"'-])(?:reference|repository|value)["']?\s*:|^\s*-\s+["']?(?:--|[\w.-]+/))`)
	// comment is a mark behind a line: the number of the template and the line in it.
	comment = regexp.MustCompile(` #kubefile:(\d+):(\d+)`)
)

// annotate puts comments into the templates of a chart and its subcharts, and returns the names of these templates by number.
func annotate(ch *chart.Chart, names []string) []string {
	originals := ch.Templates // shared by the aliases of a dependency
	ch.Templates = nil
	for _, t := range originals {
		lines := strings.Split(string(t.Data), "\n")
		for i, text := range lines {
			text = strings.TrimSuffix(text, "\r")
			if imageKey.MatchString(text) && !strings.HasSuffix(text, "-}}") && strings.Count(text, "{{") == strings.Count(text, "}}") {
				lines[i] = fmt.Sprintf("%s #kubefile:%d:%d", text, len(names), i+1)
			}
		}
		ch.Templates = append(ch.Templates, &common.File{Name: t.Name, Data: []byte(strings.Join(lines, "\n"))})
		names = append(names, path.Join(ch.ChartFullPath(), t.Name))
	}
	for _, sub := range ch.Dependencies() {
		names = annotate(sub, names)
	}
	return names
}

// marks returns the marks of the lines, from 1, that are the same in annotated.
func marks(rendered, annotated string, names []string) map[int]mark {
	lines, found := strings.Split(rendered, "\n"), map[int]mark{}
	for i, text := range strings.Split(annotated, "\n") {
		match := comment.FindStringSubmatch(text)
		if match == nil || i >= len(lines) || strings.TrimRight(comment.ReplaceAllString(text, ""), "\r") != strings.TrimRight(lines[i], "\r") {
			continue
		}
		number, err := strconv.Atoi(match[1])
		line, err2 := strconv.Atoi(match[2])
		if err == nil && err2 == nil && number < len(names) {
			found[i+1] = mark{template: names[number], line: line}
		}
	}
	return found
}

// everyLine returns the marks of a file that is not rendered.
func everyLine(name string, data []byte) map[int]mark {
	all := map[int]mark{}
	for line := range bytes.Count(data, []byte("\n")) + 1 {
		all[line+1] = mark{template: name, line: line + 1}
	}
	return all
}
