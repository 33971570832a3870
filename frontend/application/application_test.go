package application

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/kubefile/kubefile/imagespec"
)

const (
	deployment = "apiVersion: apps/v1\nkind: Deployment\n"
	template   = "{{- range $i := .list }}\nkind: {{ $i }}\n{{- end }}\n"
	chartFile  = "apiVersion: v2\nname: c\nversion: 1.0.0\n"
)

// files makes a rootfs of "path=content" pairs under applications/.
func files(pairs ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for _, pair := range pairs {
		name, content, _ := strings.Cut(pair, "=")
		fsys["applications/"+name] = &fstest.MapFile{Data: []byte(content)}
	}
	return fsys
}

func launch(apps ...string) (steps []Step) {
	for _, name := range apps {
		steps = append(steps, Step{Launch: &Launch{App: name}})
	}
	return steps
}

func sh(line string) Step { return Step{Command: &imagespec.Command{Shell: line}} }

func text(r *Result) string {
	if r.Failure != nil {
		return fmt.Sprintf("step %d: %s", r.Failure.Step, r.Failure.Message)
	}
	var lines []string
	for _, c := range r.Commands {
		lines = append(lines, c.String())
	}
	return strings.Join(lines, "\n")
}

func TestWhatStartsAnApplication(t *testing.T) {
	for name, tt := range map[string]struct {
		files fstest.MapFS
		dir   string
		want  string
	}{
		"manifests":           {files: files("a/y.yml="+deployment, "a/x.yaml="+deployment, "a/sub/z.json={\"kind\": \"List\"}"), want: "kubectl apply -f applications/a/sub/z.json -f applications/a/x.yaml -f applications/a/y.yml"},
		"manifest, template":  {files: files("a/x.yaml.tmpl=" + template), want: "kubectl apply -f applications/a/x.yaml"},
		"manifest beside it":  {files: files("a/x.yaml="+deployment, "a/x.yaml.tmpl="+template), want: "kubectl apply -f applications/a/x.yaml"},
		"script beside it":    {files: files("a/a.sh=echo\n", "a/a.sh.tmpl=echo\n"), want: "sh applications/a/a.sh"},
		"no manifest":         {files: files("a/x.yaml="+deployment, "a/values.yaml=replicas: 1\n"), want: "kubectl apply -f applications/a/x.yaml"},
		"chart":               {files: files("a/Chart.yaml="+chartFile, "a/templates/x.yaml="+deployment), want: "helm upgrade --install a ./applications/a"},
		"chart below":         {files: files("a/c/Chart.yaml="+chartFile, "a/c/templates/x.yaml="+deployment), want: "helm upgrade --install a ./applications/a/c"},
		"packed chart":        {files: files("a/c-1.0.tgz=x", "a/values.yaml=x: y\n"), want: "helm upgrade --install a ./applications/a/c-1.0.tgz"},
		"two charts":          {files: files("a/c-1.tgz=x", "a/b/Chart.yaml="+chartFile), want: "helm upgrade --install a-b ./applications/a/b\nhelm upgrade --install a-c-1 ./applications/a/c-1.tgz"},
		"chart and manifests": {files: files("a/c-1.tgz=x", "a/crds.yaml=kind: CustomResourceDefinition\n"), want: "kubectl apply -f applications/a/crds.yaml\nhelm upgrade --install a ./applications/a/c-1.tgz"},
		"kustomization":       {files: files("a/kustomization.yaml=resources: [x.yaml]\n", "a/x.yaml="+deployment), want: "kubectl apply -k applications/a"},
		"scripts":             {files: files("a/b.sh=#!/usr/bin/env bash\n", "a/a.sh=echo\n", "a/x.yaml="+deployment, "a/lib/c.sh=\n"), want: "sh applications/a/a.sh\nbash applications/a/b.sh"},
		"script, template":    {files: files("a/a.sh.tmpl=#!/bin/bash\n"), want: "bash applications/a/a.sh"},
		"working directory":   {files: files("a/x.yaml=" + deployment), dir: "/srv", want: "kubectl apply -f ../applications/a/x.yaml"},
		"nothing":             {files: files("a/x.txt=hello\n"), want: "step 0: nothing in applications/a can be started"},
		"empty":               {files: files(), want: "step 0: nothing in applications/a can be started"},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := Plan(tt.files, Request{Apps: []App{{Name: "a"}}, Steps: launch("a"), WorkingDir: tt.dir})
			if err != nil {
				t.Fatal(err)
			}
			if got := text(result); got != tt.want && (result.Failure == nil || !strings.HasPrefix(got, tt.want)) {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			for _, c := range result.Commands {
				if c.App != "a" {
					t.Errorf("%s is of application %q", c, c.App)
				}
			}
		})
	}
}

func TestFlags(t *testing.T) {
	fsys := files("chart/c-1.tgz=x", "plain/x.yaml="+deployment, "script/a.sh=")
	apps := []App{{Name: "chart"}, {Name: "plain"}, {Name: "script"}}
	for name, tt := range map[string]struct {
		launch Launch
		want   string
	}{
		"chart":            {Launch{App: "chart", Namespace: "n", Values: []string{"etc/v.yaml"}, Set: []string{"a=b"}}, "helm upgrade --install chart ./applications/chart/c-1.tgz --namespace n --create-namespace --values etc/v.yaml --set a=b"},
		"manifests":        {Launch{App: "plain", Namespace: "n"}, "kubectl apply -f applications/plain/x.yaml --namespace n"},
		"no values":        {Launch{App: "plain", Values: []string{"v"}}, "step 0: --values and --set are for charts, and application plain has none"},
		"no settings":      {Launch{App: "script", Set: []string{"a=b"}}, "step 0: --values and --set are for charts, and application script has none"},
		"script":           {Launch{App: "script", Namespace: "n"}, "step 0: --namespace is for charts and manifests, and application script is started by a script"},
		"unknown":          {Launch{App: "other"}, "step 0: there is no application other: add it with APP other …, or use a base image that has it"},
		"nothing to worry": {Launch{App: "script"}, "sh applications/script/a.sh"},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := Plan(fsys, Request{Apps: apps, Steps: []Step{{Launch: &tt.launch}}})
			if err != nil || text(result) != tt.want {
				t.Errorf("got %s (%v), want %s", text(result), err, tt.want)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	of := func(app, line string) imagespec.Command {
		return imagespec.Command{Exec: strings.Fields(line), App: app}
	}
	base := Request{
		BaseApps: []imagespec.App{
			{Name: "flannel", Role: imagespec.RoleCNI, Launch: []imagespec.Command{of("flannel", "kubectl apply -f f")}},
			{Name: "web", Launch: []imagespec.Command{of("web", "helm upgrade --install web w")}},
			{Name: "db", Launch: []imagespec.Command{of("db", "kubectl apply -f d")}},
		},
		Commands: []imagespec.Command{of("flannel", "kubectl apply -f f"), {Shell: "base"}, of("web", "helm upgrade --install web w")},
	}
	fsys := files("calico/c.yaml="+deployment, "rook/r.yaml="+deployment)
	for name, tt := range map[string]struct {
		apps  []App
		steps []Step
		want  string
		names string
	}{
		"base first":          {steps: []Step{sh("own")}, want: "kubectl apply -f f\nbase\nhelm upgrade --install web w\nown", names: "flannel web db"},
		"base's app":          {steps: launch("db"), want: "kubectl apply -f f\nbase\nhelm upgrade --install web w\nkubectl apply -f d", names: "flannel web db"},
		"base's app, again":   {steps: []Step{sh("own"), {Launch: &Launch{App: "web", Set: []string{"a=b"}}}}, want: "kubectl apply -f f\nbase\nown\nhelm upgrade --install web w --set a=b", names: "flannel web db"},
		"another network":     {apps: []App{{"calico", imagespec.RoleCNI}}, steps: launch("calico"), want: "kubectl apply -f applications/calico/c.yaml\nbase\nhelm upgrade --install web w", names: "web db calico"},
		"storage":             {apps: []App{{"rook", imagespec.RoleCSI}}, steps: append([]Step{sh("own")}, launch("rook")...), want: "kubectl apply -f f\nkubectl apply -f applications/rook/r.yaml\nbase\nhelm upgrade --install web w\nown", names: "flannel web db rook"},
		"an app of that name": {apps: []App{{"web", ""}}, want: "kubectl apply -f f\nbase\nhelm upgrade --install web w", names: "flannel db web"},
	} {
		t.Run(name, func(t *testing.T) {
			r := base
			r.Apps, r.Steps = tt.apps, tt.steps
			result, err := Plan(fsys, r)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, a := range result.Apps {
				names = append(names, a.Name)
			}
			if text(result) != tt.want || strings.Join(names, " ") != tt.names {
				t.Errorf("got\n%s\n%v\nwant\n%s\n%s", text(result), names, tt.want, tt.names)
			}
		})
	}
}

func TestReferences(t *testing.T) {
	r := Request{Env: []string{"NAME=web", "PATH=/bin"}, Steps: []Step{sh("helm upgrade -i $(NAME) $(CHART) -n ${NAME} --set h=$(hostname),n=$(NAME)")}}
	result, err := Plan(files(), r)
	if want := "helm upgrade -i ${NAME} $(CHART) -n ${NAME} --set h=$(hostname),n=${NAME}"; err != nil || text(result) != want {
		t.Errorf("got %s (%v), want %s", text(result), err, want)
	}
}

func TestMissing(t *testing.T) {
	fsys := fstest.MapFS{
		"etc/a.yaml": {}, "etc/t.yaml.tmpl": {}, "run.sh": {}, "charts/c/Chart.yaml": {}, "srv/b.yaml": {}, "bin/packed.sh": {},
		"link.yaml": {Mode: fs.ModeSymlink, Data: []byte("/elsewhere")},
	}
	for line, want := range map[string]string{
		"kubectl apply -f etc/a.yaml -f etc/b.yaml":                    "etc/b.yaml",
		"kubectl apply -f etc/a.yaml,b.yaml":                           "b.yaml",
		"kubectl -n x apply --filename=x.yaml -k etc":                  "x.yaml",
		"kubectl apply -f etc/t.yaml -f link.yaml":                     "",
		"kubectl apply -f . -f ./ -f etc":                              "",
		"kubectl apply -f - -f https://x/y.yaml -f /tmp/x -f '*.yaml'": "",
		"kubectl apply -f $FILE -f *.yaml -f ~/x -f {a,b}.yaml":        "",
		"kubectl logs -f web":                                          "",
		"kubectl cp web:/x ./y && kubectl apply -f y":                  "",
		"cd etc && kubectl apply -f z.yaml":                            "",
		"helm upgrade -i c ./charts/c -f v.yaml --values w.yaml":       "v.yaml w.yaml",
		"helm upgrade -i c ./charts/d":                                 "./charts/d",
		"helm upgrade -i c . --post-renderer ./kustomize":              "",
		"helm upgrade -i c bitnami/c":                                  "",
		"helm pull x/y --untar && helm upgrade -i y ./y":               "",
		"bash other.sh && sh third.sh":                                 "other.sh",
		"bash run.sh; kubectl apply -f made-by-it.yaml":                "",
		"bash packed.sh":                               "",
		"./third.sh":                                   "./third.sh",
		"sh -c 'kubectl apply -f x.yaml'":              "x.yaml",
		"tar xf a.tgz; kubectl apply -f unpacked.yaml": "",
		"kubectl get -o yaml x > y.yaml && kubectl apply -f ./y.yaml":    "",
		"kubectl get x > $Y; kubectl apply -f y.yaml":                    "",
		"(echo a; echo b) > y.yaml; kubectl apply -f y.yaml":             "",
		"test -f y.yaml && kubectl apply -f y.yaml":                      "",
		"if [ -f y.yaml ]; then kubectl apply -f y.yaml; fi":             "",
		"kubectl delete -f old.yaml || true":                             "",
		"kubectl apply -f a.yaml && kubectl wait --for=condition=x -f b": "a.yaml",
	} {
		result, err := Plan(fsys, Request{Commands: []imagespec.Command{{Shell: "true"}}, Steps: []Step{sh(line)}, Whole: true})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range result.Missing {
			got = append(got, m.File)
			if m.Command != 1 || result.Origins[m.Command] != 0 {
				t.Errorf("%s: the command is %d of %v", line, m.Command, result.Origins)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: missing %q, want %q", line, got, want)
		}
	}
	result, err := Plan(fsys, Request{Steps: []Step{sh("kubectl apply -f b.yaml -f c.yaml")}, Whole: true, WorkingDir: "/srv"})
	if err != nil || len(result.Missing) != 1 || result.Missing[0].File != "c.yaml" {
		t.Errorf("in a directory: %+v (%v)", result, err)
	}
}
