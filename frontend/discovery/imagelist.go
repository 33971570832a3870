package discovery

import (
	"bytes"
	"context"
	"path"
	"strings"

	"github.com/kubefile/kubefile/imagespec"
)

// ruleImageList finds the references that a list of images states, one a line.
const ruleImageList = "image-list"

func readImageLists(ctx context.Context, c *collector, t *tree) error {
	return each(ctx, t.take(isImageList), c.readImageList)
}

func isImageList(name string) bool {
	base := path.Base(name)
	return base == "imageList" || base == "images.txt" || strings.HasSuffix(base, "-images.txt")
}

func (c *collector) readImageList(name string) error {
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
