package discovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	"helm.sh/helm/v4/pkg/ignore"

	"github.com/kubefile/kubefile/imagespec"
)

// Charts are rendered as Helm will render them when they are installed. What is in a chart's directory is read through the chart
// only: raw templates, test values and CI files of a chart are not what gets installed.

func isChartDir(fsys fs.FS, name string, entry fs.DirEntry) bool {
	if !entry.IsDir() {
		return false
	}
	info, err := fs.Stat(fsys, path.Join(name, "Chart.yaml"))
	return err == nil && info.Mode().IsRegular()
}

func readChartDir(ctx context.Context, c *collector, name string) error {
	files, err := c.chartFiles(ctx, name)
	if err != nil {
		return err
	}
	ch, err := loader.LoadFiles(files)
	if err != nil {
		c.problem(path.Join(name, "Chart.yaml"), 0, true, "the chart cannot be loaded: %v", err)
		return nil
	}
	return c.chart(ctx, ch, name, name+"/")
}

func isChartArchive(_ fs.FS, name string, entry fs.DirEntry) bool {
	return !entry.IsDir() && path.Ext(name) == ".tgz"
}

// readChartArchive reads a packed chart. A .tgz that is no chart is somebody's archive and is left alone.
func readChartArchive(ctx context.Context, c *collector, name string) error {
	data, err := c.readFile(name)
	if err != nil || data == nil {
		return err
	}
	files, err := archive.LoadArchiveFiles(bytes.NewReader(data))
	if err != nil {
		c.problem(name, 0, false, "not read: %v", err)
		return nil
	}
	if !slices.ContainsFunc(files, func(f *archive.BufferedFile) bool { return f.Name == "Chart.yaml" }) {
		return nil
	}
	ch, err := loader.LoadFiles(files)
	if err != nil {
		c.problem(name, 0, true, "the chart cannot be loaded: %v", err)
		return nil
	}
	return c.chart(ctx, ch, name, name+"!"+ch.Name()+"/")
}

// chartFiles reads a chart's directory, without what its .helmignore leaves out.
func (c *collector) chartFiles(ctx context.Context, dir string) ([]*archive.BufferedFile, error) {
	rules := ignore.Empty()
	if data, err := fs.ReadFile(c.fsys, path.Join(dir, ".helmignore")); err == nil {
		if rules, err = ignore.Parse(bytes.NewReader(data)); err != nil {
			return nil, fmt.Errorf("reading %s/.helmignore: %w", dir, err)
		}
	}
	rules.AddDefaults()
	var files []*archive.BufferedFile
	err := fs.WalkDir(c.fsys, dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("reading chart %s: %w", dir, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		inside := strings.TrimPrefix(strings.TrimPrefix(name, dir), "/")
		if inside == "" {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return fmt.Errorf("reading chart %s: %w", dir, err)
		}
		if rules.Ignore(inside, info) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !info.Mode().IsRegular() {
			return nil
		}
		data, err := c.readFile(name)
		if err != nil {
			return err
		}
		files = append(files, &archive.BufferedFile{Name: inside, Data: data})
		return nil
	})
	return files, err
}

// chart renders a chart with its default values and searches the result. File names in findings begin with prefix.
func (c *collector) chart(ctx context.Context, ch *chart.Chart, name, prefix string) error {
	if ch.Metadata.Type == "library" {
		return nil
	}
	rendered, err := c.render(ctx, ch)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		c.problem(name, 0, true, "the chart %s cannot be rendered: %v", ch.Name(), err)
		return nil
	}
	s := chartSearch{c: c, prefix: prefix, chain: []string{fmt.Sprintf("chart %s (%s %s)", name, ch.Name(), ch.Metadata.Version)}, sources: map[string][]byte{}}
	s.collectSources(ch)
	for _, crd := range ch.CRDObjects() {
		rendered[crd.Filename] = string(crd.File.Data)
	}
	for _, template := range slices.Sorted(maps.Keys(rendered)) {
		if path.Base(template) != "NOTES.txt" {
			s.search(template, []byte(rendered[template]))
		}
	}
	return nil
}

func (c *collector) render(ctx context.Context, ch *chart.Chart) (map[string]string, error) {
	capabilities := common.DefaultCapabilities.Copy()
	if c.opts.KubernetesVersion != "" {
		version, err := common.ParseKubeVersion(c.opts.KubernetesVersion)
		if err != nil {
			return nil, fmt.Errorf("kubernetes version %q: %w", c.opts.KubernetesVersion, err)
		}
		capabilities.KubeVersion = *version
	}
	if err := checkDependencies(ch); err != nil {
		return nil, err
	}
	if err := chartutil.ProcessDependencies(ch, ch.Values); err != nil {
		return nil, err
	}
	release := common.ReleaseOptions{Name: ch.Name(), Namespace: "default", Revision: 1, IsInstall: true}
	values, err := util.ToRenderValues(ch, nil, release, capabilities)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Engine{}.RenderWithContext(ctx, ch, values)
	if err != nil {
		return nil, fmt.Errorf("%w (where a value is missing, give it in the chart's values.yaml)", err)
	}
	return rendered, nil
}

// checkDependencies refuses a chart whose dependencies are not packed with it, as Helm does before it installs one.
func checkDependencies(ch *chart.Chart) error {
	var missing []error
	for _, dependency := range ch.Metadata.Dependencies {
		packed := func(sub *chart.Chart) bool { return sub.Name() == dependency.Name }
		if !slices.ContainsFunc(ch.Dependencies(), packed) && dependency.Condition == "" && len(dependency.Tags) == 0 {
			missing = append(missing, fmt.Errorf("its dependency %s %s is not in charts/ (helm dependency build)", dependency.Name, dependency.Version))
		}
	}
	return errors.Join(missing...)
}

// chartSearch searches the rendered templates of one chart.
type chartSearch struct {
	c       *collector
	prefix  string
	chain   []string
	sources map[string][]byte // the templates, by the name they are rendered under
}

func (s *chartSearch) collectSources(ch *chart.Chart) {
	for _, template := range ch.Templates {
		s.sources[path.Join(ch.ChartFullPath(), template.Name)] = template.Data
	}
	for _, sub := range ch.Dependencies() {
		s.collectSources(sub)
	}
}

func (s *chartSearch) search(template string, data []byte) {
	_, inside, _ := strings.Cut(template, "/")
	file := s.prefix + inside
	for _, d := range split(data) {
		root, problem := d.parse()
		if problem != nil {
			s.c.problem(file, 0, false, "what it renders to is not read, for it is no valid YAML: %s", problem.message)
			continue
		}
		if isTest(root) {
			continue
		}
		report := func(written string, f imagespec.Finding) {
			f.Line = templateLine(s.sources[template], written)
			s.c.reference(written, f)
		}
		where := func(*yaml.Node) imagespec.Finding { return imagespec.Finding{File: file, Chain: s.chain} }
		if err := podShapes(root, where, report); err != nil {
			s.c.problem(file, 0, true, "not searched: %v", err)
		}
	}
}

// isTest tells resources that only "helm test" makes (Helm's chart tests).
func isTest(root *yaml.Node) bool {
	var resource struct {
		Metadata struct {
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"metadata"`
	}
	if root.Decode(&resource) != nil {
		return false
	}
	hooks := strings.Split(resource.Metadata.Annotations["helm.sh/hook"], ",")
	return slices.ContainsFunc(hooks, func(hook string) bool { return strings.HasPrefix(strings.TrimSpace(hook), "test") })
}

// templateLine is the line of a template that made an image: the one that states it, or the only one that has the key. 0 if that
// cannot be told.
func templateLine(source []byte, written string) int {
	only, count, line := 0, 0, 0
	for text := range bytes.SplitSeq(source, []byte("\n")) {
		line++
		if !bytes.Contains(text, []byte("image:")) {
			continue
		}
		if bytes.Contains(text, []byte(written)) {
			return line
		}
		only = line
		count++
	}
	if count != 1 {
		return 0
	}
	return only
}
