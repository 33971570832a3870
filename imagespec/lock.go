package imagespec

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
)

// Class is how certain a finding is.
type Class string

// Classes of findings, the surest first.
const (
	// ClassCertain is an image by its shape: a container of a pod, an explicit list.
	ClassCertain Class = "certain"
	// ClassStrong is an image by its name: keys, variables and flags that name images.
	ClassStrong Class = "strong"
	// ClassMaybe looks like a reference and has to be confirmed.
	ClassMaybe Class = "maybe"
)

// Finding is the place of a reference and the rule that found it.
type Finding struct {
	File  string   `json:"file"`           // relative to the cluster rootfs
	Line  int      `json:"line,omitempty"` // from 1; 0 when the place in the file is not known
	Rule  string   `json:"rule"`
	Class Class    `json:"class"`
	Chain []string `json:"chain,omitempty"` // what led there, outermost first
}

// LockedPlatform is the manifest of an image for one platform.
type LockedPlatform struct {
	Platform string        `json:"platform"` // "linux/amd64", "linux/arm/v7"
	Digest   digest.Digest `json:"digest"`
}

// LockedImage is one embedded reference.
type LockedImage struct {
	Reference string           `json:"reference"` // in full form
	Digest    digest.Digest    `json:"digest"`    // of the index or manifest that the reference names
	MediaType string           `json:"mediaType"`
	Size      int64            `json:"size"` // bytes of all blobs that are shipped for the image
	Platforms []LockedPlatform `json:"platforms"`
	Found     []Finding        `json:"found"`
}

// IgnoredImage is a reference that was found, and left out on purpose.
type IgnoredImage struct {
	Reference string    `json:"reference"` // in full form
	Reason    string    `json:"reason"`
	Found     []Finding `json:"found"`
}

// Lock lists every embedded image with its digest and the reason why it is there (SPEC.md, section 6).
type Lock struct {
	Version   int           `json:"version"`
	Platforms []string      `json:"platforms"` // of the cluster image
	Images    []LockedImage `json:"images"`    // sorted by reference
	// Ignored lists images that were left out and may be missing at the site, sorted by reference.
	Ignored []IgnoredImage `json:"ignored,omitempty"`
}

// lockVersion is the version of the lock that this package writes and reads.
const lockVersion = 1

// ParseLock reads and validates a lock.
func ParseLock(data []byte) (*Lock, error) {
	if len(data) > MaxLockSize {
		return nil, fmt.Errorf("lock of %d bytes: %w: more than %d", len(data), ErrInvalid, MaxLockSize)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	var lock Lock
	if err := decoder.Decode(&lock); err != nil {
		return nil, fmt.Errorf("reading lock: %w: %w", ErrInvalid, err)
	}
	if decoder.More() {
		return nil, fmt.Errorf("reading lock: %w: more than one JSON value", ErrInvalid)
	}
	if err := lock.Validate(); err != nil {
		return nil, err
	}
	return &lock, nil
}

// Validate checks the rules of SPEC.md, section 6.
func (l *Lock) Validate() error {
	if l.Version != lockVersion {
		return fmt.Errorf("lock version %d: %w", l.Version, ErrVersion)
	}
	for _, platform := range l.Platforms {
		if err := checkPlatformName(platform); err != nil {
			return fmt.Errorf("lock: %w", err)
		}
	}
	for i, image := range l.Images {
		if err := image.validate(); err != nil {
			return fmt.Errorf("lock: image %q: %w", image.Reference, err)
		}
		if i > 0 && l.Images[i-1].Reference >= image.Reference {
			return fmt.Errorf("lock: image %q: %w: not sorted, or listed twice", image.Reference, ErrInvalid)
		}
	}
	for i, image := range l.Ignored {
		if err := checkReference(image.Reference); err != nil {
			return fmt.Errorf("lock: ignored image %q: %w", image.Reference, err)
		}
		if image.Reason == "" || i > 0 && l.Ignored[i-1].Reference >= image.Reference {
			return fmt.Errorf("lock: ignored image %q: %w: no reason, not sorted, or listed twice", image.Reference, ErrInvalid)
		}
	}
	return nil
}

func checkReference(text string) error {
	ref, err := ParseReference(text)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if ref.String() != text {
		return fmt.Errorf("%w: the full form is %s", ErrInvalid, ref)
	}
	return nil
}

func (i *LockedImage) validate() error {
	if err := checkReference(i.Reference); err != nil {
		return err
	}
	if err := checkDigest(i.Digest); err != nil {
		return err
	}
	if err := checkMediaType(i.MediaType); err != nil {
		return err
	}
	if i.Size < 0 {
		return fmt.Errorf("%w: size %d", ErrInvalid, i.Size)
	}
	if len(i.Platforms) == 0 {
		return fmt.Errorf("%w: no platform", ErrInvalid)
	}
	for _, p := range i.Platforms {
		if err := checkPlatformName(p.Platform); err != nil {
			return err
		}
		if err := checkDigest(p.Digest); err != nil {
			return fmt.Errorf("platform %s: %w", p.Platform, err)
		}
	}
	for _, f := range i.Found {
		if !slices.Contains([]Class{ClassCertain, ClassStrong, ClassMaybe}, f.Class) || f.Line < 0 {
			return fmt.Errorf("%w: found in %q, line %d, with class %q", ErrInvalid, f.File, f.Line, f.Class)
		}
	}
	return nil
}

// Marshal returns the lock as it is stored in the image: sorted, indented, with a newline at the end.
func (l *Lock) Marshal() ([]byte, error) {
	l.normalise()
	if err := l.Validate(); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing lock: %w", err)
	}
	return append(data, '\n'), nil
}

// Label returns the lock as compact JSON, for [LabelImages].
func (l *Lock) Label() (string, error) {
	l.normalise()
	if err := l.Validate(); err != nil {
		return "", err
	}
	data, err := json.Marshal(l)
	if err != nil {
		return "", fmt.Errorf("writing lock: %w", err)
	}
	return string(data), nil
}

// Merge returns a lock with the images of both. For a reference in both, digest and platforms of other win, because its layers lie above,
// and the findings are united.
func (l *Lock) Merge(other *Lock) *Lock {
	merged := &Lock{Version: lockVersion, Platforms: union(l.Platforms, other.Platforms)}
	byReference := make(map[string]LockedImage, len(l.Images)+len(other.Images))
	for _, image := range l.Images {
		byReference[image.Reference] = image
	}
	for _, image := range other.Images {
		if below, ok := byReference[image.Reference]; ok {
			image.Found = unionFindings(below.Found, image.Found)
		}
		byReference[image.Reference] = image
	}
	for _, image := range byReference {
		merged.Images = append(merged.Images, image)
	}
	ignored := map[string]bool{}
	for _, image := range slices.Concat(other.Ignored, l.Ignored) {
		if _, embedded := byReference[image.Reference]; !embedded && !ignored[image.Reference] {
			ignored[image.Reference] = true
			merged.Ignored = append(merged.Ignored, image)
		}
	}
	merged.normalise()
	return merged
}

// Lookup returns the image of a reference in full form.
func (l *Lock) Lookup(reference string) (LockedImage, bool) {
	for _, image := range l.Images {
		if image.Reference == reference {
			return image, true
		}
	}
	return LockedImage{}, false
}

// NewLock returns an empty lock for the given platforms.
func NewLock(platforms ...string) *Lock {
	return &Lock{Version: lockVersion, Platforms: platforms}
}

// normalise sorts, and makes lists that are absent empty ones.
func (l *Lock) normalise() {
	slices.SortFunc(l.Images, func(a, b LockedImage) int { return cmp.Compare(a.Reference, b.Reference) })
	slices.SortFunc(l.Ignored, func(a, b IgnoredImage) int { return cmp.Compare(a.Reference, b.Reference) })
	slices.Sort(l.Platforms)
	if l.Platforms == nil {
		l.Platforms = []string{}
	}
	if l.Images == nil {
		l.Images = []LockedImage{}
	}
	for i := range l.Images {
		if l.Images[i].Found == nil {
			l.Images[i].Found = []Finding{}
		}
	}
}

func union(a, b []string) []string {
	both := slices.Concat(a, b)
	slices.Sort(both)
	return slices.Compact(both)
}

func unionFindings(a, b []Finding) []Finding {
	both := slices.Clone(a)
	for _, finding := range b {
		same := func(f Finding) bool {
			return f.File == finding.File && f.Line == finding.Line && f.Rule == finding.Rule
		}
		if !slices.ContainsFunc(both, same) {
			both = append(both, finding)
		}
	}
	return both
}
