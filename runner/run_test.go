package runner

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/config"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
)

func TestAppDir(t *testing.T) {
	for name, want := range map[string]string{
		"redis:5.0": "redis", "docker.io/library/redis:5.0": "redis", "registry.example.com:5000/a/Redis": "redis",
		"a/redis@sha256:" + strings.Repeat("0", 64): "redis", "a/redis:5@sha256:" + strings.Repeat("0", 64): "redis",
		"./out/redis.tar": "redis", "/srv/My App.tar.gz": "my-app", "redis-5.0.oci": "redis-5.0", "out/layout/": "layout",
		"...": "app", "../..": "app", "ä": "app",
	} {
		if got := appDir(name); got != want {
			t.Errorf("%s is in %q, want %q", name, got, want)
		}
	}
}

func FuzzAppDir(f *testing.F) {
	f.Add("registry.example.com:5000/a/redis:5@sha256:00")
	f.Add("../..\x00/;rm")
	f.Fuzz(func(t *testing.T, name string) {
		if dir := appDir(name); dir == "" || dir == "." || dir == ".." || strings.ContainsAny(dir, "/\x00\n '\"$;*?") {
			t.Errorf("%q is in %q", name, dir)
		}
	})
}

func TestCheckApps(t *testing.T) {
	artifact := &source.Artifact{Description: &imagespec.Description{Apps: []imagespec.App{{Name: "web"}}}}
	cases := []struct {
		name string
		file clusterfile.Clusterfile
		want string
	}{
		{"nothing", clusterfile.Clusterfile{}, ""},
		{"one that is there", clusterfile.Clusterfile{Cluster: &clusterfile.Cluster{AppNames: []string{"web", ""}}}, ""},
		{"a slip", clusterfile.Clusterfile{Cluster: &clusterfile.Cluster{AppNames: []string{"wev"}}}, "no application wev"},
		{"an Application", clusterfile.Clusterfile{Cluster: &clusterfile.Cluster{Apps: map[string]clusterfile.App{"db": {}}}}, "no application db"},
		{"a Config", clusterfile.Clusterfile{Configs: []config.Config{{App: "db", Where: "Clusterfile:3"}}}, "Clusterfile:3: no application db"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := checkApps(&c.file, []*source.Artifact{artifact})
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
		})
	}
}

// layout is a cluster image in a directory of this name.
func layout(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	sourcetest.Layout(t, dir, []string{"amd64"},
		sourcetest.Layer{Tar: sourcetest.Tar(t, sourcetest.Entry{Name: imagespec.RunnerPath, Content: "x", Mode: 0o755})})
	return dir
}

func TestTwoClusterImagesAreNoCluster(t *testing.T) {
	from := source.Options{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	artifacts, err := open(t.Context(), []string{layout(t, "a"), layout(t, "b")}, from)
	for _, artifact := range artifacts {
		artifact.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "only one image may contain Kubernetes") {
		t.Errorf("error is %v", err)
	}
}

// What is of the first image is not of those after it.
func TestForOthers(t *testing.T) {
	file := &clusterfile.Clusterfile{
		Cluster:  &clusterfile.Cluster{Cmd: []string{"x"}, AppNames: []string{"web"}},
		Plugins:  []plugin.Plugin{{Name: "p"}},
		Configs:  []config.Config{{Name: "c"}},
		Warnings: []string{"w"},
	}
	others := forOthers(file)
	if len(others.Plugins)+len(others.Warnings)+len(others.Cluster.Cmd) != 0 || len(others.Configs) != 1 || len(others.Cluster.AppNames) != 1 {
		t.Errorf("others get %+v %+v", others, others.Cluster)
	}
	if len(file.Plugins) != 1 || len(file.Cluster.Cmd) != 1 {
		t.Error("the first has lost them, too")
	}
}

// What shows the configuration reaches nobody, and asks nobody for a password.
func TestKubeadmNeedsNoPassword(t *testing.T) {
	file, err := clusterfile.Parse("Clusterfile", []byte(`apiVersion: sealer.cloud/v2
kind: Cluster
metadata: {name: c}
spec:
  image: x
  ssh: {passwd: prompt}
  hosts: [{ips: [10.0.0.1], roles: [master], ssh: {passwd: "env:NOT_SET_ANYWHERE"}}]
  registry:
    localRegistry: {domain: images.example, username: u, password: "file:/nowhere/at/all"}
    externalRegistry: {domain: harbor.example, username: u, password: prompt}
`))
	if err != nil {
		t.Fatal(err)
	}
	site := Site{Clusterfile: file, Progress: &bytes.Buffer{}, Secrets: &clusterfile.Secrets{
		Ask: func(string) (host.Secret, error) { return "", errors.New("asked") },
	}}
	var out bytes.Buffer
	from := source.Options{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	if err := Kubeadm(context.Background(), layout(t, "a"), from, site, &out); err != nil || !strings.Contains(out.String(), "kind: InitConfiguration") {
		t.Errorf("%v\n%s", err, &out)
	}
}
