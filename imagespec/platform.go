package imagespec

import (
	"fmt"
	"regexp"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// platformWord is an os, an architecture or a variant as Go names them (OCI image specification, "Image Index"), and safe as a part of a
// file name.
var platformWord = regexp.MustCompile(`^[a-z0-9]+([._-][a-z0-9]+)*$`)

// maxPlatformWord bounds each of them, in bytes.
const maxPlatformWord = 32

// FormatPlatform returns "os/architecture" or "os/architecture/variant".
func FormatPlatform(p ocispec.Platform) string {
	name := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		name += "/" + p.Variant
	}
	return name
}

// CheckPlatform returns an [ErrInvalid] for anything but a platform as SPEC.md, section 3, wants it.
func CheckPlatform(p ocispec.Platform) error {
	words := []string{p.OS, p.Architecture}
	if p.Variant != "" {
		words = append(words, p.Variant)
	}
	return checkPlatformWords(words)
}

// CheckArchitecture returns an [ErrInvalid] for anything but the architecture of a platform.
func CheckArchitecture(name string) error {
	return checkPlatformWords([]string{name})
}

// checkPlatformName checks "os/architecture" and "os/architecture/variant".
func checkPlatformName(name string) error {
	words := strings.Split(name, "/")
	if len(words) != 2 && len(words) != 3 {
		return fmt.Errorf("%w: %q is not a platform like linux/amd64", ErrInvalid, name)
	}
	return checkPlatformWords(words)
}

func checkPlatformWords(words []string) error {
	for _, word := range words {
		if len(word) > maxPlatformWord || !platformWord.MatchString(word) {
			return fmt.Errorf("%w: %q cannot be part of a platform like linux/amd64", ErrInvalid, word)
		}
	}
	return nil
}
