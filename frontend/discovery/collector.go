package discovery

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"helm.sh/helm/v4/pkg/chart/common"

	"github.com/kubefile/kubefile/imagespec"
)

// maxFile bounds the files that are read, in bytes: the largest bundles of CRDs known have 3 MB.
const maxFile = 8 << 20

// collector takes what the sources find.
type collector struct {
	fsys         fs.FS
	capabilities *common.Capabilities // of the cluster that charts are rendered for
	values       map[string][]ValueSet
	usage        usage
	partial      bool // a part of a rootfs
	inherited    int  // commands that the rest has
	beyond       bool // the rest is needed
	// kustomizations are the directories that kustomize can build.
	kustomizations []string
	inflated       map[string]bool // charts that kustomizations take in
	uninstalled    []string        // charts that nothing installs
	kubernetes     string          // the version that the options say
	customs        []custom        // resources with a version
	commented      []commented     // images that comments name
	findings       []Finding
	problems       []Problem
}

// needsRest notes that a program means files that are not in this part of the rootfs. What an inherited command means was searched for when
// the rest was built, unless some of its files are exchanged here.
func (c *collector) needsRest(p program, exchanged ...string) {
	inherited := p.at.File == CommandFile && p.at.Line <= c.inherited
	here := func(name string) bool {
		_, err := fs.Stat(c.fsys, within(p.dir, name))
		return err == nil
	}
	if c.partial && (!inherited || slices.ContainsFunc(exchanged, here)) {
		c.beyond = true
	}
}

// fork returns a collector that others may not see yet.
func (c *collector) fork() *collector {
	fork := *c
	fork.findings, fork.problems, fork.customs = nil, nil, nil
	return &fork
}

// join takes what a fork has collected.
func (c *collector) join(fork *collector) {
	c.findings = append(c.findings, fork.findings...)
	c.problems = append(c.problems, fork.problems...)
	c.customs = append(c.customs, fork.customs...)
}

// placeholder matches texts that a script or a person replaces by the image later.
var placeholder = regexp.MustCompile(`[<>{}$%]|__|^[A-Z0-9_-]+$`)

// reference adds the finding of a reference as it is written. In a list every line has to be one; elsewhere a placeholder is left to
// whoever replaces it, with a warning.
func (c *collector) reference(written string, f imagespec.Finding) {
	written = strings.TrimSpace(written)
	ref, err := imagespec.ParseReference(written)
	switch {
	case err == nil:
		c.findings = append(c.findings, Finding{Reference: ref.String(), Finding: f})
	case f.Rule != ruleImageList && (written == "" || placeholder.MatchString(written)):
		c.problem(f.File, f.Line, false, "the image %q is a placeholder: list the real image in an imageList", written)
	default:
		c.problem(f.File, f.Line, true, "%q is not a valid image reference (rule %s): correct it", written, f.Rule)
	}
}

// problem adds a problem. Its message may quote anything, and becomes one line without control characters.
func (c *collector) problem(file string, line int, fatal bool, format string, args ...any) {
	printable := func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}
	message := strings.Join(strings.Fields(strings.Map(printable, fmt.Sprintf(format, args...))), " ")
	c.problems = append(c.problems, Problem{File: file, Line: line, Fatal: fatal, Message: message})
}

// readFile reads a file of at most maxFile bytes. A larger one is a problem, though not a fatal one if it is JSON, which at that size
// is data rather than a manifest; ok is false then.
func (c *collector) readFile(name string) (data []byte, ok bool, err error) {
	file, err := c.fsys.Open(name)
	if err != nil {
		return nil, false, fmt.Errorf("reading %s: %w", name, err)
	}
	defer file.Close()
	data, err = io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, false, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(data) > maxFile {
		c.problem(name, 0, documentExt(name) != ".json", "more than the %d MiB that are searched in a file: split it, or leave it out", maxFile>>20)
		return nil, false, nil
	}
	return data, true, nil
}

// result sorts what was found. A place that names the same image by two rules is one finding, of the surer class.
func (c *collector) result() *Result {
	slices.SortStableFunc(c.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Reference, b.Reference), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
			cmp.Compare(rank(a.Class), rank(b.Class)), cmp.Compare(a.Rule, b.Rule), slices.Compare(a.Chain, b.Chain))
	})
	findings := slices.CompactFunc(c.findings, func(a, b Finding) bool {
		return a.Reference == b.Reference && a.File == b.File && a.Line == b.Line
	})
	slices.SortStableFunc(c.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Message, b.Message), compareFatal(a, b))
	})
	problems := slices.CompactFunc(c.problems, func(a, b Problem) bool {
		return a.File == b.File && a.Line == b.Line && a.Message == b.Message
	})
	if findings == nil {
		findings = []Finding{} // in JSON a list, not null
	}
	result := &Result{Findings: findings, Problems: problems, Beyond: c.beyond}
	if !c.usage.unclear {
		slices.Sort(c.uninstalled)
		result.Uninstalled = c.uninstalled
	}
	return result
}

// compareFatal sorts fatal problems first.
func compareFatal(a, b Problem) int {
	if a.Fatal == b.Fatal {
		return 0
	}
	if a.Fatal {
		return -1
	}
	return 1
}

func rank(class imagespec.Class) int {
	return slices.Index([]imagespec.Class{imagespec.ClassCertain, imagespec.ClassStrong, imagespec.ClassMaybe}, class)
}
