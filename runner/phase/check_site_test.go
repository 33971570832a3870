package phase

import (
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/runner/adapt"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
)

// opened is an image with one rootfs layer of these files.
func opened(t *testing.T, name string, files ...sourcetest.Entry) *source.Artifact {
	t.Helper()
	dir := t.TempDir()
	sourcetest.AppLayout(t, dir, []string{"amd64"}, sourcetest.Layer{Tar: sourcetest.Tar(t, files...)})
	a, err := source.Open(t.Context(), dir, source.Options{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	a.Name = name
	return a
}

// TestImagesThatARunRefuses: all of them are named, as a check is not over with the first.
func TestImagesThatARunRefuses(t *testing.T) {
	p := newPark(t, 1, 0)
	p.Artifact = artifact(t)
	if refused := p.checkImage().Images(t.Context(), []*source.Artifact{opened(t, "good")}); len(refused) > 0 {
		t.Errorf("of good images it refuses %v", refused)
	}
	locked := artifact(t)
	locked.Description.Lock.Images[0].Reference = "quay.io/a/other:1"
	variable := opened(t, "variable")
	variable.Description.Env = []string{"no value"}
	hostile := opened(t, "hostile", sourcetest.Entry{Name: "../out", Content: "x"})
	for _, c := range []struct {
		cluster *source.Artifact
		want    []string
	}{
		{locked, []string{"app:v1: its images and its lock disagree", "variable: ", "hostile: layer"}},
		{opened(t, "bare"), []string{"bare: no runner in the image", "variable: ", "hostile: layer"}},
		{variable, []string{"variable: ", "variable: ", "hostile: layer"}},
	} {
		p.Artifact = c.cluster
		refused := p.checkImage().Images(t.Context(), []*source.Artifact{variable, hostile})
		same := slices.EqualFunc(refused, c.want, func(err error, want string) bool { return strings.Contains(err.Error(), want) })
		if !same {
			t.Errorf("it refuses %v, want %q", refused, c.want)
		}
	}
}

// TestConfigurationsThatARunRefuses are those of the phases before the first change, or the documents of kubeadm alone.
func TestConfigurationsThatARunRefuses(t *testing.T) {
	const documents = "kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1beta4\nnetworking: {serviceSubnet: 10.0.0.0/16}\n"
	const unknown = "apiVersion: sealer.io/v2\nkind: Plugin\nmetadata: {name: x}\nspec: {type: NO_SUCH, action: PreInit, data: echo}\n"
	for name, c := range map[string]struct {
		File, content string // in the image
		want, early   string // early: where a host is not fit
	}{
		"nothing":                   {"etc/other", "x", "", ""},
		"documents of kubeadm":      {adapt.KubeadmFile, documents, "10.0.0.0/16 has the host 10.0.0.1", "10.0.0.0/16 has the host 10.0.0.1"},
		"no documents":              {adapt.KubeadmFile, "kind: [", "etc/kubeadm.yml of app:v1", "etc/kubeadm.yml of app:v1"},
		"a template":                {"etc/x.yaml.tmpl", "{{ .NOT_THERE_AT_ALL }}", "NOT_THERE_AT_ALL", "NOT_THERE_AT_ALL"},
		"what a Config merges into": {"etc/values.yaml", "a: [", "etc/values.yaml", "etc/values.yaml"},
		"a plugin":                  {"plugins/x.yaml", unknown, "NO_SUCH", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for fit, want := range map[bool]string{true: c.want, false: c.early} {
				p := sited(t, highlyAvailable)
				p.Artifact = artifact(t, sourcetest.Entry{Name: c.File, Content: c.content})
				refused := p.refusedConfiguration(t.Context(), fit)
				if (len(refused) == 0) != (want == "") || want != "" && !strings.Contains(refused[0].Error(), want) {
					t.Errorf("with hosts that fit %v it refuses %v, want %q", fit, refused, want)
				}
				if actions := p.Report.Changes(); len(actions) > 0 {
					t.Errorf("it would change %+v", actions)
				}
			}
		})
	}
}
