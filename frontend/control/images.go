package control

import (
	"regexp"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
)

// Finding returns an added image as a finding of discovery.
func (a Add) Finding() (string, imagespec.Finding) {
	ref, err := imagespec.ParseReference(a.Image)
	if err != nil { // Parse and Arguments have checked it
		return a.Image, imagespec.Finding{}
	}
	f := imagespec.Finding{File: a.place.file, Line: a.place.line, Rule: Rule, Class: imagespec.ClassCertain}
	if a.Reason != "" {
		f.Chain = []string{a.Reason}
	}
	return ref.String(), f
}

// Ignored returns the number of the entry that leaves the reference, in full form, out of an image for the platform; -1: none.
func (f *File) Ignored(ref string, platform ocispec.Platform) int {
	return slices.IndexFunc(f.Images.Ignore, func(i Ignore) bool { return i.matches(ref) && i.on(platform) })
}

func (i Ignore) matches(ref string) bool {
	if strings.Contains(i.Image, "*") {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(i.Image), `\*`, ".*")
		ok, err := regexp.MatchString("^"+pattern+"$", ref)
		return err == nil && ok
	}
	own, err := reference.ParseNormalizedNamed(i.Image)
	if err != nil {
		return false
	}
	if reference.IsNameOnly(own) {
		named, err := reference.ParseNormalizedNamed(ref)
		return err == nil && named.Name() == own.Name()
	}
	return own.String() == ref
}

func (i Ignore) on(platform ocispec.Platform) bool {
	return len(i.Platforms) == 0 || slices.ContainsFunc(i.Platforms, func(text string) bool {
		p, err := platforms.Parse(text)
		return err == nil && platforms.Only(p).Match(platform)
	})
}

// Place returns the position of an entry, for messages.
func (i Ignore) Place() string { return i.place.String() }

// Source returns the reference to fetch an image from: by the first rewrite that matches, or the reference itself.
func (f *File) Source(ref reference.Named) (reference.Named, error) {
	for _, r := range f.Images.Rewrite {
		if rest, ok := strings.CutPrefix(ref.String(), r.From); ok {
			source, err := imagespec.ParseReference(r.To + rest)
			if err != nil {
				return nil, r.place.invalid("%s becomes %s: %v", ref, r.To+rest, err)
			}
			return source, nil
		}
	}
	return ref, nil
}

// Strictness returns the reaction to an image of the class that cannot be resolved.
func (f *File) Strictness(class imagespec.Class) Strictness {
	said, otherwise := f.Classes.Certain, Fail
	switch class {
	case imagespec.ClassStrong:
		said = f.Classes.Strong
	case imagespec.ClassMaybe:
		said, otherwise = f.Classes.Maybe, Warn
	}
	if said == "" {
		return otherwise
	}
	return said
}
