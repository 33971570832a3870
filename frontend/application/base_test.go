package application

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/kubefile/kubefile/imagespec"
)

const service = "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n"

// installChart is a command of a base that installs a chart.
const installChart = "helm upgrade --install app charts/app -f etc/values.yaml --set tag=v1.2"

// baseCase is a base, what a build adds to it, and whether the base is needed to know the images.
type baseCase struct {
	base    string // commands, a line each
	added   string // "path=content" with @ for a resource, separated by blanks
	request Request
	want    bool
}

func testNeedsBase(t *testing.T, cases map[string]baseCase) {
	t.Helper()
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{}
			for _, file := range strings.Split(strings.ReplaceAll(tt.added, "name: ", "name:\n "), " ") {
				if name, content, ok := strings.Cut(file, "="); ok {
					fsys[strings.TrimSpace(name)] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(content, "@", service))}
				}
			}
			r := tt.request
			for _, line := range strings.Split(tt.base, "\n") {
				if line != "" {
					r.Commands = append(r.Commands, imagespec.Command{Shell: line})
				}
			}
			planned, err := Plan(fsys, r)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := NeedsBase(t.Context(), fsys, r, planned); got != tt.want || err != nil {
				t.Errorf("got %v (%v), want %v", got, err, tt.want)
			}
		})
	}
}

func TestNeedsBaseForFiles(t *testing.T) {
	testNeedsBase(t, map[string]baseCase{
		"a manifest":                            {installChart, "manifests/a.yaml=@", Request{}, false},
		"a manifest beside a script":            {"bash scripts/install.sh", "manifests/a.yaml=@", Request{}, false},
		"a program":                             {"bash scripts/install.sh", "bin/tool=\x00ELF", Request{}, false},
		"a list of images":                      {"bash scripts/install.sh", "images/app-images.txt=nginx:1", Request{}, false},
		"a text":                                {"bash scripts/install.sh", "README.md=x", Request{}, false},
		"values of a command":                   {installChart, "etc/values.yaml=tag:", Request{}, true},
		"other values":                          {installChart, "etc/other.yaml=tag:", Request{}, false},
		"values that are a template":            {installChart, "etc/values.yaml.tmpl=tag:", Request{}, true},
		"values of a script":                    {"bash scripts/install.sh", "etc/other.yaml=tag:", Request{}, true},
		"values for a chart that is a variable": {"helm upgrade -i app $CHART", "etc/other.yaml=tag:", Request{}, true},
		"the script":                            {"bash scripts/install.sh", "scripts/install.sh=x", Request{}, true},
		"a script that it calls":                {"./install", "lib/functions=x", Request{}, true},
		"an environment file":                   {". ./env && helm list", "env=TAG=v2", Request{}, true},
		"in another's shell":                    {"timeout 60 bash x.sh", "env=TAG=v2", Request{}, true},
		"in sh -c":                              {"sh -c 'helm upgrade -i app ./charts/app'", "charts/app/x.yaml=@", Request{}, true},
		"a file of the chart":                   {installChart, "charts/app/templates/b.yaml=x", Request{}, true},
		"a resource of the chart":               {installChart, "charts/app/crds/b.yaml=@", Request{}, true},
		"a file for some chart":                 {"", "charts/other/files/x.conf=x", Request{}, true},
		"a chart over the chart":                {installChart, "charts/app/Chart.yaml=name: charts/app/templates/x.yaml=@", Request{}, true},
		"another chart":                         {installChart, "charts/b/Chart.yaml=name: charts/b/templates/x.yaml=@", Request{}, false},
		"another chart beside a script":         {"bash scripts/install.sh", "charts/b/Chart.yaml=name: charts/b/templates/x.yaml=@", Request{}, true},
		"a patch":                               {"kubectl apply -k kust/overlay", "kust/base/pod.yaml=@", Request{}, true},
		"a program beside a kustomization":      {"kubectl apply -k kust/overlay", "bin/tool=\x00ELF", Request{}, false},
		"a directory that is applied":           {"kubectl apply -f manifests", "manifests/a.yaml=@", Request{}, false},
		"echo":                                  {"echo installing etc/values.yaml", "etc/values.yaml=tag:", Request{}, false},
	})
}

func TestNeedsBaseForChanges(t *testing.T) {
	testNeedsBase(t, map[string]baseCase{
		"nothing":                     {installChart, "", Request{}, false},
		"environment":                 {"kubectl apply -f a.yaml", "", Request{Changes: Changes{Environment: true}}, true},
		"version of Kubernetes":       {"", "", Request{Changes: Changes{Kubernetes: true}}, true},
		"RUN below a chart":           {installChart, "", Request{Changes: Changes{Steps: true}}, true},
		"RUN below a script":          {"bash scripts/install.sh", "", Request{Changes: Changes{Steps: true}}, true},
		"RUN below manifests":         {"kubectl apply -f a.yaml", "", Request{Changes: Changes{Steps: true}}, false},
		"another directory":           {"kubectl apply -f a.yaml", "", Request{Changes: Changes{WorkingDir: true}}, true},
		"a program that nobody knows": {"first", "etc/values.yaml=tag:", Request{Changes: Changes{WorkingDir: true, Steps: true}}, false},
	})
}

func TestNeedsBaseForStepsAndApplications(t *testing.T) {
	web := []imagespec.App{{Name: "web", Launch: []imagespec.Command{{Exec: []string{"helm", "upgrade", "--install", "web", "./applications/web"}, App: "web"}}}}
	testNeedsBase(t, map[string]baseCase{
		"a command on what is new":         {"", "a.yaml=@", Request{Steps: []Step{sh("kubectl apply -f a.yaml")}}, false},
		"a command on the base's manifest": {"", "a.yaml=@", Request{Steps: []Step{sh("kubectl apply -f tests/b.yaml")}}, true},
		"the base's script, wrapped":       {"", "", Request{Steps: []Step{sh("TAG=v9 bash scripts/install.sh")}}, true},
		"perhaps the base's":               {"", "", Request{Steps: []Step{sh("test -f x.yaml && kubectl apply -f x.yaml")}}, true},
		"taken back":                       {"", "etc/values.yaml=tag:", Request{Steps: []Step{sh("helm list")}}, false},
		"a new application":                {"bash scripts/install.sh", "applications/db/values.yaml=tag:", Request{Apps: []App{{Name: "db"}}}, false},
		"more of the base's application":   {"", "applications/web/values.yaml=tag:", Request{Apps: []App{{Name: "web"}}, BaseApps: web}, true},
	})
}
