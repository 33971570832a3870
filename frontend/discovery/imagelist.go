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

// isImageList knows the lists of this tool and the old one, of release pages (k3s-images.txt, rancher-images.txt), and of sealos
// (images/shim/NAME).
func isImageList(name string) bool {
	dir, base := path.Split(name)
	if strings.HasSuffix(dir, "images/shim/") && path.Ext(base) != ".sh" {
		return true
	}
	base = strings.TrimSuffix(strings.ToLower(base), ".tmpl")
	switch path.Ext(base) {
	case "", ".txt", ".list", ".lst":
	default:
		return false
	}
	stem, ext := strings.TrimSuffix(base, path.Ext(base)), path.Ext(base)
	if norm := normal(stem); strings.HasSuffix(norm, "imagelist") || strings.HasSuffix(norm, "imageslist") {
		return true
	}
	rest, ok := strings.CutSuffix(stem, "images")
	return ok && ext != "" && (rest == "" || strings.ContainsAny(rest[len(rest)-1:], "-_."))
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
		written = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(written), "- "))
		if written = strings.Trim(written, `"',`); written != "" {
			c.reference(written, imagespec.Finding{File: name, Line: line, Rule: ruleImageList, Class: imagespec.ClassCertain})
		}
	}
	return nil
}
