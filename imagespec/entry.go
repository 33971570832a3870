package imagespec

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// RunnerDir is for what belongs to the format, and not to the hosts.
	RunnerDir = ".kubefile"
	// UnpackedPath is the file in which the program that unpacks a rootfs records what it has unpacked. No layer may have it.
	UnpackedPath = RunnerDir + "/unpacked.json"

	// What no file system of Linux has: longer paths, and longer names in them (limits.h).
	maxPath = 4096
	maxName = 255

	whiteout       = ".wh."
	whiteoutMeta   = ".wh..wh."
	whiteoutOpaque = ".wh..wh..opq"
)

// Whiteout is an entry of a layer that hides what layers below have (OCI image specification, layer.md).
type Whiteout struct {
	Path   string // what is hidden; empty: nothing, it is bookkeeping of AUFS
	Opaque bool   // only what is in the directory
}

// ReadWhiteout reports whether a name that [SafePath] returned is the name of a whiteout.
func ReadWhiteout(name string) (Whiteout, bool, error) {
	dir, base := path.Dir(name), path.Base(name)
	hidden, ok := strings.CutPrefix(base, whiteout)
	switch {
	case !ok:
		return Whiteout{}, false, nil
	case base == whiteoutOpaque:
		return Whiteout{Path: dir, Opaque: true}, true, nil
	case strings.HasPrefix(base, whiteoutMeta):
		return Whiteout{}, true, nil
	case hidden == "" || hidden == "." || hidden == "..":
		return Whiteout{}, false, fmt.Errorf("%w: not a whiteout", ErrInvalid)
	}
	return Whiteout{Path: path.Join(dir, hidden)}, true, nil
}

// CheckRootfs returns an [ErrInvalid] for a file that no rootfs may have: by its path below the root, as [SafePath] returns it, and its type
// (SPEC.md, section 2). It is asked with each file of a build, and with each entry of a layer that is not a whiteout; a hard link is irregular.
func CheckRootfs(name string, mode fs.FileMode) error {
	if _, err := SafePath(name); err != nil {
		return err
	}
	switch mode.Type() {
	case 0, fs.ModeDir, fs.ModeSymlink, fs.ModeIrregular:
	default:
		return fmt.Errorf("%w: %s; only regular files, directories and symbolic links can be sent to hosts", ErrInvalid, typeName(mode))
	}
	switch {
	case strings.HasPrefix(path.Base(name), whiteout):
		return fmt.Errorf("%w: a name that begins with %s removes a file when the image is unpacked; rename it", ErrInvalid, whiteout)
	case name == UnpackedPath || strings.HasPrefix(name, UnpackedPath+"/"):
		return fmt.Errorf("%w: the name is reserved for the agent; rename it", ErrInvalid)
	case (name == RunnerDir || name == RegistryDir) && !mode.IsDir():
		return fmt.Errorf("%w: the name is reserved for a directory; rename it", ErrInvalid)
	case name == RunnerPath && !mode.IsRegular():
		return fmt.Errorf("%w: the name is reserved for the runner; rename it", ErrInvalid)
	}
	return nil
}

// CheckLink returns an [ErrInvalid] for what no symbolic link can lead to.
func CheckLink(target string) error {
	if target == "" || len(target) >= maxPath || strings.ContainsRune(target, 0) {
		return fmt.Errorf("%w: a symbolic link to nothing, to a NUL byte, or of more than %d bytes", ErrInvalid, maxPath-1)
	}
	return nil
}

func typeName(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeDevice != 0:
		return "a device"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a special file"
}

// StoreFile is a file of an image layer (SPEC.md, section 5).
type StoreFile struct {
	Path string        // relative to [RegistryDir]; empty: a directory
	Blob digest.Digest // of a blob
	Ref  string        // of a reference: its full form
}

// ReadStoreFile returns what an entry of an image layer is, or an [ErrInvalid] if no image layer may have it.
func ReadStoreFile(name string, mode fs.FileMode) (StoreFile, error) {
	if _, err := SafePath(name); err != nil {
		return StoreFile{}, err
	}
	if mode.IsDir() {
		return StoreFile{}, nil
	}
	if !mode.IsRegular() {
		return StoreFile{}, fmt.Errorf("%w: neither file nor directory", ErrInvalid)
	}
	inside, ok := strings.CutPrefix(name, RegistryDir+"/")
	switch {
	case ok && inside == ocispec.ImageLayoutFile:
		return StoreFile{Path: inside}, nil
	case ok && strings.HasPrefix(inside, blobsDir+"/"):
		blob, err := blobFromPath(inside)
		return StoreFile{Path: inside, Blob: blob}, err
	case ok && strings.HasPrefix(inside, refsDir+"/"):
		full, err := RefFromPath(inside)
		return StoreFile{Path: inside, Ref: full}, err
	}
	return StoreFile{}, fmt.Errorf("%w: not a file of an embedded store", ErrInvalid)
}

// blobFromPath is the inverse of [BlobPath].
func blobFromPath(name string) (digest.Digest, error) {
	algorithm, hash := path.Split(strings.TrimPrefix(name, blobsDir+"/"))
	blob := digest.NewDigestFromEncoded(digest.Algorithm(path.Clean(algorithm)), hash)
	if file, err := BlobPath(blob); err != nil || file != name {
		return "", fmt.Errorf("%q: %w: not the name of a blob", name, ErrInvalid)
	}
	return blob, nil
}

// ReadRef reads the file of a reference, whose path relative to [RegistryDir] is name.
func ReadRef(name string, content io.Reader) (ocispec.Descriptor, error) {
	var descriptor ocispec.Descriptor
	data, err := readLimited(content, maxRefSize)
	if err != nil {
		return descriptor, fmt.Errorf("%s: %w", name, err)
	}
	if err := json.Unmarshal(data, &descriptor); err != nil {
		return descriptor, fmt.Errorf("%s: %w: %w", name, ErrInvalid, err)
	}
	if err := checkManifest(descriptor); err != nil {
		return descriptor, fmt.Errorf("%s: %w", name, err)
	}
	if strings.Contains(name, "/"+digestsDir+"/") && path.Base(name) != descriptor.Digest.Encoded()+refSuffix {
		return descriptor, fmt.Errorf("%s: %w: it leads to %s", name, ErrInvalid, descriptor.Digest)
	}
	return descriptor, nil
}

// CheckCommand returns an [ErrInvalid] for a command that no host can run.
func CheckCommand(c Command) error {
	if (c.Shell == "") == (len(c.Exec) == 0) {
		return fmt.Errorf("%w: a command has to be either shell or exec", ErrInvalid)
	}
	words := append(slices.Clip(c.Exec), c.Shell)
	size := 0
	for _, word := range words {
		if strings.ContainsRune(word, 0) {
			return fmt.Errorf("%w: the command %q has a NUL byte, which no argument can have", ErrInvalid, word)
		}
		size += len(word)
	}
	if size > maxCommandSize {
		return fmt.Errorf("%w: a command of %d bytes (max %d); put it into a script", ErrInvalid, size, maxCommandSize)
	}
	if len(c.Exec) > 0 && c.Exec[0] == "" {
		return fmt.Errorf("%w: the first word of a command, its program, is empty", ErrInvalid)
	}
	return nil
}

// CheckVariable returns an [ErrInvalid] for an environment variable that no process can have. The value is in no error: it may be a secret.
func CheckVariable(variable string) error {
	name, value, ok := strings.Cut(variable, "=")
	switch {
	case !ok || name == "" || name[0] == '-' || strings.ContainsAny(name, "\n\x00"):
		return fmt.Errorf("%w: %q cannot name an environment variable; write NAME=VALUE", ErrInvalid, name)
	case strings.ContainsRune(value, 0):
		return fmt.Errorf("%w: the value of the environment variable %q has a NUL byte", ErrInvalid, name)
	}
	return nil
}
