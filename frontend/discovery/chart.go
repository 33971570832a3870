package discovery

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"

	"github.com/kubefile/kubefile/imagespec"
)

// Charts are rendered as Helm renders them when they are installed. What lies in a chart is read through the chart only: its raw
// templates, test values and CI files are not what gets installed, and its subcharts only as far as it enables them.

// location is where a chart lies.
type location struct {
	name   string                    // the directory or archive
	prefix string                    // of the names of its files in findings
	mend   func(value string) string // how to give it a value, for people
}

// installation is one way in which a chart gets installed.
type installation struct {
	release, namespace string
	values             map[string]any // over the chart's own
}

// installations are the ways in which the chart gets installed.
func installations(ch *chart.Chart) []installation {
	return []installation{{release: ch.Name(), namespace: "default"}}
}

// readChart searches what the files of a chart render to.
func (c *collector) readChart(ctx context.Context, at location, files []*archive.BufferedFile) error {
	ch, err := loader.LoadFiles(files)
	if err != nil {
		c.problem(at.name, 0, true, "the chart cannot be loaded: %v", err)
		return nil
	}
	if ch.Metadata.Type == "library" {
		return nil
	}
	for _, install := range installations(ch) {
		// Rendering works on the chart itself: what its conditions disable is gone afterwards.
		ch, err := loader.LoadFiles(files)
		if err != nil {
			return fmt.Errorf("loading chart %s: %w", at.name, err)
		}
		r := rendering{chart: ch, install: install, capabilities: c.capabilities}
		rendered, failures, err := r.run(ctx)
		if err != nil {
			return fmt.Errorf("rendering chart %s: %w", at.name, err)
		}
		s := chartSearch{c: c, at: at, chart: ch, marks: r.marks}
		for _, f := range failures {
			s.failed(f)
		}
		for _, name := range slices.Sorted(maps.Keys(rendered)) {
			s.search(name, []byte(rendered[name]))
		}
	}
	return nil
}

// chartSearch searches what one chart renders to. Templates are named as Helm names them: the chart's name and the path in it.
type chartSearch struct {
	c     *collector
	at    location
	chart *chart.Chart
	marks map[string]map[int]mark
}

// file is the name of a template in findings.
func (s *chartSearch) file(template string) string {
	_, inside, _ := strings.Cut(template, "/")
	return s.at.prefix + inside
}

// maxMessage bounds what a chart may say of a failure, in bytes: templates that call themselves fail at length.
const maxMessage = 400

func (s *chartSearch) failed(f failure) {
	file, line := s.at.name, 0
	if f.template != "" {
		file, line = s.file(f.template), f.line
	}
	mend := ""
	if f.value != "" {
		mend = ": " + s.at.mend(f.value)
	}
	message := f.message
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + " ..."
	}
	s.c.problem(file, line, true, "the chart %s cannot be rendered: %s%s", s.chart.Name(), message, mend)
}

func (s *chartSearch) search(template string, data []byte) {
	file := s.file(template)
	for _, d := range split(data) {
		roots, err := d.parse()
		if err != nil {
			_, message := d.problem(err)
			s.c.problem(file, 0, true, "what it renders to is no valid YAML: %s", message)
		}
		for _, root := range roots {
			if isTest(root) {
				continue
			}
			err := search(root, func(n *yaml.Node, rule string, class imagespec.Class) {
				f := s.finding(template, d.line+n.Line)
				f.Rule, f.Class = rule, class
				s.c.reference(n.Value, f)
			})
			if err != nil {
				s.c.problem(file, 0, true, "not searched to its end: %v", err)
			}
		}
	}
}

// finding returns the place of a line that a template renders to: where it stands in the template or in a helper of it.
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
	chain := []string{fmt.Sprintf("chart %s (%s %s)", s.at.name, ch.Name(), ch.Metadata.Version)}
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

// isTest tells resources that only "helm test" makes (https://helm.sh/docs/topics/chart_tests/).
func isTest(root *yaml.Node) bool {
	var resource struct {
		Metadata struct {
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"metadata"`
	}
	_ = root.Decode(&resource) // what has other types there is no test
	hooks := strings.Split(resource.Metadata.Annotations["helm.sh/hook"], ",")
	return slices.ContainsFunc(hooks, func(hook string) bool { return strings.HasPrefix(strings.TrimSpace(hook), "test") })
}
