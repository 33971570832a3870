package discovery

import (
	"context"
	"path"
	"regexp"
	"strings"

	"github.com/kubefile/kubefile/imagespec"
)

// ruleSandbox finds the image of the sandbox of pods, which the container runtime fetches by itself (containerd's configuration,
// sandbox_image in version 2, pinned_images.sandbox in version 3; CRI-O's pause_image).
const ruleSandbox = "sandbox-image"

var sandboxSetting = regexp.MustCompile(`^(?:sandbox_image|sandbox|pause_image)\s*=\s*["']([^"']+)["']`)

// readSettings reads configuration files of programs line by line: TOML, properties, variables.
func readSettings(ctx context.Context, c *collector, t *tree) error {
	return each(ctx, t.take(isSettings), c.readSettings)
}

func isSettings(name string) bool {
	switch path.Ext(strings.TrimSuffix(name, ".tmpl")) {
	case ".toml", ".env", ".properties", ".ini", ".conf", ".cfg":
		return !isAside(name)
	}
	return false
}

func (c *collector) readSettings(name string) error {
	data, ok, err := c.readFile(name)
	if err != nil || !ok {
		return err
	}
	number := 0
	for text := range strings.SplitSeq(string(data), "\n") {
		number++
		text = strings.TrimSpace(text)
		at := imagespec.Finding{File: name, Line: number, Rule: ruleText, Class: imagespec.ClassStrong}
		if m := sandboxSetting.FindStringSubmatch(text); m != nil && likely(m[1]) >= pathName {
			at.Rule, at.Class = ruleSandbox, imagespec.ClassCertain
			c.reference(m[1], at)
			continue
		}
		if m := assignment.FindStringSubmatch(text); m != nil && strings.HasPrefix(text, m[0]) && namesImages(m[1]) && likely(strings.Trim(m[2], `"'`)) >= pathName {
			c.reference(strings.Trim(m[2], `"'`), at)
		}
	}
	return nil
}
