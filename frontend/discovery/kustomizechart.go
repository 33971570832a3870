package discovery

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"sigs.k8s.io/kustomize/api/types"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/kubefile/kubefile/imagespec"
)

// inflated is a chart that a kustomization includes (helmCharts). Kustomize would run helm for it.
type inflated struct {
	chart    string // in the rootfs
	line     int    // of its entry
	rendered []byte
}

// inflatedFile is the file that replaces a chart in the directory of its kustomization.
func inflatedFile(i int) string { return fmt.Sprintf("kubefile-chart-%d.yaml", i) }

// inflate renders the charts of a kustomization that are in the rootfs.
func (c *collector) inflate(ctx context.Context, one *kustomization, data []byte) error {
	var typed struct {
		HelmGlobals types.HelmGlobals `json:"helmGlobals"`
		HelmCharts  []types.HelmChart `json:"helmCharts"`
		// Old holds what both of the others do now.
		Old []types.HelmChartArgs `json:"helmChartInflationGenerator"`
	}
	if err := sigsyaml.Unmarshal(data, &typed); err != nil {
		return nil // kustomize reports the reason
	}
	s := searcher{budget: maxSteps}
	entries := append(s.items(one.root, "helmCharts"), s.items(one.root, "helmChartInflationGenerator")...)
	old, globals := types.SplitHelmParameters(typed.Old)
	typed.HelmGlobals.ChartHome = cmp.Or(typed.HelmGlobals.ChartHome, globals.ChartHome)
	for i, chart := range append(typed.HelmCharts, old...) {
		line := 0
		if i < len(entries) {
			line = entries[i].Line
		}
		home := typed.HelmGlobals.ChartHome
		if home == "" {
			home = types.HelmDefaultHome
		}
		packed, err := c.inflatable(ctx, within(one.dir, home), chart)
		if err != nil {
			return err
		}
		if packed.files == nil {
			one.absent = append(one.absent, reference{"the chart " + chart.Name, line})
			continue
		}
		rendered, err := c.renderInflated(ctx, one, packed, chart, line)
		if err != nil {
			return err
		}
		one.charts = append(one.charts, inflated{packed.name, line, rendered})
		c.inflated[packed.name] = true
	}
	return nil
}

// inflatable finds a chart where kustomize would.
func (c *collector) inflatable(ctx context.Context, home string, chart types.HelmChart) (packedChart, error) {
	versioned := chart.Name + "-" + chart.Version
	for _, name := range []string{path.Join(home, versioned, chart.Name), path.Join(home, chart.Name), path.Join(home, versioned+".tgz")} {
		info, err := fs.Stat(c.fsys, name)
		switch {
		case err != nil:
		case info.IsDir():
			return c.readChartDir(ctx, name)
		default:
			return c.readChartArchive(ctx, name)
		}
	}
	return packedChart{}, nil
}

func (c *collector) renderInflated(ctx context.Context, one *kustomization, packed packedChart, chart types.HelmChart, line int) ([]byte, error) {
	in := install{
		chart: packed.name, release: chart.ReleaseName, namespace: chart.Namespace, dir: one.dir, noHooks: chart.SkipHooks,
		at: imagespec.Finding{File: one.file, Line: line},
	}
	if chart.ValuesFile != "" {
		in.values.Files = append(in.values.Files, chart.ValuesFile)
	}
	in.values.Files = append(in.values.Files, chart.AdditionalValuesFiles...)
	lacks := slices.ContainsFunc(in.values.Files, func(name string) bool { return !c.has(one.dir, name) })
	c.beyond = c.beyond || c.partial && lacks
	if len(chart.ValuesInline) > 0 {
		inline, err := json.Marshal(chart.ValuesInline)
		if err == nil {
			in.values.SetJSON = []string{string(inline)}
		}
	}
	loaded, err := loader.LoadFiles(packed.files)
	if err != nil {
		c.problem(packed.name, 0, true, "the chart cannot be loaded: %v", err)
		return nil, nil
	}
	in.complete(loaded)
	r := &rendering{packed: packed, install: in, capabilities: c.capabilities}
	rendered, err := c.render(ctx, r)
	if err != nil {
		return nil, err
	}
	var all strings.Builder
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		for _, d := range split([]byte(rendered[name])) {
			roots, err := d.parse()
			if err == nil && !slices.ContainsFunc(roots, func(root *yaml.Node) bool { return hooksOf(root).test }) {
				fmt.Fprintf(&all, "---\n%s\n", d.data)
			}
		}
	}
	return []byte(all.String()), nil
}
