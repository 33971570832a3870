package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
)

// Kustomizations are built as kustomize builds them. What a build reads is reported through what it makes of it only: resources whose
// images it changes, patches and files of generators are not what gets applied.

// kustomization is a directory that kustomize can build.
type kustomization struct {
	dir       string
	file      string      // in the directory
	root      *yaml.Node  // of the file
	refers    []string    // directories of other kustomizations
	files     []string    // of resources
	absent    []reference // what it refers to and is not in the rootfs
	charts    []inflated
	component bool
	optional  bool // left out by the kustomization around it
}

// reference is an entry of a kustomization.
type reference struct {
	value string
	line  int
}

// readKustomizations builds the kustomizations that commands build, and those that no other one refers to.
func readKustomizations(ctx context.Context, c *collector, t *tree) error {
	all, err := c.kustomizationsIn(ctx, t)
	if err != nil {
		return err
	}
	k := &kustomizer{c: c, all: all, built: map[string]bool{}, read: map[string]bool{}}
	c.kustomizations = slices.Collect(maps.Keys(k.all))
	referred := map[string]bool{}
	for _, one := range k.all {
		for _, dir := range one.refers {
			referred[dir] = true
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(k.all)) {
		one := k.all[dir]
		named := slices.Contains(c.usage.kustomizations, dir)
		switch {
		case one.component && !named:
			if !referred[dir] {
				k.leave(one) // what nothing takes in is not applied
			}
		case named || !referred[dir]:
			one.optional = !named && k.leftOut(one)
			if err := k.build(ctx, one, named || !c.usage.any() && !one.optional); err != nil {
				return err
			}
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(k.all)) {
		// What is left is in a circle, in which each refers to another one.
		if one := k.all[dir]; !k.read[one.file] {
			if err := k.build(ctx, one, !c.usage.any()); err != nil {
				return err
			}
		}
	}
	t.take(func(name string) bool { return k.read[name] && !c.usage.appliesFile(name) })
	return nil
}

// kustomizationFiles are the names that kustomize looks for (types.DefaultKustomizationFileName and its older spellings).
var kustomizationFiles = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// kustomizationsIn reads the kustomizations that are not part of a chart, by directory.
func (c *collector) kustomizationsIn(ctx context.Context, t *tree) (map[string]*kustomization, error) {
	charts, all := t.dirs("Chart.yaml"), map[string]*kustomization{}
	for _, name := range t.files {
		dir := path.Dir(name)
		if !slices.Contains(kustomizationFiles, path.Base(name)) || inside(charts, name) || all[dir] != nil {
			continue
		}
		if isAside(dir) && !slices.Contains(c.usage.kustomizations, dir) {
			continue
		}
		one, err := c.readKustomization(ctx, name)
		if err != nil {
			return nil, err
		}
		if one != nil {
			all[dir] = one
		}
	}
	return all, nil
}

// kustomizer builds kustomizations, each once.
type kustomizer struct {
	c     *collector
	all   map[string]*kustomization
	built map[string]bool
	read  map[string]bool // files that need no more reading
}

// leftOut reports whether a kustomization lies in the directory of another one, which does not take it in (nor can it take in what is
// around it): then it is an alternative for people to choose.
func (k *kustomizer) leftOut(one *kustomization) bool {
	for dir := one.dir; dir != "."; {
		dir = path.Dir(dir)
		if around := k.all[dir]; around != nil && !around.component {
			return true
		}
	}
	return false
}

// leave takes the files of a kustomization that nothing builds.
func (k *kustomizer) leave(one *kustomization) {
	k.read[one.file] = true
	visitScalars(one.root, func(n *yaml.Node) {
		k.read[within(one.dir, n.Value)] = true
	})
}

// build builds one kustomization and searches the result. Where that cannot succeed, those that it refers to are built on their own, and
// its own resources are searched as they are.
func (k *kustomizer) build(ctx context.Context, one *kustomization, needed bool) error {
	if k.built[one.dir] {
		return nil
	}
	k.built[one.dir] = true
	fsys := newKustomizeFS(ctx, k.c, k.all, one.dir)
	resources, err := fsys.build(ctx)
	if ctx.Err() != nil || errors.Is(err, errRenderTime) || errors.Is(err, errRenderHeap) {
		return fmt.Errorf("building kustomization %s: %w", one.dir, err)
	}
	absent := fsys.absent()
	k.c.beyond = k.c.beyond || k.c.partial && (err != nil || len(absent) > 0)
	for _, absent := range absent {
		k.c.problem(absent.file, absent.line, needed, "%s is not in the rootfs, so its images are unknown: put it there and refer to that, or list its images in an imageList", absent.value)
	}
	if err != nil {
		k.c.problem(one.file, 0, needed, "the kustomization cannot be built, and its resources are searched as they are: %s", kustomizeError(err))
		k.read[one.file] = true
		for _, dir := range one.refers {
			if base := k.all[dir]; base != nil && !base.component {
				if err := k.build(ctx, base, needed); err != nil {
					return err
				}
			}
		}
		return nil
	}
	maps.Copy(k.read, fsys.read)
	places := newOrigins(k.c, fsys)
	for _, resource := range resources.Resources() {
		places.search(one, resource)
	}
	return nil
}

// build builds the kustomization, once more with the schemas of CRDs if it does not succeed without.
func (f *kustomizeFS) build(ctx context.Context) (resources resmap.ResMap, err error) {
	// Kustomize warns of old fields on standard error, does not say in which file, and cannot be told not to.
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		stderr := os.Stderr
		os.Stderr = null
		defer func() {
			os.Stderr = stderr
			null.Close()
		}()
	}
	for _, f.whole = range []bool{false, true} {
		f.read = map[string]bool{}
		if watched := watch(ctx, func() { resources, err = f.run() }); watched != nil {
			return nil, watched
		}
		if err == nil {
			return resources, nil
		}
	}
	return nil, cmp.Or(f.refused, err)
}

func (f *kustomizeFS) run() (resources resmap.ResMap, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("kustomize failed: %v", r)
		}
	}()
	options := krusty.MakeDefaultOptions() // runs no programs
	options.Reorder = krusty.ReorderOptionUnspecified
	options.LoadRestrictions = types.LoadRestrictionsNone
	return krusty.MakeKustomizer(options).Run(f, path.Join(rootfsDir, f.dir))
}

// kustomizeError makes an error readable: kustomize repeats itself and names the directories that it is shown.
func kustomizeError(err error) string {
	message := strings.ReplaceAll(err.Error(), rootfsDir+"/", "")
	message = strings.ReplaceAll(message, "'"+rootfsDir+"'", "'.'")
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + " ..."
	}
	return message
}

// pathKeys are the fields of a kustomization that list files and directories.
var pathKeys = []string{
	"resources", "bases", "components", "crds", "configurations", "generators", "transformers", "validators", "patchesStrategicMerge",
}

// readKustomization reads the references of a kustomization; nil if the file is not a kustomization.
func (c *collector) readKustomization(ctx context.Context, name string) (*kustomization, error) {
	data, ok, err := c.readFile(name)
	if err != nil || !ok {
		return nil, err
	}
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil || len(root.Content) == 0 || root.Content[0].Kind != yaml.MappingNode {
		return nil, nil
	}
	one := &kustomization{dir: path.Dir(name), file: name, root: root.Content[0]}
	for i := 0; i+1 < len(one.root.Content); i += 2 {
		key, value := one.root.Content[i].Value, one.root.Content[i+1]
		switch {
		case key == "kind":
			one.component = value.Value == "Component"
		case slices.Contains(pathKeys, key) && value.Kind == yaml.SequenceNode:
			for _, entry := range value.Content {
				c.refer(one, key, entry)
			}
		}
	}
	return one, c.inflate(ctx, one, data)
}

// refer notes one entry of a list of files and directories.
func (c *collector) refer(one *kustomization, key string, entry *yaml.Node) {
	if entry.Kind != yaml.ScalarNode || isInline(entry.Value) {
		return
	}
	info, err := c.local(one.dir, entry.Value)
	switch {
	case err != nil:
		one.absent = append(one.absent, reference{entry.Value, entry.Line})
	case info.IsDir():
		one.refers = append(one.refers, within(one.dir, entry.Value))
	case key == "resources":
		one.files = append(one.files, within(one.dir, entry.Value))
	}
}

// any reports whether commands say how anything in the rootfs is used.
func (u usage) any() bool {
	return len(u.installs)+len(u.kustomizations)+len(u.applied) > 0
}

// appliesFile reports whether a command applies a file as it is.
func (u usage) appliesFile(name string) bool {
	for ; name != "."; name = path.Dir(name) {
		if u.applied[name] {
			return true
		}
	}
	return u.applied["."]
}

func visitScalars(n *yaml.Node, visit func(n *yaml.Node)) {
	if n.Kind == yaml.ScalarNode {
		visit(n)
	}
	for _, child := range n.Content {
		visitScalars(child, visit)
	}
}
