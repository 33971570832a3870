package phase

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/state"
)

// layersDir is where a machine has its layers, in the image's directory: the content of each file is the reference of an image in it.
const layersDir = "layers"

// unneeded is what the agent says of a machine's layers.
func (f *machine) unneeded(raw string) string {
	var request struct {
		Dir  string
		Keep []digest.Digest
	}
	if err := json.Unmarshal([]byte(raw), &request); err != nil {
		f.t.Error(err)
	}
	var answer struct {
		Unneeded []wire.Unneeded `json:"unneeded"`
	}
	for _, name := range slices.Sorted(maps.Keys(f.files)) {
		if dir, d := path.Split(name); dir == path.Join(request.Dir, layersDir)+"/" && !slices.Contains(request.Keep, digest.Digest(d)) {
			answer.Unneeded = append(answer.Unneeded, wire.Unneeded{Digest: digest.Digest(d), References: []string{f.files[name]}})
		}
	}
	return encode(answer)
}

// removeLayers is what the agent does to a machine's layers.
func (f *machine) removeLayers(raw string) string {
	var request struct {
		Dir    string
		Layers []digest.Digest
	}
	if err := json.Unmarshal([]byte(raw), &request); err != nil {
		f.t.Error(err)
	}
	for _, d := range request.Layers {
		delete(f.files, path.Join(request.Dir, layersDir, d.String()))
	}
	return `{"bytes":1000}`
}

// layers are the names of those on all machines.
func (p *park) layers() string {
	var all []string
	for _, f := range p.machines {
		names := ""
		for _, name := range slices.Sorted(maps.Keys(f.files)) {
			if _, d, is := strings.Cut(name, "/"+layersDir+"/sha256:"); is {
				names += d
			}
		}
		all = append(all, names)
	}
	return strings.Join(all, " ")
}

// arrives brings the layers of an image, which are called as it is, to the machines.
func (p *park) arrives(image string) {
	next := *p.Artifact
	next.Digest = digest.Digest("sha256:" + image)
	layer := imagespec.Layer{Descriptor: ocispec.Descriptor{Digest: next.Digest}}
	next.ImageLayers = []imagespec.Layer{layer}
	p.Artifact = &next
	for i := range p.machines {
		p.machines[i].files[path.Join(p.ImageDir(), layersDir, next.Digest.String())] = "a.io/app:" + image
	}
}

// versions brings up images, one after the other.
func versions(t *testing.T, images ...string) *park {
	t.Helper()
	p := untouched(t, artifact(t), authority(t), 2, 1)
	for _, image := range images {
		p.arrives(image)
		if _, err := p.rerun(t); err != nil {
			t.Fatal(err)
		}
	}
	p.forget()
	return p
}

// TestLayersOfEarlierImages: hosts keep the layers of the image that they have and of the one before. What is removed is in the plan.
func TestLayersOfEarlierImages(t *testing.T) {
	p := versions(t, "a", "b")
	if got := p.layers(); got != "ab ab ab" {
		t.Errorf("after two images, there are the layers %s", got)
	}
	p.arrives("c")
	plan, err := p.replan(t)
	if err != nil {
		t.Fatal(err)
	}
	next, err := p.rerun(t)
	if err != nil || next.plan(t) != plan {
		t.Errorf("%v; planned was\n%s, done was\n%s", err, plan, next.plan(t))
	}
	if n := strings.Count(plan, "remove layers of earlier images (1)"); n != 3 {
		t.Errorf("the plan has %d removals, want 3:\n%s", n, plan)
	}
	if got := p.layers(); got != "bc bc bc" {
		t.Errorf("after three images, there are the layers %s", got)
	}
	asked := len(p.machines[0].argvs)
	next, err = p.rerun(t)
	if err != nil || len(next.Report.Changes()) > 0 {
		t.Errorf("the same again: %v, %s", err, next.plan(t))
	}
	if slices.ContainsFunc(p.machines[0].argvs[asked:], func(line string) bool { return strings.Contains(line, " agent have ") }) {
		t.Error("hosts are asked for layers though there are none to remove")
	}
}

// TestLayersStay: layers stay as long as pods use their images, the image before is not known, or a host is not part of the run. The next run looks
// again.
func TestLayersStay(t *testing.T) {
	pods := func(text string, code int) func(*testing.T, *park) {
		return func(_ *testing.T, p *park) {
			for _, f := range p.machines {
				answer := f.answer
				f.answer = func(cmd host.Command, stdin string) (string, int) {
					if slices.Contains(cmd.Argv, "pods") {
						return text, code
					}
					return answer(cmd, stdin)
				}
			}
		}
	}
	for _, c := range []struct {
		name    string
		prepare func(*testing.T, *park)
		layers  string
		says    string
		after   string // how the layers are noted, by the first letter of each image
	}{
		{"a pod uses an image", pods("a.io/app:a\n", 0), "abc abc abc", "a layer of an earlier image stays, because pods use a.io/app:a", "cba"},
		{"a pod uses an image by its digest", pods("a.io/app@"+digest.FromString("x").String()+"\n", 0), "abc abc abc", "because pods use a.io/app:a", "cba"},
		{"pods use others", pods("a.io/app:x\na.io/app\nother.io/app:a\n", 0), "bc bc bc", "freed 1.0 kB", "cb"},
		{"pods are not listed", pods("refused", 1), "abc abc abc", "it is not known which images pods use", "cba"},
		{"noted by none", func(t *testing.T, p *park) { p.noted(t, nil) }, "abc abc abc", "", "cb"},
		{"first noted by none", func(t *testing.T, p *park) { p.noted(t, func(s *state.State) { s.Layers[1].Layers = nil }) }, "bc bc bc", "freed", "cb"},
		{"image before noted by none", func(t *testing.T, p *park) { p.noted(t, func(s *state.State) { s.Layers[0].Digest = "sha256:x" }) }, "abc abc abc", "", "cb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := versions(t, "a", "b")
			c.prepare(t, p)
			p.arrives("c")
			next, err := p.rerun(t)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.layers(); got != c.layers {
				t.Errorf("there are the layers %s, want %s", got, c.layers)
			}
			if got := next.out.String(); !strings.Contains(got, c.says) {
				t.Errorf("the run says\n%s", got)
			}
			noted := ""
			for _, image := range next.State.Layers {
				noted += strings.TrimPrefix(image.Digest.String(), "sha256:")
			}
			if noted != c.after {
				t.Errorf("noted is %s, want %s", noted, c.after)
			}
		})
	}
}

// noted changes how the layers are noted in the state; nil as an earlier version does.
func (p *park) noted(t *testing.T, change func(*state.State)) {
	t.Helper()
	next, _ := p.again(t, 1<<40, forever)
	if err := next.recall(t.Context()); err != nil {
		t.Fatal(err)
	}
	if change == nil {
		change = func(s *state.State) { s.Layers = nil }
	}
	change(next.State)
	if err := next.Save(t.Context(), &next.Session); err != nil {
		t.Fatal(err)
	}
}

// TestLayersOfHostsThatAreLeftOut: a host that a run leaves out keeps all until it is part of one.
func TestLayersOfHostsThatAreLeftOut(t *testing.T) {
	p := versions(t, "a", "b")
	p.arrives("c")
	part := p.some(0, 1)
	part.Artifact = p.Artifact
	if _, err := part.rerun(t); err != nil {
		t.Fatal(err)
	}
	if got := p.layers(); got != "bc bc abc" {
		t.Errorf("there are the layers %s", got)
	}
	if _, err := p.rerun(t); err != nil || p.layers() != "bc bc bc" {
		t.Errorf("%v; there are the layers %s", err, p.layers())
	}
}

// TestLayersOfApplications: the layers of an application image are removed as those of the cluster's own are, and only those.
func TestLayersOfApplications(t *testing.T) {
	p := versions(t, "a", "b")
	for _, image := range []string{"x", "y", "z"} {
		p.App = "redis"
		p.arrives(image)
		next, _ := p.again(t, 1<<40, forever)
		next.App = "redis"
		for _, m := range next.Members {
			m.Image.Dir, m.Absent = next.ImageDir(), false
		}
		if err := next.recall(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, one := range []Phase{next.removeLayers(), &saveState{next.Cluster}} {
			if err := one.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := p.layers(); got != "yzab yzab yzab" {
		t.Errorf("there are the layers %s", got)
	}
}

// TestRemovalOfLayersKilledBeforeEveryCommand: however a run that removes layers was interrupted, the same command again ends as one that was not.
func TestRemovalOfLayersKilledBeforeEveryCommand(t *testing.T) {
	undisturbed := versions(t, "a", "b", "c")
	p := versions(t, "a", "b")
	p.arrives("c")
	restore := p.keep()
	whole, n := p.again(t, 1<<40, forever)
	if err := whole.perform(t.Context()); err != nil {
		t.Fatal(err)
	}
	total := n.Load()
	restore()
	p.killedBeforeEveryCommand(t, undisturbed, total, func(ctx context.Context, limit int64, kill func()) error {
		next, _ := p.again(t, limit, kill)
		return next.perform(ctx)
	}, func() error {
		next, err := p.rerun(t)
		if err == nil && len(next.State.Layers) != 2 {
			err = fmt.Errorf("noted are %d images", len(next.State.Layers))
		}
		return err
	})
}
