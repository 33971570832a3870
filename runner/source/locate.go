package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// findPath tells a path from a registry reference; the path is empty for a
// reference. selector is what follows PATH: or PATH@.
func findPath(image string) (path, selector string, isDir bool, err error) {
	info, err := os.Stat(image)
	if err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		return "", "", false, errors.New("neither a file nor a directory: an archive is read at random, so save it to a file first")
	}
	if err == nil {
		return image, "", info.IsDir(), nil
	}
	if startsAsPath(image) && !errors.Is(err, fs.ErrNotExist) {
		return "", "", false, err
	}
	if i := strings.LastIndexAny(image, ":@"); i > 0 {
		head, rest := image[:i], image[i+1:]
		if at := strings.LastIndex(image, "@"); at > 0 { // PATH@sha256:...
			head, rest = image[:at], image[at+1:]
		}
		if info, err := os.Stat(head); err == nil && isPathLike(head, info) {
			return head, rest, info.IsDir(), nil
		}
	}
	if startsAsPath(image) || strings.HasSuffix(image, ".tar") || strings.HasSuffix(image, ".tgz") || strings.HasSuffix(image, ".tar.gz") {
		return "", "", false, fmt.Errorf("%w: no such file or directory; check the path, or write REGISTRY/NAME:TAG for an image of a registry", ErrNotFound)
	}
	return "", "", false, nil
}

// isPathLike keeps a directory that happens to be called like a repository from
// being taken for it: "app:v1" with a directory app is still the image app:v1.
func isPathLike(head string, info os.FileInfo) bool {
	return startsAsPath(head) || !info.IsDir()
}

func startsAsPath(s string) bool {
	return strings.HasPrefix(s, "/") || strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../") || s == "." || s == ".."
}
