package storetest

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/kubefile/kubefile/imagespec"
)

// Validate checks a store on a file system: nothing but regular files and directories is in it, every blob has the digest that its name
// says, and all that [imagespec.Store.Check] asks for. A hidden file is one that a writer has not finished.
func Validate(ctx context.Context, fsys fs.FS, lock *imagespec.Lock) error {
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("reading the store: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			return nil
		case !entry.Type().IsRegular():
			return fmt.Errorf("%s: %w: neither file nor directory", name, imagespec.ErrInvalid)
		case strings.HasPrefix(name, "blobs/") && !strings.HasPrefix(path.Base(name), "."):
			return validateBlob(fsys, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return imagespec.NewStore(fsys).Check(ctx, lock)
}

func validateBlob(fsys fs.FS, name string) error {
	stored, err := imagespec.ReadStoreFile(path.Join(imagespec.RegistryDir, name), 0)
	if err != nil {
		return err
	}
	file, err := fsys.Open(name)
	if err != nil {
		return fmt.Errorf("reading the store: %w", err)
	}
	defer file.Close()
	verifier := stored.Blob.Verifier()
	if _, err := io.Copy(verifier, file); err != nil {
		return fmt.Errorf("reading the store: %w", err)
	}
	if !verifier.Verified() {
		return fmt.Errorf("%s: %w: its bytes are damaged", name, imagespec.ErrInvalid)
	}
	return nil
}
