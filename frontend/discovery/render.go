package discovery

import (
	"context"
	"fmt"
	"path"
	"slices"
	"text/template"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
)

// rendering renders one chart for one installation, as Helm's install does.
type rendering struct {
	packed       packedChart
	install      install
	doubtful     bool           // commands install other charts, or a kustomization is made of it
	upgrade      bool           // of an earlier release
	alone        bool           // without a cluster to look things up in, as helm template does
	given        map[string]any // values over the chart's own
	chart        *chart.Chart
	capabilities *common.Capabilities

	sources  map[string][]byte       // templates and values, by the names that Helm gives them
	marks    map[string]map[int]mark // places of rendered lines in the templates, by name and line
	aliases  map[string]string       // directories of dependencies, by those that Helm names them by
	values   common.Values           // that the templates see
	failures []failure
}

// run returns what the templates render to, by name. A template that fails does not hide what the others render to. The error is
// that the search cannot go on: templates that run for ever cannot be stopped but by the end of the process.
func (r *rendering) run(ctx context.Context) (rendered map[string]string, failures []failure, err error) {
	if err := watch(ctx, func() { rendered = r.render(ctx) }); err != nil {
		return nil, nil, err
	}
	return rendered, r.failures, nil
}

func (r *rendering) render(ctx context.Context) map[string]string {
	r.aliases = map[string]string{}
	r.alias(r.chart)
	if err := chartutil.ProcessDependencies(r.chart, r.given); err != nil {
		r.failures = append(r.failures, failure{message: err.Error()})
		return nil
	}
	r.checkDependencies()
	r.sources = map[string][]byte{}
	r.collect(r.chart)
	release := common.ReleaseOptions{Name: r.install.release, Namespace: r.install.namespace, Revision: 1, IsInstall: true}
	// Helm would ask the network for schemas that they refer to, and render nothing after a failure.
	const skipSchemas = true
	if r.upgrade {
		release.Revision, release.IsInstall, release.IsUpgrade = 2, false, true
	}
	values, err := util.ToRenderValuesWithSchemaValidation(r.chart, r.given, release, r.capabilities, skipSchemas)
	if err != nil {
		r.failures = append(r.failures, failure{message: err.Error()})
		return nil
	}
	r.values = asMap(values["Values"])
	if !r.install.skipSchema {
		r.failures = append(r.failures, schemaFailures(r.chart, r.values)...)
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

// alias notes where the templates of dependencies with another name lie.
func (r *rendering) alias(ch *chart.Chart) {
	for _, dependency := range ch.Metadata.Dependencies {
		if dependency != nil && dependency.Alias != "" {
			r.aliases[path.Join(ch.ChartFullPath(), "charts", dependency.Alias)] = path.Join(ch.ChartFullPath(), "charts", dependency.Name)
		}
	}
	for _, sub := range ch.Dependencies() {
		r.alias(sub)
	}
}

// checkDependencies misses what is enabled and not packed with the chart, as Helm does before it installs.
func (r *rendering) checkDependencies() {
	for _, dependency := range r.chart.Metadata.Dependencies {
		packed := func(sub *chart.Chart) bool { return sub.Name() == dependency.Name }
		if !slices.ContainsFunc(r.chart.Dependencies(), packed) {
			r.failures = append(r.failures, failure{incomplete: true, message: fmt.Sprintf("its dependency %s %s is not in charts/: run helm dependency build", dependency.Name, dependency.Version)})
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
	noted := map[string]bool{}
	note := func(message string) {
		if !noted[message] {
			noted[message] = true
			f := refused(r.sources, message)
			f.passed = true
			r.failures = append(r.failures, f)
		}
	}
	for {
		rendered, err := r.tolerant(note).RenderWithContext(ctx, r.chart, values)
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
func (r *rendering) tolerant(note func(message string)) engine.Engine {
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
		"lookup": r.lookup,
	}}
}

// lookup finds what a cluster has in which nothing is installed: no object, and of every kind an empty list.
func (r *rendering) lookup(apiVersion, kind, _, name string) map[string]any {
	if name != "" || r.alone {
		return map[string]any{}
	}
	return map[string]any{
		"apiVersion": apiVersion, "kind": kind + "List", "metadata": map[string]any{"resourceVersion": "1"}, "items": []any{},
	}
}

// locate finds the lines of the templates that produced the rendered text, where that is possible.
func (r *rendering) locate(ctx context.Context, values common.Values, rendered map[string]string) map[string]map[int]mark {
	names := annotate(r.chart, nil)
	annotated, err := r.tolerant(func(string) {}).RenderWithContext(ctx, r.chart, values)
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
