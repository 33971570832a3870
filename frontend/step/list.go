package step

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/kubefile/kubefile/imagespec"
)

// Listed is the list step's answer: the tree of a rootfs, or an empty file if the rootfs has more files than a tree may list.
const Listed = "rootfs.tar.gz"

// List reads which files the directory in has and writes them as an [imagespec.Tree], with the files that every cluster image has.
func List(ctx context.Context, in, out string) error {
	tree, err := readTree(ctx, in)
	if err != nil {
		return fmt.Errorf("listing the rootfs: %w", err)
	}
	tree.AddOwn()
	data, err := tree.Marshal()
	if errors.Is(err, imagespec.ErrInvalid) {
		data, err = nil, nil
	}
	if err != nil {
		return fmt.Errorf("listing the rootfs: %w", err)
	}
	if err := os.WriteFile(filepath.Join(out, Listed), data, 0o644); err != nil {
		return fmt.Errorf("listing the rootfs: %w", err)
	}
	return nil
}

// readTree stops when it has more files than a tree may list.
func readTree(ctx context.Context, in string) (imagespec.Tree, error) {
	tree := imagespec.Tree{}
	store := imagespec.ReservedPaths()
	err := filepath.WalkDir(in, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(in, path)
		if err != nil || name == "." {
			return err
		}
		if slices.Contains(store, name) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if len(tree) > imagespec.MaxTreeEntries {
			return fs.SkipAll
		}
		tree[name], err = treeEntry(path, d)
		return errors.Join(err, ctx.Err())
	})
	return tree, err
}

func treeEntry(path string, d fs.DirEntry) (imagespec.TreeEntry, error) {
	info, err := d.Info()
	if err != nil {
		return imagespec.TreeEntry{}, err
	}
	e := imagespec.TreeEntry{Mode: info.Mode()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		e.UID, e.GID = int(stat.Uid), int(stat.Gid)
	}
	if e.Mode&fs.ModeSymlink != 0 {
		e.Target, err = os.Readlink(path)
	}
	return e, err
}
