package discovery

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// kustomizeResources are the files that kustomizations of these tests are about.
var kustomizeResources = map[string]string{
	"base/web.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web, team: own}}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      initContainers: [{name: init, image: "quay.io/lab/init:1"}]
      containers:
      - name: web
        image: quay.io/lab/web:1
        args: [--sidecar=$(SIDE)]
        envFrom: [{configMapRef: {name: settings}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`,
	"base/source.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: source}\ndata: {image: \"quay.io/lab/source:3\"}\n",
	"merge.yaml":       "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: {containers: [{name: web, image: \"quay.io/lab/merged:2\"}]}}}\n",
	"ops.yaml":         "- {op: replace, path: /spec/template/spec/containers/0/image, value: \"quay.io/lab/operation:4\"}\n",
	"ops.json":         `[{"op": "replace", "path": "/spec/template/spec/initContainers/0/image", "value": "quay.io/lab/json:5"}]`,
	"tag.yaml":         "apiVersion: builtin\nkind: ImageTagTransformer\nmetadata: {name: tags}\nimageTag: {name: quay.io/lab/init, newTag: \"9\"}\n",
	"prefix.yaml":      "apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: prefix}\nprefix: t-\nfieldSpecs: [{path: metadata/name}]\n",
	"specs.yaml":       "commonLabels:\n- {path: spec/template/spec/nodeSelector, create: true, kind: Deployment}\nimages:\n- {path: spec/image, kind: Custom}\n",
	"env.txt":          "SIDE_IMAGE=quay.io/lab/side:6\n",
}

// kustomizeFields are what a kustomization may say, in the spellings of all times; TARGET is a name that a target has.
var kustomizeFields = []string{
	"namePrefix: p-",
	"nameSuffix: -s",
	"namespace: lab",
	"commonLabels: {team: lab}",
	"labels: [{pairs: {tier: front}, includeSelectors: true}]",
	"labels: [{pairs: {tier: front}, includeTemplates: true}]",
	"commonAnnotations: {note: lab}",
	"images: [{name: quay.io/lab/web, newTag: \"2\"}, {name: quay.io/lab/operation, newName: quay.io/lab/renamed}]",
	"imageTags: [{name: quay.io/lab/init, newTag: \"7\"}]",
	"replicas: [{name: web, count: 3}]",
	"patchesStrategicMerge: [../merge.yaml]",
	"patchesStrategicMerge:\n- |\n  apiVersion: apps/v1\n  kind: Deployment\n  metadata: {name: web}\n  spec: {template: {spec: {containers: [{name: extra, image: \"quay.io/lab/extra:1\"}]}}}",
	`patchesStrategicMerge: ['{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {template: {spec: {containers: [{name: line, image: "quay.io/lab/line:1"}]}}}}']`,
	"patchesStrategicMerge:\n- |\n  $patch: delete\n  apiVersion: v1\n  kind: Service\n  metadata: {name: web}",
	"patches: [{path: ../merge.yaml}]",
	"patches: [{path: ../merge.yaml, target: {kind: Deployment, name: TARGET}}]",
	"patches: [{path: ../ops.yaml, target: {kind: Deployment, name: TARGET}}]",
	"patches: [{path: ../ops.json, target: {labelSelector: team=lab}}]",
	`patches: [{patch: '[{"op": "replace", "path": "/metadata/labels/team", "value": "patched"}]', target: {kind: Deployment}}]`,
	"patchesJson6902: [{target: {group: apps, version: v1, kind: Deployment, name: TARGET}, path: ../ops.yaml}]",
	`patchesJson6902: [{target: {group: apps, version: v1, kind: Deployment, name: TARGET}, path: ../ops.json}, {target: {version: v1, kind: Service, name: TARGET}, patch: '[{"op": "add", "path": "/metadata/labels", "value": {"team": "service"}}]'}]`,
	"patchesJson6902:\n- target: {kind: Deployment, name: TARGET}\n  patch: |-\n    - {op: remove, path: /metadata/labels/team}\n    - {op: add, path: /spec/template/spec/containers/-, value: {name: side, image: \"quay.io/lab/side:1\"}}",
	"patchesJson6902: [{target: {kind: Deployment, name: TARGET, namespace: lab}, path: ../ops.yaml}]",
	"configMapGenerator: [{name: settings, envs: [../env.txt]}]",
	"configMapGenerator: [{name: settings, env: ../env.txt}]\ngeneratorOptions: {disableNameSuffixHash: true, labels: {made: here}}",
	"secretGenerator: [{name: secret, literals: [a=b]}]",
	"replacements: [{source: {kind: ConfigMap, name: source, fieldPath: data.image}, targets: [{select: {kind: Deployment}, fieldPaths: [spec.template.spec.initContainers.0.image]}]}]",
	"vars: [{name: SIDE, objref: {apiVersion: v1, kind: ConfigMap, name: source}, fieldref: {fieldpath: data.image}}]",
	"transformers: [../tag.yaml]",
	"transformers: [../prefix.yaml]",
	"transformers:\n- |\n  apiVersion: builtin\n  kind: PatchJson6902Transformer\n  metadata: {name: last}\n  target: {group: apps, version: v1, kind: Deployment, name: TARGET}\n  path: ../ops.yaml",
	"configurations: [../specs.yaml]",
	"openapi: {path: ../gone.json}",
	"buildMetadata: [originAnnotations]",
}

func TestKustomizationsAreBuiltAsKustomizeBuildsThem(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	some := func(most int) string {
		used := map[string]bool{}
		var b strings.Builder
		for range random.IntN(most + 1) {
			field := kustomizeFields[random.IntN(len(kustomizeFields))]
			if name, _, _ := strings.Cut(field, ":"); !used[name] {
				used[name] = true
				names := []string{"web", "p-web", "web-s", "p-web-s", ".*web.*", "source"}
				fmt.Fprintln(&b, strings.ReplaceAll(field, "TARGET", names[random.IntN(len(names))]))
			}
		}
		return b.String()
	}
	built := 0
	for range 40 {
		files := maps.Clone(kustomizeResources)
		files["base/kustomization.yaml"] = "resources: [web.yaml, source.yaml]\n" + some(3)
		files["part/kustomization.yaml"] = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n" + some(3)
		top := "resources: [../base]\n"
		if random.IntN(2) == 0 {
			top = "bases: [../base]\n"
		}
		if random.IntN(3) == 0 {
			top += "components: [../part]\n"
		}
		files["top/kustomization.yaml"] = top + some(6)
		if sameAsKustomize(t, files, "top") {
			built++
		}
		if t.Failed() {
			return
		}
	}
	if built < 15 {
		t.Errorf("kustomize builds %d only", built)
	}
}

// sameAsKustomize builds a kustomization by kustomize itself, from the disk, and as discovery does, and wants the same. It reports whether it
// can be built.
func sameAsKustomize(t *testing.T, files map[string]string, dir string) bool {
	t.Helper()
	root := t.TempDir()
	for name, data := range files {
		name = filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(data), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified
	options.LoadRestrictions = types.LoadRestrictionsNone
	want, wantErr := asYAML(krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), filepath.Join(root, dir)))

	c := &collector{fsys: os.DirFS(root), inflated: map[string]bool{}}
	all, err := c.kustomizationsIn(t.Context(), &tree{files: slices.Sorted(maps.Keys(files))})
	if err != nil {
		t.Fatal(err)
	}
	got, err := asYAML(newKustomizeFS(t.Context(), c, all, dir).build(t.Context()))
	if (err == nil) != (wantErr == nil) || got != want {
		t.Errorf("built to:\n%s(%v)\nwant:\n%s(%v)", got, err, want, wantErr)
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if filepath.Base(name) == "kustomization.yaml" {
				t.Logf("%s:\n%s", name, files[name])
			}
		}
	}
	return wantErr == nil
}

func asYAML(resources resmap.ResMap, err error) (string, error) {
	if err != nil {
		return "", err
	}
	data, err := resources.AsYaml()
	return string(data), err
}
