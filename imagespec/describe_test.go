package imagespec_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
)

func configOf(labels map[string]string) ocispec.Image {
	config := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	config.Config.Labels = map[string]string{imagespec.LabelVersion: "1", imagespec.LabelKind: imagespec.KindApp}
	for name, value := range labels {
		config.Config.Labels[name] = value
	}
	return config
}

func TestDescribeApp(t *testing.T) {
	config := configOf(map[string]string{"io.kubefile.later": "ignored"})
	config.Config.WorkingDir = "/srv//app/"
	config.Config.Env = []string{"A=1", "PATH=/bin", "docker-dir=/x=y", "EMPTY="}
	d, err := imagespec.Describe(config)
	if err != nil {
		t.Fatal(err)
	}
	if d.Kind != imagespec.KindApp || d.KubernetesVersion != "" || d.WorkingDir != "srv/app" || len(d.Commands) != 0 || len(d.Lock.Images) != 0 {
		t.Errorf("got %+v", d)
	}
	if got := strings.Join(d.Env, " "); got != "A=1 docker-dir=/x=y EMPTY=" {
		t.Errorf("the environment is %q", got)
	}
}

func TestCommandIsShownAsTyped(t *testing.T) {
	for want, c := range map[string]imagespec.Command{
		"a && b":                          {Shell: "a && b"},
		"helm upgrade -i a ./b --set c=d": {Exec: []string{"helm", "upgrade", "-i", "a", "./b", "--set", "c=d"}},
		`sh -c 'echo '\''b c'\''' ''`:     {Exec: []string{"sh", "-c", "echo 'b c'", ""}},
	} {
		if got := c.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestKubernetesVersions(t *testing.T) {
	for version, ok := range map[string]bool{
		"v1.34.4": true, "v1.35.0-rc.1": true, "v1.34.4+vendor.2": true, "v1.34.4-beta.0+abc": true,
		"1.34.4": false, "v1.34": false, "v1.34.04": false, "latest": false, "v1.34.4 ": false, "v1.34.4;reboot": false, "v1.34.4\n": false,
	} {
		_, err := imagespec.Describe(configOf(map[string]string{
			imagespec.LabelKind: imagespec.KindCluster, imagespec.LabelKubernetesVersion: version,
		}))
		if ok != (err == nil) || !ok && !errors.Is(err, imagespec.ErrInvalid) {
			t.Errorf("%q: %v", version, err)
		}
	}
}

func TestSupportedKubernetes(t *testing.T) {
	for text, versions := range map[string]map[string]bool{
		"":                  {"v1.19.8": true},
		">=1.28, <1.35":     {"v1.28.0": true, "v1.34.4": true, "v1.35.0": false, "v1.27.9": false, "v1.34.4-rc.1": true, "v1.34.4+vendor.2": true},
		"v1.19.8":           {"v1.19.8": true, "v1.19.9": false},
		"1.33.x || ~1.34.2": {"v1.33.9": true, "v1.34.1": false, "v1.34.9": true},
	} {
		d, err := imagespec.Describe(configOf(map[string]string{imagespec.LabelSupportedKubernetes: text}))
		if err != nil {
			t.Fatal(err)
		}
		for version, ok := range versions {
			if err := imagespec.CheckKubernetes(d.SupportedKubernetes, version); ok != (err == nil) || !ok && !errors.Is(err, imagespec.ErrInvalid) {
				t.Errorf("%s with %q: %v", version, text, err)
			}
		}
	}
}

func TestDescribeRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		labels map[string]string
		change func(*ocispec.Image)
		want   error
	}{
		"no cluster image":   {labels: map[string]string{imagespec.LabelVersion: ""}, want: imagespec.ErrNotClusterImage},
		"no labels":          {change: func(c *ocispec.Image) { c.Config.Labels = nil }, want: imagespec.ErrNotClusterImage},
		"later version":      {labels: map[string]string{imagespec.LabelVersion: "2"}, want: imagespec.ErrVersion},
		"no kind":            {labels: map[string]string{imagespec.LabelKind: ""}, want: imagespec.ErrInvalid},
		"unknown kind":       {labels: map[string]string{imagespec.LabelKind: "vm"}, want: imagespec.ErrInvalid},
		"cluster without":    {labels: map[string]string{imagespec.LabelKind: imagespec.KindCluster}, want: imagespec.ErrInvalid},
		"app with":           {labels: map[string]string{imagespec.LabelKubernetesVersion: "v1.34.4"}, want: imagespec.ErrInvalid},
		"commands, no JSON":  {labels: map[string]string{imagespec.LabelCommands: "kubectl apply"}, want: imagespec.ErrInvalid},
		"command, neither":   {labels: map[string]string{imagespec.LabelCommands: `[{}]`}, want: imagespec.ErrInvalid},
		"command, both":      {labels: map[string]string{imagespec.LabelCommands: `[{"shell":"a","exec":["a"]}]`}, want: imagespec.ErrInvalid},
		"command, empty":     {labels: map[string]string{imagespec.LabelCommands: `[{"exec":[]}]`}, want: imagespec.ErrInvalid},
		"too many commands":  {labels: map[string]string{imagespec.LabelCommands: "[" + strings.Repeat(`{"shell":"a"},`, 4096) + `{"shell":"a"}]`}, want: imagespec.ErrInvalid},
		"no range":           {labels: map[string]string{imagespec.LabelSupportedKubernetes: "new ones"}, want: imagespec.ErrInvalid},
		"out of its range":   {labels: map[string]string{imagespec.LabelKind: "cluster", imagespec.LabelKubernetesVersion: "v1.34.4", imagespec.LabelSupportedKubernetes: "<1.30"}, want: imagespec.ErrInvalid},
		"apps, no JSON":      {labels: map[string]string{imagespec.LabelApps: "{}"}, want: imagespec.ErrInvalid},
		"app without a name": {labels: map[string]string{imagespec.LabelApps: `[{}]`}, want: imagespec.ErrInvalid},
		"app, name a path":   {labels: map[string]string{imagespec.LabelApps: `[{"name":"../x"}]`}, want: imagespec.ErrInvalid},
		"app, twice":         {labels: map[string]string{imagespec.LabelApps: `[{"name":"a"},{"name":"a"}]`}, want: imagespec.ErrInvalid},
		"app, other role":    {labels: map[string]string{imagespec.LabelApps: `[{"name":"a","role":"x"}]`}, want: imagespec.ErrInvalid},
		"app, bad command":   {labels: map[string]string{imagespec.LabelApps: `[{"name":"a","launch":[{}]}]`}, want: imagespec.ErrInvalid},
		"images, no JSON":    {labels: map[string]string{imagespec.LabelImages: "[]"}, want: imagespec.ErrInvalid},
		"images, version":    {labels: map[string]string{imagespec.LabelImages: `{"version":9}`}, want: imagespec.ErrVersion},
		"images, too large":  {labels: map[string]string{imagespec.LabelImages: strings.Repeat(" ", imagespec.MaxLockSize+1)}, want: imagespec.ErrInvalid},
		"leaves the rootfs":  {change: func(c *ocispec.Image) { c.Config.WorkingDir = "/../etc" }, want: imagespec.ErrInvalid},
		"NUL in a directory": {change: func(c *ocispec.Image) { c.Config.WorkingDir = "/a\x00" }, want: imagespec.ErrInvalid},
		"no variable":        {change: func(c *ocispec.Image) { c.Config.Env = []string{"A"} }, want: imagespec.ErrInvalid},
		"variable, no name":  {change: func(c *ocispec.Image) { c.Config.Env = []string{"=1"} }, want: imagespec.ErrInvalid},
		"no platform":        {change: func(c *ocispec.Image) { c.Platform = ocispec.Platform{} }, want: imagespec.ErrInvalid},
		"platform, a path":   {change: func(c *ocispec.Image) { c.Architecture = "x/../../../home/u/.bashrc" }, want: imagespec.ErrInvalid},
		"NUL in a variable":  {change: func(c *ocispec.Image) { c.Config.Env = []string{"A=\x00"} }, want: imagespec.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			config := configOf(test.labels)
			if test.change != nil {
				test.change(&config)
			}
			if d, err := imagespec.Describe(config); !errors.Is(err, test.want) {
				t.Errorf("got %+v, %v", d, err)
			}
		})
	}
}

func TestImageLayersRefuses(t *testing.T) {
	example := examples(t)
	for name, change := range map[string]func(*ocispec.Manifest, *ocispec.Image){
		"a layer without a diff ID": func(m *ocispec.Manifest, c *ocispec.Image) { c.RootFS.DiffIDs = c.RootFS.DiffIDs[1:] },
		"a layer without history":   func(m *ocispec.Manifest, c *ocispec.Image) { c.History = c.History[1:] },
		"history without a layer":   func(m *ocispec.Manifest, c *ocispec.Image) { c.History[1].EmptyLayer = false },
		"no history":                func(m *ocispec.Manifest, c *ocispec.Image) { c.History = nil },
		"a digest that is none":     func(m *ocispec.Manifest, c *ocispec.Image) { m.Layers[1].Digest = "sha256:../.." },
		"a diff ID that is none":    func(m *ocispec.Manifest, c *ocispec.Image) { c.RootFS.DiffIDs[0] = "" },
		"a size that is none":       func(m *ocispec.Manifest, c *ocispec.Image) { m.Layers[1].Size = -1 },
		"more layers than can mount": func(m *ocispec.Manifest, c *ocispec.Image) {
			m.Layers = make([]ocispec.Descriptor, imagespec.MaxLayers+1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			manifest, config := decode[ocispec.Manifest](t, example["manifest"]), decode[ocispec.Image](t, example["config"])
			change(&manifest, &config)
			if _, _, err := imagespec.ImageLayers(manifest, config); !errors.Is(err, imagespec.ErrInvalid) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func FuzzDescribe(f *testing.F) {
	example := examples(f)
	f.Add(example["config"], example["manifest"])
	f.Fuzz(func(t *testing.T, configData, manifestData []byte) {
		var config ocispec.Image
		var manifest ocispec.Manifest
		if json.Unmarshal(configData, &config) != nil || json.Unmarshal(manifestData, &manifest) != nil {
			return
		}
		if d, err := imagespec.Describe(config); err == nil {
			if d.Lock.Validate() != nil || (d.Kind == imagespec.KindCluster) != (d.KubernetesVersion != "") {
				t.Fatalf("described as %+v", d)
			}
		}
		rootfs, images, err := imagespec.ImageLayers(manifest, config)
		if err == nil && len(rootfs)+len(images) != len(manifest.Layers) {
			t.Fatalf("%d and %d layers of %d", len(rootfs), len(images), len(manifest.Layers))
		}
		for _, layer := range append(rootfs, images...) {
			if digest.Digest(layer.DiffID).Validate() != nil {
				t.Fatalf("layer %+v", layer)
			}
		}
	})
}

func TestDescribeFrontend(t *testing.T) {
	for value, want := range map[string]string{
		"": "", "v0.1.0": "v0.1.0", "v0.0.0-20261129120000-02e0342bfe47+dirty": "v0.0.0-20261129120000-02e0342bfe47+dirty",
		"v1\nkind: app": "", "\x1b[31mv1": "", strings.Repeat("1", 129): "",
	} {
		d, err := imagespec.Describe(configOf(map[string]string{imagespec.LabelFrontend: value}))
		if err != nil || d.Frontend != want {
			t.Errorf("%q: got %+v, %v, want %q", value, d, err, want)
		}
	}
}
