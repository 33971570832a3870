package discovery

import (
	"testing"
	"testing/fstest"
)

// TestPartsThatNeedTheRest: a part of a rootfs says when something in it refers to files that it does not have.
func TestPartsThatNeedTheRest(t *testing.T) {
	const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: \"example.com/a:1\"}]}\n"
	for name, tt := range map[string]struct {
		kustomization string
		want          bool
	}{
		"complete":                       {"resources: [pod.yaml]\n", false},
		"only a base":                    {"resources: [../base]\nimages: [{name: example.com/a, newTag: \"2\"}]\n", true},
		"a base beside a resource":       {"resources: [pod.yaml, ../base]\n", true},
		"an old base":                    {"bases: [../base]\n", true},
		"a file":                         {"resources: [pod.yaml, ../base/pod.yaml]\n", true},
		"a component":                    {"resources: [pod.yaml]\ncomponents: [../component]\n", true},
		"a patch":                        {"resources: [pod.yaml]\npatches: [{path: ../base/patch.yaml}]\n", true},
		"a strategic merge patch":        {"resources: [pod.yaml]\npatchesStrategicMerge: [../base/patch.yaml]\n", true},
		"a JSON 6902 patch":              {"resources: [pod.yaml]\npatchesJson6902: [{target: {version: v1, kind: Pod, name: a}, path: ../base/patch.yaml}]\n", true},
		"a generator":                    {"resources: [pod.yaml]\nconfigMapGenerator: [{name: a, files: [../etc/settings]}]\n", true},
		"an environment":                 {"resources: [pod.yaml]\nconfigMapGenerator: [{name: a, envs: [../etc/settings]}]\n", true},
		"a transformer":                  {"resources: [pod.yaml]\ntransformers: [../base/prefix.yaml]\n", true},
		"replacements":                   {"resources: [pod.yaml]\nreplacements: [{path: ../base/replacements.yaml}]\n", true},
		"a chart":                        {"helmGlobals: {chartHome: ../charts}\nhelmCharts: [{name: web, releaseName: web}]\n", true},
		"the values of a chart":          {"helmGlobals: {chartHome: own}\nhelmCharts: [{name: web, releaseName: web, valuesFile: ../etc/values.yaml}]\n", true},
		"more values of a chart":         {"helmGlobals: {chartHome: own}\nhelmCharts: [{name: web, releaseName: web, additionalValuesFiles: [../etc/values.yaml]}]\n", true},
		"a chart that is there":          {"helmGlobals: {chartHome: own}\nhelmCharts: [{name: web, releaseName: web}]\n", false},
		"something that is in no rootfs": {"resources: [pod.yaml, \"https://example.com/remote.yaml\"]\n", true}, // in doubt
	} {
		t.Run(name, func(t *testing.T) {
			rootfs := fstest.MapFS{
				"overlay/kustomization.yaml":         {Data: []byte(tt.kustomization)},
				"overlay/pod.yaml":                   {Data: []byte(pod)},
				"overlay/own/web/Chart.yaml":         {Data: []byte("apiVersion: v2\nname: web\nversion: 1.0.0\n")},
				"overlay/own/web/templates/pod.yaml": {Data: []byte(pod)},
			}
			result, err := Discover(t.Context(), rootfs, Options{Partial: true, Commands: []string{"kubectl apply -k overlay"}})
			if err != nil {
				t.Fatal(err)
			}
			if result.Beyond != tt.want {
				t.Errorf("needs the rest: %v, want %v; problems: %+v", result.Beyond, tt.want, result.Problems)
			}
		})
	}
}
