package discovery

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sync/errgroup"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"

	"github.com/kubefile/kubefile/imagespec"
)

// Charts are rendered as Helm renders them when they are installed. What lies in a chart is read through the chart only: its raw its
// templates, test values and CI files are not installed as they are, and its subcharts only if it enables them.

// packedChart is a chart of the rootfs, in a directory or an archive.
type packedChart struct {
	name   string                  // the directory or archive
	prefix string                  // of the names of its files in findings
	files  []*archive.BufferedFile // nil if it could not be read
}

// readCharts renders all charts for all their installations.
func readCharts(ctx context.Context, c *collector, t *tree) error {
	files := slices.Clone(t.files)
	charts, err := c.chartsIn(ctx, t)
	if err != nil {
		return err
	}
	var renders []*rendering
	for _, packed := range charts {
		ch, err := loader.LoadFiles(packed.files)
		if err != nil {
			c.problem(packed.name, 0, true, "the chart cannot be loaded: %v", err)
			continue
		}
		if ch.Metadata.Type == "library" {
			continue
		}
		for _, in := range c.installations(packed.name, ch) {
			doubtful := in.at.File == "" && (len(c.usage.installs) > 0 || inside(c.kustomizations, packed.name))
			if in.guessed && !inside(c.kustomizations, packed.name) {
				c.uninstalled = append(c.uninstalled, packed.name)
			}
			renders = append(renders, &rendering{packed: packed, install: in, doubtful: doubtful})
		}
	}
	capabilities := c.clusterOf(files, charts)
	forks := make([]*collector, len(renders))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, r := range renders {
		fork := c.fork()
		forks[i], r.capabilities = fork, capabilities
		group.Go(func() error { return fork.readRendered(ctx, r) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, fork := range forks {
		c.join(fork)
	}
	return nil
}

// chartsIn takes the charts out of the tree and reads them.
func (c *collector) chartsIn(ctx context.Context, t *tree) ([]packedChart, error) {
	names := slices.DeleteFunc(t.takeDirs("Chart.yaml"), c.aside)
	archives := slices.DeleteFunc(t.take(isArchive), c.aside)
	for _, in := range c.usage.installs {
		if info, err := fs.Stat(c.fsys, in.chart); err != nil || slices.Contains(names, in.chart) || slices.Contains(archives, in.chart) {
			continue
		} else if info.IsDir() {
			names = append(names, in.chart)
		} else {
			archives = append(archives, in.chart)
		}
	}
	var charts []packedChart
	add := func(read func(context.Context, string) (packedChart, error)) func(name string) error {
		return func(name string) error {
			packed, err := read(ctx, name)
			if packed.files != nil {
				charts = append(charts, packed)
			}
			return err
		}
	}
	if err := each(ctx, names, add(c.readChartDir)); err != nil {
		return nil, err
	}
	return charts, each(ctx, archives, add(c.readChartArchive))
}

// aside reports whether a file is among documentation or tests, and so is used only if a command names it.
func (c *collector) aside(name string) bool {
	return isAside(name) && !slices.ContainsFunc(c.usage.installs, func(in install) bool { return in.chart == name })
}

// isAside reports whether a directory has documentation or tests.
func isAside(name string) bool {
	return slices.ContainsFunc(strings.Split(name, "/"), func(element string) bool {
		return slices.Contains([]string{"doc", "docs", "test", "tests", "testdata", "e2e"}, element)
	})
}

// installations returns the ways in which a chart is installed: by the commands, and with the values that the options add, or else with its
// own values.
func (c *collector) installations(name string, ch *chart.Chart) []install {
	var all []install
	for _, in := range c.usage.installs {
		if in.chart == name {
			all = append(all, in)
		}
	}
	sets, ok := c.values[name]
	if !ok {
		sets = c.values[EveryChart]
	}
	for _, set := range sets {
		all = append(all, install{chart: name, release: set.Release, namespace: set.Namespace, values: set})
	}
	if all == nil && !c.inflated[name] {
		all = []install{{chart: name, guessed: true}}
	}
	for i := range all {
		all[i].complete(ch)
	}
	return all
}

// complete fills in what the installation leaves to Helm, and the release name.
func (in *install) complete(ch *chart.Chart) {
	in.release = cmp.Or(in.release, ch.Name())
	in.namespace = cmp.Or(in.namespace, "default")
}

// readRendered searches what a chart renders to for one installation.
func (c *collector) readRendered(ctx context.Context, r *rendering) error {
	if err := c.readRelease(ctx, *r); err != nil || !tellsUpgrades(r.packed) {
		return err
	}
	upgrade := *r
	upgrade.upgrade = true // by the same command, once more
	return c.readRelease(ctx, upgrade)
}

func (c *collector) readRelease(ctx context.Context, r rendering) error {
	rendered, err := c.render(ctx, &r)
	if err != nil {
		return err
	}
	s := chartSearch{c: c, rendering: &r}
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		s.search(name, []byte(rendered[name]))
	}
	s.annotations(r.chart, r.values, rendered)
	return nil
}

// tellsUpgrades reports whether a chart may render to something else when its release is there already.
func tellsUpgrades(packed packedChart) bool {
	return slices.ContainsFunc(packed.files, func(f *archive.BufferedFile) bool {
		if isArchive(f.Name) {
			return true // of a subchart
		}
		for _, field := range []string{"IsUpgrade", "IsInstall", "Revision"} {
			if strings.HasPrefix(path.Base(f.Name), "README") || path.Base(f.Name) == "Chart.yaml" {
				return false
			}
			if bytes.Contains(f.Data, []byte(field)) {
				return true
			}
		}
		return false
	})
}

// render renders a chart for one installation, and notes what is wrong with it.
func (c *collector) render(ctx context.Context, r *rendering) (map[string]string, error) {
	given, err := c.given(r.install)
	if err != nil {
		file, line := r.packed.name, 0
		if r.install.at.File != "" {
			file, line = r.install.at.File, r.install.at.Line
		}
		var wrong *valuesError
		known := !(errors.As(err, &wrong) && wrong.decidedAtSite()) && !c.partial
		c.problem(file, line, known, "the chart %s is searched with its own values only: %v", r.packed.name, err)
	}
	r.given = given
	// Rendering works on the chart itself: what its conditions disable is gone afterwards.
	if r.chart, err = loader.LoadFiles(r.packed.files); err != nil {
		return nil, fmt.Errorf("loading chart %s: %w", r.packed.name, err)
	}
	rendered, failures, err := r.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("rendering chart %s: %w", r.packed.name, err)
	}
	if failures, err = r.compared(ctx, failures); err != nil {
		return nil, fmt.Errorf("rendering chart %s: %w", r.packed.name, err)
	}
	for _, f := range failures {
		// What a chart refuses to upgrade without, such as a password, is in the release that is there.
		if !r.upgrade || !f.passed {
			r.failed(c, f)
		}
	}
	return rendered, nil
}

// compared reports whether a failure depends on objects that the chart looks up in the cluster.
func (r *rendering) compared(ctx context.Context, failures []failure) ([]failure, error) {
	asks := slices.ContainsFunc(r.packed.files, func(f *archive.BufferedFile) bool {
		return isArchive(f.Name) || bytes.Contains(f.Data, []byte("lookup"))
	})
	if !asks || !slices.ContainsFunc(failures, func(f failure) bool { return f.passed }) {
		return failures, nil
	}
	loaded, err := loader.LoadFiles(r.packed.files)
	if err != nil {
		return nil, err
	}
	alone := rendering{packed: r.packed, install: r.install, upgrade: r.upgrade, given: r.given, chart: loaded, capabilities: r.capabilities, alone: true}
	_, others, err := alone.run(ctx)
	if err != nil {
		return nil, err
	}
	for i, f := range failures {
		same := func(other failure) bool { return other.message == f.message }
		failures[i].elsewhere = f.passed && !slices.ContainsFunc(others, same)
	}
	return failures, nil
}

// hint returns how to give the chart a value.
func (r *rendering) hint(value string) string {
	switch {
	case r.install.at.File != "":
		return fmt.Sprintf("give it by --set %s=... or a values file in the command at %s:%d", value, r.install.at.File, r.install.at.Line)
	case strings.Contains(r.packed.prefix, "!"):
		return fmt.Sprintf("give it by --set %s=... or a values file in a command that installs the chart", value)
	}
	return fmt.Sprintf("set %s in %svalues.yaml, or by a command that installs the chart", value, r.packed.prefix)
}

// chartSearch searches what one chart renders to. Templates are named as Helm names them: the chart's name and the path in it.
type chartSearch struct {
	c *collector
	*rendering
}

// file is the name of a template in findings.
func (r *rendering) file(template string) string {
	name := ""
	for element := range strings.SplitSeq(template, "/") {
		name = path.Join(name, element)
		name = cmp.Or(r.aliases[name], name)
	}
	_, inside, _ := strings.Cut(name, "/")
	return r.packed.prefix + inside
}

// maxMessage bounds what a chart may say of a failure, in bytes: templates that call themselves fail at length.
const maxMessage = 400

func (r *rendering) failed(c *collector, f failure) {
	file, line := r.packed.name, 0
	if f.template != "" {
		file, line = r.file(f.template), f.line
	}
	hint := ""
	if f.value != "" {
		hint = ": " + r.hint(f.value)
	}
	message := f.message
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + " ..."
	}
	harmless := r.upgrade || f.elsewhere || f.incomplete && r.doubtful || f.refused && r.install.at.File == ""
	c.problem(file, line, !harmless, "the chart %s cannot be rendered: %s%s", r.chart.Name(), message, hint)
}

func (s *chartSearch) search(template string, data []byte) {
	file := s.file(template)
	for _, d := range split(data) {
		roots, err := d.parse()
		if err != nil {
			_, message := d.problem(err)
			s.c.problem(file, 0, true, "it renders to invalid YAML: %s", message)
		}
		for _, root := range roots {
			if hooks := hooksOf(root); hooks.test || s.install.noHooks && hooks.any {
				continue
			}
			s.c.noteCustom(root, s.finding(template, d.line+1))
			err := search(root, func(m match) {
				f := s.finding(template, d.line+m.line)
				f.Rule, f.Class, f.Chain = m.rule, m.class, append(f.Chain, m.chain...)
				s.c.reference(m.reference, f)
			})
			if err != nil {
				s.c.problem(file, 0, true, "not searched to its end: %v", err)
			}
		}
	}
}

// finding returns the place of a line that a template renders to: its line in the template or in a helper of it.
func (s *chartSearch) finding(template string, line int) imagespec.Finding {
	f := imagespec.Finding{File: s.file(template), Chain: s.chain(template)}
	if m, ok := s.marks[template][line]; ok {
		if m.template != template {
			f.Chain = append(f.Chain, "template "+f.File)
		}
		f.File, f.Line = s.file(m.template), m.line
	}
	return f
}

// chain names the chart and the subcharts that a template is in.
func (s *chartSearch) chain(template string) []string {
	ch := s.chart
	var chain []string
	if at := s.install.at; at.File != "" {
		chain = slices.Clone(at.Chain)
		if at.File != CommandFile {
			chain = append(chain, fmt.Sprintf("helm in %s:%d", at.File, at.Line))
		}
	}
	chain = append(chain, fmt.Sprintf("chart %s (%s %s)", s.packed.name, ch.Name(), ch.Metadata.Version))
	inside := func(sub *chart.Chart) bool { return strings.HasPrefix(template, sub.ChartFullPath()+"/") }
	for {
		i := slices.IndexFunc(ch.Dependencies(), inside)
		if i < 0 {
			return chain
		}
		ch = ch.Dependencies()[i]
		chain = append(chain, fmt.Sprintf("subchart %s %s", ch.Name(), ch.Metadata.Version))
	}
}

// hooks are the moments at which Helm makes a resource (https://helm.sh/docs/topics/charts_hooks/).
type hooks struct {
	any  bool
	test bool // made by "helm test" only
}

func hooksOf(root *yaml.Node) (h hooks) {
	var resource struct {
		Metadata struct {
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"metadata"`
	}
	_ = root.Decode(&resource) // annotations of other types are not hooks
	moments := resource.Metadata.Annotations["helm.sh/hook"]
	h.any = moments != ""
	h.test = h.any
	for moment := range strings.SplitSeq(moments, ",") {
		h.test = h.test && strings.HasPrefix(strings.TrimSpace(moment), "test")
	}
	return h
}
