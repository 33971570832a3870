package discovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/imagespec"
)

func readDocuments(ctx context.Context, c *collector, t *tree) error {
	names := t.take(func(name string) bool {
		return documentExt(name) != "" && (!notDeployed(name) || c.usage.appliesFile(name))
	})
	return each(ctx, names, c.readDocument)
}

// notDeployed reports whether a document is not about a cluster: documentation, tests, and files that build and check a project.
func notDeployed(name string) bool {
	base := path.Base(name)
	for _, prefix := range []string{".gitlab-ci", ".travis", ".drone", ".goreleaser", ".golangci", ".pre-commit", "azure-pipelines", "cloudbuild", "skaffold", "docker-compose",
		"mkdocs", "package.json", "package-lock", "renovate", "codecov", "ct.y", "Tiltfile", "devspace"} {
		if strings.HasPrefix(base, prefix) {
			return true
		}
	}
	return isAside(name) || strings.HasSuffix(base, ".schema.json") || strings.HasPrefix(name, ".github/") || strings.Contains(name, "/.github/") ||
		strings.HasPrefix(name, ".circleci/") || strings.Contains(name, "/.circleci/")
}

// documentExt returns the extension of a file of documents, or nothing for other files. "x.yaml.tmpl" is rendered on each host to x.yaml,
// and is searched if it is already YAML.
func documentExt(name string) string {
	switch ext := strings.ToLower(path.Ext(strings.TrimSuffix(name, ".tmpl"))); ext {
	case ".yaml", ".yml", ".json":
		return ext
	}
	return ""
}

func (c *collector) readDocument(name string) error {
	data, ok, err := c.readFile(name)
	if err != nil || !ok {
		return err
	}
	if documentExt(name) == ".json" {
		// JSON is YAML but for details, such as surrogate pairs, in which the YAML library differs.
		if roots, err := parseJSON(data); err == nil {
			for _, root := range roots {
				c.searchFile(name, 0, root)
			}
			return nil
		}
	}
	c.noteComments(name, data)
	for _, d := range split(data) {
		roots, err := d.parse()
		if errors.Is(err, errTooLarge) {
			c.problem(name, d.line+1, true, "not searched: %v: split it, or leave it out", err)
		} else if err != nil {
			line, message := d.problem(err)
			c.problem(name, line, false, "not searched, because it is not valid YAML: %s", message)
		}
		for _, root := range roots {
			c.searchFile(name, d.line, root)
		}
	}
	return nil
}

// searchFile applies the rules to a document of a file that begins after the given number of lines.
func (c *collector) searchFile(name string, lines int, root *yaml.Node) {
	c.noteCustom(root, imagespec.Finding{File: name, Line: lines + 1})
	aside := isValuesFile(name)
	key := strings.TrimSuffix(path.Base(name), path.Ext(name)) // images.yaml
	err := searchUnder(key, root, func(m match) {
		if aside && m.class == imagespec.ClassStrong {
			m.class = imagespec.ClassMaybe
		}
		c.reference(m.reference, imagespec.Finding{File: name, Line: lines + m.line, Rule: m.rule, Class: m.class, Chain: m.chain})
	})
	if err != nil {
		c.problem(name, lines+1, true, "not searched to its end: %v", err)
	}
}

// document is a part of a stream that is parsed on its own.
type document struct {
	data []byte
	line int // lines before it
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// split cuts a stream where a line begins with "---" or "...", which always begin and end a document (YAML 1.2, section 9.1), so that a
// document that cannot be parsed does not hide the others. Something may follow "---" at once, as in "---# comment": Helm and kubectl take
// it.
func split(data []byte) []document {
	data = bytes.TrimPrefix(data, byteOrderMark)
	var documents []document
	start, startLine, line := 0, 0, 0
	cut := func(end, next int) {
		if d := (document{data: data[start:end], line: startLine}); !d.empty() {
			documents = append(documents, d)
		}
		start, startLine = next, line
	}
	for offset := 0; offset < len(data); line++ {
		if separates(data[offset:]) {
			cut(offset, offset+3)
		}
		end := bytes.IndexByte(data[offset:], '\n')
		if end < 0 {
			break
		}
		offset += end + 1
	}
	cut(len(data), len(data))
	return documents
}

// separates reports whether data begins with exactly three dashes, or with three dots alone on a line.
func separates(data []byte) bool {
	if rest, ok := bytes.CutPrefix(data, []byte("---")); ok {
		return !bytes.HasPrefix(rest, []byte("-"))
	}
	rest, ok := bytes.CutPrefix(data, []byte("..."))
	return ok && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

// empty reports whether the document has nothing but comments and the directives of the document after it (YAML 1.2, section 6.8).
func (d document) empty() bool {
	for text := range bytes.SplitSeq(d.data, []byte("\n")) {
		if text = bytes.TrimSpace(text); len(text) > 0 && text[0] != '#' && text[0] != '%' {
			return false
		}
	}
	return true
}

// maxNodes bounds the nodes of a document, of which each costs some 300 bytes of memory.
const maxNodes = 1_000_000

// errTooLarge is returned for a document that could cost more than any real one.
var errTooLarge = fmt.Errorf("more than %d values", maxNodes)

// tooLarge reports whether data may have more than maxNodes nodes, by counting the separators of YAML and JSON.
func tooLarge(data []byte) bool {
	separators := 0
	for _, b := range []string{",", ":", "[", "{", "\n"} {
		separators += bytes.Count(data, []byte(b))
	}
	return separators > maxNodes
}

// parse returns the root of the document; more than one only in UTF-16, which is not split. With an error it returns those before it.
func (d document) parse() ([]*yaml.Node, error) {
	if tooLarge(d.data) {
		return nil, errTooLarge
	}
	var roots []*yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(d.data))
	for {
		var root yaml.Node
		err := decoder.Decode(&root)
		if errors.Is(err, io.EOF) {
			return roots, nil
		}
		if err != nil {
			return roots, err
		}
		roots = append(roots, &root)
	}
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// problem returns the line in the stream and the message of an error of the YAML library.
func (d document) problem(err error) (line int, message string) {
	match := yamlLine.FindStringSubmatch(err.Error())
	if match == nil {
		return d.line + 1, err.Error()
	}
	message = err.Error()[len(match[0]):]
	if n, err := strconv.Atoi(match[1]); err == nil {
		return d.line + n, message
	}
	return d.line + 1, message
}
