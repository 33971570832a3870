package control

import (
	"fmt"
	"path"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/frontend/discovery"
	"github.com/kubefile/kubefile/imagespec"
)

// Values are the value sets that the file gives charts, in the terms of discovery.
func (f *File) Values() map[string][]discovery.ValueSet {
	values := map[string][]discovery.ValueSet{}
	for _, c := range f.Charts {
		name := c.Path
		if name != discovery.EveryChart {
			name = path.Clean(strings.TrimPrefix(name, "/"))
		}
		for _, s := range c.Sets {
			values[name] = append(values[name], discovery.ValueSet{Namespace: s.Namespace, Files: s.Values, Set: s.Set})
		}
	}
	return values
}

// Apply adds to what was found for a platform what the file adds, and takes out what it ignores.
func (f *File) Apply(found []discovery.Finding, platform ocispec.Platform) (kept []discovery.Finding, ignored []imagespec.IgnoredImage) {
	for _, a := range f.Images.Add {
		ref, finding := a.Finding()
		found = append(found, discovery.Finding{Reference: ref, Finding: finding})
	}
	for _, one := range found {
		n := f.Ignored(one.Reference, platform)
		switch {
		case n < 0 && f.Strictness(one.Class) != LeaveOut:
			kept = append(kept, one)
			continue
		case n < 0:
			ignored = ignore(ignored, one, fmt.Sprintf("findings of class %s are ignored (%s)", one.Class, FileName))
		default:
			ignored = ignore(ignored, one, f.Images.Ignore[n].Reason)
		}
	}
	return kept, ignored
}

func ignore(list []imagespec.IgnoredImage, f discovery.Finding, reason string) []imagespec.IgnoredImage {
	at := slices.IndexFunc(list, func(i imagespec.IgnoredImage) bool { return i.Reference == f.Reference })
	if at < 0 {
		at = len(list)
		list = append(list, imagespec.IgnoredImage{Reference: f.Reference, Reason: reason})
	}
	list[at].Found = append(list[at].Found, f.Finding)
	return list
}
