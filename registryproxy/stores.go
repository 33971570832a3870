package registryproxy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/imagespec"
)

// stores are the existing stores of a host.
type stores []store

type store struct {
	*imagespec.Store
	root *os.Root
}

// openStores opens the existing stores of a [Config]. The error is about the others.
func openStores(names []string) (stores, error) {
	var opened stores
	var failed []error
	for _, name := range names {
		directories, err := expand(name)
		failed = append(failed, err)
		for _, directory := range directories {
			root, err := os.OpenRoot(directory)
			switch {
			case err == nil:
				opened = append(opened, store{imagespec.NewStore(root.FS()), root})
			case !errors.Is(err, os.ErrNotExist):
				failed = append(failed, fmt.Errorf("opening the store: %w", err))
			}
		}
	}
	return opened, errors.Join(failed...)
}

// expand returns the directories that a name with a part * matches, in sorted order.
func expand(name string) ([]string, error) {
	parent, rest, several := strings.Cut(name, "/*/")
	if !several {
		return []string{name}, nil
	}
	entries, err := os.ReadDir(parent)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("looking for stores: %w", err)
	}
	var directories []string
	for _, entry := range entries {
		if entry.IsDir() {
			directories = append(directories, filepath.Join(parent, entry.Name(), rest))
		}
	}
	return directories, nil
}

func (s stores) close() {
	for _, one := range s {
		one.root.Close()
	}
}

// find looks for each target in one store after the other until one has it; damage in earlier stores does not stop it.
func (s stores) find(targets []target, ask func(*imagespec.Store, target) error) (found bool, damage error) {
	var failed []error
	for _, t := range targets {
		for _, one := range s {
			err := ask(one.Store, t)
			if err == nil {
				return true, errors.Join(failed...)
			}
			if !errors.Is(err, imagespec.ErrNotFound) {
				failed = append(failed, fmt.Errorf("%s: %w", one.root.Name(), err))
			}
		}
	}
	return false, errors.Join(failed...)
}

// registries are those that the images of all stores come from, sorted.
func (s stores) registries() ([]string, error) {
	var all []string
	var failed []error
	for _, one := range s {
		registries, err := one.Registries()
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", one.root.Name(), err))
		}
		all = append(all, registries...)
	}
	slices.Sort(all)
	return slices.Compact(all), errors.Join(failed...)
}
