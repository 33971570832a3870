package discovery

import (
	"context"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
)

// renderTimeout bounds the rendering of one chart; the largest known takes a second.
const renderTimeout = 30 * time.Second

var errRenderTime = fmt.Errorf("its templates do not end within %v", renderTimeout)

// capabilitiesOf returns what charts are told of the cluster.
func capabilitiesOf(kubernetesVersion string) (*common.Capabilities, error) {
	capabilities := common.DefaultCapabilities.Copy()
	if kubernetesVersion != "" {
		version, err := common.ParseKubeVersion(kubernetesVersion)
		if err != nil {
			return nil, fmt.Errorf("kubernetes version %q: %w", kubernetesVersion, err)
		}
		capabilities.KubeVersion = *version
	}
	return capabilities, nil
}

// rendering renders one chart for one installation, as Helm's install does.
type rendering struct {
	chart        *chart.Chart
	install      installation
	capabilities *common.Capabilities

	sources  map[string][]byte       // templates and values, by the names that Helm gives them
	marks    map[string]map[int]mark // where what is rendered stands in the templates, by name and line
	failures []failure
}

// failure is why a chart, or one template of it, does not render.
type failure struct {
	template string // empty when not known
	line     int    // 0 when not known
	message  string
	value    string // the missing value, such as "ingress.host"; empty when not known
}

// run returns what the templates render to, by name. A template that fails does not hide what the others render to. The error is
// that the search cannot go on: templates that run for ever cannot be stopped but by the end of the process.
func (r *rendering) run(ctx context.Context) (map[string]string, []failure, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, renderTimeout, errRenderTime)
	defer cancel()
	var rendered map[string]string
	done := make(chan struct{})
	go func() {
		defer close(done)
		rendered = r.render(ctx)
	}()
	select {
	case <-done:
		return rendered, r.failures, nil
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
}

func (r *rendering) render(ctx context.Context) map[string]string {
	if err := chartutil.ProcessDependencies(r.chart, r.install.values); err != nil {
		r.failures = append(r.failures, failure{message: err.Error()})
		return nil
	}
	r.checkDependencies()
	r.sources = map[string][]byte{}
	r.collect(r.chart)
	release := common.ReleaseOptions{Name: r.install.release, Namespace: r.install.namespace, Revision: 1, IsInstall: true}
	// Schemas are not consulted: they may refer to others on the network.
	values, err := util.ToRenderValuesWithSchemaValidation(r.chart, r.install.values, release, r.capabilities, true)
	if err != nil {
		r.failures = append(r.failures, failure{message: err.Error()})
		return nil
	}
	rendered := r.execute(ctx, values)
	r.marks = r.locate(ctx, values, rendered)
	for name := range rendered {
		if path.Base(name) == "NOTES.txt" {
			delete(rendered, name)
		}
	}
	for _, crd := range r.chart.CRDObjects() {
		rendered[crd.Filename] = string(crd.File.Data)
		r.marks[crd.Filename] = everyLine(crd.Filename, crd.File.Data)
	}
	return rendered
}

// checkDependencies misses what is enabled and not packed with the chart, as Helm does before it installs.
func (r *rendering) checkDependencies() {
	for _, dependency := range r.chart.Metadata.Dependencies {
		packed := func(sub *chart.Chart) bool { return sub.Name() == dependency.Name }
		if !slices.ContainsFunc(r.chart.Dependencies(), packed) {
			r.failures = append(r.failures, failure{message: fmt.Sprintf("its dependency %s %s is not in charts/: run helm dependency build", dependency.Name, dependency.Version)})
		}
	}
}

func (r *rendering) collect(ch *chart.Chart) {
	for _, t := range ch.Templates {
		r.sources[path.Join(ch.ChartFullPath(), t.Name)] = t.Data
	}
	for _, f := range ch.Raw {
		if f.Name == chartutil.ValuesfileName {
			r.sources[path.Join(ch.ChartFullPath(), f.Name)] = f.Data
		}
	}
	for _, sub := range ch.Dependencies() {
		r.collect(sub)
	}
}

// execute renders the templates, without those that fail. What they require or fail for is noted and passed over, so that one missing
// value hides neither the others nor the images.
func (r *rendering) execute(ctx context.Context, values common.Values) map[string]string {
	note := func(message string) { r.failures = append(r.failures, r.refused(message)) }
	for {
		rendered, err := tolerant(note).RenderWithContext(ctx, r.chart, values)
		if err == nil {
			return rendered
		}
		f := located(err)
		r.failures = append(r.failures, f)
		if ctx.Err() != nil || !blank(r.chart, f.template) {
			return map[string]string{}
		}
	}
}

// tolerant is Helm's engine, but for the functions that end a rendering: they note why.
func tolerant(note func(message string)) engine.Engine {
	return engine.Engine{CustomTemplateFuncs: template.FuncMap{
		"fail": func(message string) string {
			note(message)
			return ""
		},
		"required": func(message string, value any) any {
			if value != nil && value != "" {
				return value
			}
			note(message)
			return ""
		},
	}}
}

// locate finds the lines of the templates that made what is rendered, as far as they can be told.
func (r *rendering) locate(ctx context.Context, values common.Values, rendered map[string]string) map[string]map[int]mark {
	names := annotate(r.chart, nil)
	annotated, err := tolerant(func(string) {}).RenderWithContext(ctx, r.chart, values)
	located := map[string]map[int]mark{}
	if err != nil {
		return located // an annotation was in the way; the findings are without lines
	}
	for name, text := range rendered {
		located[name] = marks(text, annotated[name], names)
	}
	return located
}

// blank empties a template of the chart or its subcharts, and reports whether it had content.
func blank(ch *chart.Chart, name string) bool {
	for i, t := range ch.Templates {
		if path.Join(ch.ChartFullPath(), t.Name) == name && len(t.Data) > 0 {
			ch.Templates = slices.Clone(ch.Templates) // shared by the aliases of a dependency
			ch.Templates[i] = &common.File{Name: t.Name}
			return true
		}
	}
	return slices.ContainsFunc(ch.Dependencies(), func(sub *chart.Chart) bool { return blank(sub, name) })
}

// errorPlace is where the engine's errors name the outermost template: "... at (web/templates/a.yaml:3:5): ...", or at the beginning.
var errorPlace = regexp.MustCompile(`(?:^|^template: |\()([^\s():]+/[^\s():]+):(\d+)`)

// maxMessage bounds what is said of a failure, in bytes: templates that call themselves fail at length.
const maxMessage = 400

func located(err error) failure {
	f := failure{message: strings.Join(strings.Fields(err.Error()), " ")}
	if match := errorPlace.FindStringSubmatch(f.message); match != nil {
		f.template = match[1]
		f.line, _ = strconv.Atoi(match[2])
		if match := valuePath.FindStringSubmatch(f.message); match != nil {
			f.value = inParent(f.template, match[1])
		}
	}
	if len(f.message) > maxMessage {
		f.message = strings.ToValidUTF8(f.message[:maxMessage], "") + " ..."
	}
	return f
}

// valuePath is a value in a template: .Values.a.b, or (.Values.a).b.
var valuePath = regexp.MustCompile(`\.Values\.(\w+(?:\)*\.\w+)*)`)

// refused finds the template that has the message, and the value that it or its line names.
func (r *rendering) refused(message string) failure {
	f := failure{message: message}
	if match := valuePath.FindStringSubmatch(message); match != nil {
		f.value = match[1]
	}
	if message == "" {
		return f
	}
	for _, name := range slices.Sorted(maps.Keys(r.sources)) {
		line := 0
		for text := range strings.SplitSeq(string(r.sources[name]), "\n") {
			line++
			before, after, found := strings.Cut(text, message)
			if !found {
				continue
			}
			f.template, f.line = name, line
			if f.value != "" {
				return f
			}
			if match := valuePath.FindStringSubmatch(after); match != nil {
				f.value = inParent(name, match[1])
			} else if matches := valuePath.FindAllStringSubmatch(before, -1); matches != nil {
				f.value = inParent(name, matches[len(matches)-1][1])
			}
			return f
		}
	}
	return f
}

// inParent returns the path of a value of a template as it is given to the chart that is installed: a subchart's stand below its name.
func inParent(template, value string) string {
	if strings.HasPrefix(value, "global.") {
		return value
	}
	value = strings.ReplaceAll(value, ")", "")
	scope := ""
	parts := strings.Split(template, "/")
	for i := 1; i+1 < len(parts) && parts[i] == "charts"; i += 2 {
		scope += parts[i+1] + "."
	}
	return scope + value
}
