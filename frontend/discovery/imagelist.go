package discovery

import (
	"bytes"
	"context"
	"io/fs"
	"path"
	"strings"

	"github.com/kubefile/kubefile/imagespec"
)

// ruleImageList finds the references that a list of images states, one a line.
const ruleImageList = "image-list"

func isImageList(_ fs.FS, name string, entry fs.DirEntry) bool {
	base := path.Base(name)
	return !entry.IsDir() && (base == "imageList" || base == "images.txt" || strings.HasSuffix(base, "-images.txt"))
}

func readImageList(_ context.Context, c *collector, name string) error {
	data, ok, err := c.readFile(name)
	if err != nil || !ok {
		return err
	}
	line := 0
	for text := range strings.SplitSeq(string(bytes.TrimPrefix(data, byteOrderMark)), "\n") {
		line++
		written, _, _ := strings.Cut(text, "#")
		if written = strings.TrimSpace(written); written != "" {
			c.reference(written, imagespec.Finding{File: name, Line: line, Rule: ruleImageList, Class: imagespec.ClassCertain})
		}
	}
	return nil
}
