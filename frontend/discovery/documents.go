package discovery

import (
	"bytes"
	"context"
	"io/fs"
	"path"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/imagespec"
)

// maxNodes bounds the nodes that are visited in one document; aliases make a few bytes a great many.
const maxNodes = 5_000_000

func isDocument(_ fs.FS, name string, entry fs.DirEntry) bool {
	if entry.IsDir() {
		return false
	}
	switch path.Ext(name) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

func readDocuments(ctx context.Context, c *collector, name string) error {
	data, err := c.readFile(name)
	if err != nil {
		return err
	}
	for _, d := range split(data) {
		if err := ctx.Err(); err != nil {
			return err
		}
		root, problem := d.parse()
		if problem != nil {
			c.problem(name, problem.line, false, "not read, for it is no valid YAML: %s", problem.message)
			continue
		}
		where := func(n *yaml.Node) imagespec.Finding {
			return imagespec.Finding{File: name, Line: d.line + n.Line}
		}
		if err := podShapes(root, where, c.reference); err != nil {
			c.problem(name, d.line+1, true, "not searched: %v", err)
		}
	}
	return nil
}

// document is one document of a stream.
type document struct {
	data []byte
	line int // lines before it
}

// split cuts a stream where a line begins with "---", which begins a document wherever it stands (YAML 1.2, section 9.1.2). One
// document that cannot be parsed does not hide the others.
func split(data []byte) []document {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	documents := []document{{}}
	line := 0
	for rest := data; len(rest) > 0; line++ {
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 {
			end = len(rest)
		}
		current := rest[:end]
		rest = rest[end:]
		last := &documents[len(documents)-1]
		if bytes.HasPrefix(current, []byte("---")) && (len(bytes.TrimSpace(current)) == 3 || current[3] == ' ' || current[3] == '\t') {
			documents = append(documents, document{data: data[len(data)-len(rest)-len(current):][:len(current)], line: line})
			continue
		}
		if last.data == nil {
			last.line = line
			last.data = current
			continue
		}
		last.data = last.data[:len(last.data)+len(current)] // the lines lie one behind the other in data
	}
	return documents
}

type parseProblem struct {
	line    int
	message string
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// parse returns the root node, or nil for an empty document.
func (d document) parse() (*yaml.Node, *parseProblem) {
	var root yaml.Node
	err := yaml.Unmarshal(d.data, &root)
	if err == nil {
		return &root, nil
	}
	problem := &parseProblem{line: d.line + 1, message: yamlLine.ReplaceAllString(err.Error(), "")}
	if match := yamlLine.FindStringSubmatch(err.Error()); match != nil && match[1] != "" {
		if n, err := strconv.Atoi(match[1]); err == nil {
			problem.line = d.line + n
		}
	}
	return nil, problem
}
