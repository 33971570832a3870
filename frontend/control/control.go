// Package control reads settings for the images of a cluster image, in addition to those found in its files: .kubefile.yaml, and the build
// arguments for parts of it.
package control

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/util/suggest"
	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/imagespec"
)

const (
	// FileName is the file in the root of the build context.
	FileName = ".kubefile.yaml"
	// MaxSize is the most it may have, in bytes.
	MaxSize = 1 << 20

	// AddArg, IgnoreArg and LayersArg are build arguments: lists of references, separated by commas, and the layer budget.
	AddArg    = "KUBEFILE_IMAGES_ADD"
	IgnoreArg = "KUBEFILE_IMAGES_IGNORE"
	LayersArg = "KUBEFILE_LAYERS"

	// Rule is the rule of images that the file adds.
	Rule = "control-file"
)

// ErrInvalid is returned for an invalid control file or build argument.
var ErrInvalid = errors.New("invalid control file")

// File is .kubefile.yaml.
type File struct {
	Images  Images  `yaml:"images"`
	Charts  []Chart `yaml:"charts"`
	Classes Classes `yaml:"classes"`
	// Layers limits the layers that the build adds; 0 means the default of 64.
	Layers int `yaml:"layers"`
}

// Images has settings for single images.
type Images struct {
	Add     []Add     `yaml:"add"`
	Ignore  []Ignore  `yaml:"ignore"`
	Rewrite []Rewrite `yaml:"rewrite"`
}

// Add is an image that nothing in the rootfs names.
type Add struct {
	Image  string `yaml:"image"`
	Reason string `yaml:"reason"`
	place  place
}

// Ignore is an image that is found and not embedded.
type Ignore struct {
	// Image is a reference, a repository (any tag of it), or a pattern in which * matches any characters.
	Image  string `yaml:"image"`
	Reason string `yaml:"reason"`
	// Platforms are those on which it is left out; empty means all.
	Platforms []string `yaml:"platforms"`
	place     place
}

// Rewrite specifies images that are fetched from elsewhere. They are embedded under their own names.
type Rewrite struct {
	From  string `yaml:"from"` // the beginning of a full reference, such as docker.io/library/
	To    string `yaml:"to"`
	place place
}

// Chart has values for a chart in addition to those of commands.
type Chart struct {
	Path string `yaml:"path"` // in the rootfs; * means all charts without an entry
	// Sets are sets of values; the images of all of them are embedded.
	Sets  []ValueSet `yaml:"sets"`
	place place
}

// ValueSet has the arguments of helm install.
type ValueSet struct {
	Values    []string `yaml:"values"` // files of the rootfs
	Set       []string `yaml:"set"`    // NAME=VALUE
	Namespace string   `yaml:"namespace"`
}

// Strictness is the reaction to an image that cannot be resolved.
type Strictness string

// The values of a Strictness. Ignore does not even try to resolve it.
const (
	Fail     Strictness = "error"
	Warn     Strictness = "warn"
	LeaveOut Strictness = "ignore"
)

// Classes is the strictness for each class. By default certain and strong findings fail the build, maybe ones are warned of.
type Classes struct {
	Certain Strictness `yaml:"certain"`
	Strong  Strictness `yaml:"strong"`
	Maybe   Strictness `yaml:"maybe"`
}

// place is the position of an entry.
type place struct {
	file string
	line int
}

func (p place) String() string {
	if p.line == 0 {
		return p.file
	}
	return fmt.Sprintf("%s:%d", p.file, p.line)
}

// Parse reads the file strictly. Its errors name the line.
func Parse(data []byte) (*File, error) {
	f := &File{}
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", FileName, ErrInvalid, MaxSize)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(f); err != nil && !errors.Is(err, io.EOF) {
		return nil, readable(err)
	}
	if decoder.Decode(&yaml.Node{}) == nil {
		return nil, fmt.Errorf("%s: %w: more than one document", FileName, ErrInvalid)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, readable(err)
	}
	add, ignore, rewrite := lines(&document, "images", "add"), lines(&document, "images", "ignore"), lines(&document, "images", "rewrite")
	charts := lines(&document, "charts")
	for i := range f.Images.Add {
		f.Images.Add[i].place = at(add, i)
	}
	for i := range f.Images.Ignore {
		f.Images.Ignore[i].place = at(ignore, i)
	}
	for i := range f.Images.Rewrite {
		f.Images.Rewrite[i].place = at(rewrite, i)
	}
	for i := range f.Charts {
		f.Charts[i].place = at(charts, i)
	}
	return f, f.validate()
}

// at is the place of an entry; the line is not known of one that an alias of a mapping brought in.
func at(lines []int, i int) place {
	if i >= len(lines) {
		return place{file: FileName}
	}
	return place{FileName, lines[i]}
}

// lines returns the lines of the entries of a list. For aliases, it is the line where they are used.
func lines(node *yaml.Node, path ...string) []int {
	if node.Kind == yaml.DocumentNode {
		node = node.Content[0]
	}
	for _, key := range path {
		if node.Kind == yaml.AliasNode {
			node = node.Alias
		}
		at := -1
		for i := 0; node.Kind == yaml.MappingNode && i < len(node.Content); i += 2 {
			if node.Content[i].Value == key {
				at = i + 1
			}
		}
		if at < 0 {
			return nil
		}
		node = node.Content[at]
	}
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind != yaml.SequenceNode {
		return nil
	}
	var at []int
	for _, entry := range node.Content {
		at = append(at, entry.Line)
	}
	return at
}

// fields are all keys of the file, for suggestions.
func fields() []string {
	return []string{"images", "charts", "classes", "layers", "add", "ignore", "rewrite", "image", "reason", "platforms", "from", "to", "path", "sets",
		"values", "set", "namespace", "certain", "strong", "maybe"}
}

// messages of the decoder, which name Go types
var (
	unknownField = regexp.MustCompile(`line (\d+): field (\S+) not found in type \S+`)
	wrongType    = regexp.MustCompile(`line (\d+): cannot unmarshal \S+ (.*)into \S+`)
	anyLine      = regexp.MustCompile(`line (\d+): (.*)`)
)

// readable rewrites an error of the decoder in terms of the file.
func readable(err error) error {
	text := err.Error()
	if m := unknownField.FindStringSubmatch(text); m != nil {
		hint := ""
		others := slices.DeleteFunc(fields(), func(name string) bool { return name == m[2] }) // known elsewhere in the file
		if known, ok := suggest.Search(m[2], others, true); ok {
			hint = fmt.Sprintf(": did you mean %s?", known)
		}
		return fmt.Errorf("%s:%s: %w: unknown field %s%s", FileName, m[1], ErrInvalid, m[2], hint)
	}
	if m := wrongType.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("%s:%s: %w: %s has the wrong type", FileName, m[1], ErrInvalid, strings.TrimSpace(m[2]))
	}
	if m := anyLine.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("%s:%s: %w: %s", FileName, m[1], ErrInvalid, m[2])
	}
	return fmt.Errorf("%s: %w: %w", FileName, ErrInvalid, err)
}

func (p place) invalid(format string, args ...any) error {
	return fmt.Errorf("%s: %w: %s", p, ErrInvalid, fmt.Sprintf(format, args...))
}

func (f *File) validate() error {
	for _, a := range f.Images.Add {
		if _, err := imagespec.ParseReference(a.Image); err != nil {
			return a.place.invalid("%v", err)
		}
	}
	for _, i := range f.Images.Ignore {
		if i.Image == "" || strings.TrimSpace(i.Reason) == "" {
			return i.place.invalid("an ignored image needs image and reason; the reason explains at the site why it is missing")
		}
		for _, text := range i.Platforms {
			if _, err := platforms.Parse(text); err != nil {
				return i.place.invalid("platform %q is not a valid platform; write it like linux/arm64", text)
			}
		}
	}
	for _, r := range f.Images.Rewrite {
		if r.From == "" || r.To == "" {
			return r.place.invalid("a rewrite needs from and to, the beginnings of references")
		}
	}
	for _, c := range f.Charts {
		if c.Path == "" || len(c.Sets) == 0 {
			return c.place.invalid("a chart needs path and sets")
		}
	}
	for name, s := range map[string]Strictness{"certain": f.Classes.Certain, "strong": f.Classes.Strong, "maybe": f.Classes.Maybe} {
		if s != "" && s != Fail && s != Warn && s != LeaveOut {
			return place{FileName, 0}.invalid("classes: %s: %q is not valid; use error, warn or ignore", name, s)
		}
	}
	if f.Layers < 0 {
		return place{FileName, 0}.invalid("layers: %d", f.Layers)
	}
	return nil
}

// Arguments adds what build arguments say; they come before the file.
func (f *File) Arguments(args map[string]string) error {
	for _, image := range split(args[AddArg]) {
		if _, err := imagespec.ParseReference(image); err != nil {
			return fmt.Errorf("build argument %s: %w", AddArg, err)
		}
		f.Images.Add = append(f.Images.Add, Add{Image: image, place: place{file: AddArg}})
	}
	for _, image := range split(args[IgnoreArg]) {
		f.Images.Ignore = append(f.Images.Ignore, Ignore{Image: image, Reason: "build argument " + IgnoreArg, place: place{file: IgnoreArg}})
	}
	if text := args[LayersArg]; text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return fmt.Errorf("build argument %s: %q is not a number of layers", LayersArg, text)
		}
		f.Layers = n
	}
	return nil
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' })
}
