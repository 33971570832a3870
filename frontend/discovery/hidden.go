package discovery

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	distribution "github.com/distribution/reference"
	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/imagespec"
)

// ruleHidden finds what well-known operators start by themselves.
const ruleHidden = "hidden"

//go:embed hidden.yaml
var hiddenTable []byte

// hidden is one entry of the table.
type hidden struct {
	Operator string   `yaml:"operator"`
	Resource string   `yaml:"resource"`
	Unless   string   `yaml:"unless"`
	Versions string   `yaml:"versions"`
	Comments string   `yaml:"comments"`
	Images   []string `yaml:"images"`
	Unknown  string   `yaml:"unknown"`
	Listed   string   `yaml:"listed"`
	Source   string   `yaml:"source"`
}

func hiddenEntries() ([]hidden, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(hiddenTable))
	decoder.KnownFields(true)
	var entries []hidden
	if err := decoder.Decode(&entries); err != nil {
		return nil, fmt.Errorf("reading the table of hidden images: %w", err)
	}
	return entries, nil
}

// custom is a resource that an entry of the table may be about.
type custom struct {
	kind    string // GROUP/KIND
	version string // spec.version
	fields  []string
	at      imagespec.Finding
}

// commented is a setting with an image that is commented out.
type commented struct {
	name, reference string
	at              imagespec.Finding
}

// noteCustom keeps a resource with a version.
func (c *collector) noteCustom(root *yaml.Node, at imagespec.Finding) {
	if root.Kind == yaml.DocumentNode && len(root.Content) > 0 {
		root = root.Content[0]
	}
	s := searcher{budget: maxSteps}
	k := kindOf(&s, root)
	spec := s.lookup(root, "spec")
	if k.group == "" || spec == nil || spec.Kind != yaml.MappingNode {
		return
	}
	one := custom{kind: k.group + "/" + k.name, version: s.text(spec, "version"), at: at}
	for i := 0; i+1 < len(spec.Content); i += 2 {
		one.fields = append(one.fields, spec.Content[i].Value)
	}
	if one.version != "" {
		c.customs = append(c.customs, one)
	}
}

var commentedSetting = regexp.MustCompile(`^\s*#[#\s-]*["']?([A-Za-z_][\w.-]*)["']?\s*[:=]\s*["']?([^\s"'#,]+)`)

// noteComments keeps the images in comments: a setting that is commented out often states its default.
func (c *collector) noteComments(name string, data []byte) {
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, maxFile+1)
	for line := 1; scanner.Scan(); line++ {
		m := commentedSetting.FindStringSubmatch(scanner.Text())
		if m == nil || !namesImages(m[1]) || likely(m[2]) < pathName {
			continue
		}
		if ref, err := imagespec.ParseReference(m[2]); err == nil {
			c.commented = append(c.commented, commented{m[1], ref.String(), imagespec.Finding{File: name, Line: line}})
		}
	}
}

// readHidden applies the table to what was found, and warns of images that only comments name.
func readHidden(_ context.Context, c *collector, _ *tree) error {
	entries, err := hiddenEntries()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := c.applyHidden(e); err != nil {
			return fmt.Errorf("the table of hidden images: %w", err)
		}
	}
	for _, one := range c.commented {
		if !slices.ContainsFunc(c.findings, func(f Finding) bool { return f.Reference == one.reference }) {
			c.problem(one.at.File, one.at.Line, false, "only a comment names this image; if the cluster will need it, add the line to an imageList: %s", one.reference)
		}
	}
	return nil
}

func (c *collector) applyHidden(e hidden) error {
	if e.Resource != "" {
		for _, r := range c.customs {
			if r.kind == e.Resource && !slices.Contains(r.fields, e.Unless) && inRange(e.Versions, r.version) {
				c.addHidden(e, strings.NewReplacer("v$version", "v"+strings.TrimPrefix(r.version, "v"), "$version", r.version), r.at, r.kind)
			}
		}
		return nil
	}
	operator, err := regexp.Compile(e.Operator)
	if err != nil {
		return err
	}
	for _, f := range slices.Clone(c.findings) {
		ref, err := distribution.ParseNormalizedNamed(f.Reference)
		if err != nil {
			continue
		}
		groups := operator.FindStringSubmatch(ref.Name())
		tagged, ok := ref.(distribution.Tagged)
		if groups == nil || !ok || f.Class == imagespec.ClassMaybe || !inRange(e.Versions, tagged.Tag()) {
			continue
		}
		names := []string{"$tag", tagged.Tag()}
		for i, group := range groups[1:] {
			names = append(names, fmt.Sprintf("$%d", i+1), group)
		}
		c.addHidden(e, strings.NewReplacer(names...), f.Finding, f.Reference)
		c.warnHidden(e, f.Finding, f.Reference)
	}
	return nil
}

// warnHidden warns that an operator starts images which are not in the table, unless some of them are listed.
func (c *collector) warnHidden(e hidden, at imagespec.Finding, by string) {
	listed := func(f Finding) bool {
		ok, err := regexp.MatchString(e.Listed, f.Reference)
		return err == nil && ok
	}
	if e.Unknown != "" && !slices.ContainsFunc(c.findings, listed) {
		c.problem(at.File, at.Line, false, "%s starts %s by itself, in versions that nothing specifies: list them in an imageList (%s)", by, e.Unknown, e.Source)
	}
}

// addHidden adds the images of an entry that matches a finding.
func (c *collector) addHidden(e hidden, fill *strings.Replacer, at imagespec.Finding, by string) {
	add := func(ref string, at imagespec.Finding) {
		at.Rule, at.Class = ruleHidden, imagespec.ClassStrong
		at.Chain = []string{"started by " + by, e.Source}
		c.reference(ref, at)
	}
	for _, image := range e.Images {
		add(fill.Replace(image), at)
	}
	if e.Comments == "" {
		return
	}
	for _, one := range c.commented {
		if ok, err := regexp.MatchString(e.Comments, one.name); err == nil && ok {
			add(one.reference, one.at)
		}
	}
}

// inRange reports whether a version, which may be a tag, is in the range. It is true for tags that are not versions.
func inRange(text, version string) bool {
	if text == "" {
		return true
	}
	v, err := semver.NewVersion(version)
	if err != nil {
		return true
	}
	r, err := imagespec.ParseRange(text)
	return err != nil || r.Check(v)
}
