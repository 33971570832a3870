package phase

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/source"
)

// siteFiles writes what [adapt] worked out into the rootfs of every host, and takes back what an earlier run wrote and this one does not.
type siteFiles struct{ *Cluster }

func (*siteFiles) Title() string { return "Write the site's files" }

const (
	// filesMarker lists the files that are the site's, with their digests, and says into which rootfs they were written.
	filesMarker = "site-files.json"
	// farewellFile is what a removal has to know of the host, when there is no image and no Clusterfile any more.
	farewellFile = "farewell.json"
)

// written is the content of filesMarker.
type written struct {
	Rootfs string                   `json:"rootfs"`
	Files  map[string]digest.Digest `json:"files"`
}

// farewell is the content of farewellFile.
type farewell struct {
	Env     environment.Set `json:"env"`
	Plugins []plugin.Plugin `json:"plugins"` // those that run when the host is cleaned
}

func (p *siteFiles) Run(ctx context.Context) error {
	before := make([]written, len(p.members))
	err := p.each(ctx, p.members, func(ctx context.Context, m *member) (err error) {
		before[m.index], err = p.before(ctx, m)
		return err
	})
	if err != nil {
		return err
	}
	originals, err := p.originals(ctx, before)
	if err != nil {
		return err
	}
	return p.each(ctx, p.members, func(ctx context.Context, m *member) error {
		if err := p.host(ctx, m, before[m.index], originals); err != nil {
			return err
		}
		return p.farewell(ctx, m)
	})
}

// before is what an earlier run wrote into the rootfs that is there.
func (p *siteFiles) before(ctx context.Context, m *member) (written, error) {
	var before written
	data, err := m.ofImage().read(ctx, path.Join(m.image.Dir, filesMarker))
	if err != nil || len(bytes.TrimSpace(data)) == 0 {
		return before, err
	}
	if err := json.Unmarshal(data, &before); err != nil {
		return before, fmt.Errorf("%s: reading %s: %w", m, filesMarker, err)
	}
	if before.Rootfs != p.rootfsKey() {
		before.Files = nil // the rootfs has been unpacked anew since
	}
	return before, nil
}

// originals are the image's files that earlier runs replaced and this one does not.
func (p *siteFiles) originals(ctx context.Context, before []written) (map[string]source.File, error) {
	wanted := map[string]bool{}
	for i, b := range before {
		for name := range b.Files {
			if _, still := p.members[i].overlay[name]; !still {
				wanted[name] = true
			}
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	return p.Artifact.Files(ctx, func(name string) bool { return wanted[name] })
}

func (p *siteFiles) host(ctx context.Context, m *member, before written, originals map[string]source.File) error {
	now := written{Rootfs: p.rootfsKey(), Files: map[string]digest.Digest{}}
	changed := false
	for _, name := range slices.Sorted(maps.Keys(m.overlay)) {
		file := m.overlay[name]
		now.Files[name] = digest.FromBytes(fmt.Appendf(nil, "%o %s", file.Mode, file.Content))
		if before.Files[name] == now.Files[name] {
			continue
		}
		changed = true
		if err := p.write(ctx, m, "write rootfs/"+name, name, file); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before.Files)) {
		if _, still := now.Files[name]; still {
			continue
		}
		changed = true
		file, there := originals[name]
		if there {
			if err := p.write(ctx, m, "restore rootfs/"+name, name, file); err != nil {
				return err
			}
			continue
		}
		err := p.Do(ctx, m, "remove rootfs/"+name, func(ctx context.Context) error {
			_, err := m.ask(ctx, "rm", "-f", "--", m.rootfs(name))
			return err
		})
		if err != nil {
			return err
		}
	}
	if !changed || p.DryRun {
		return nil
	}
	content, err := json.Marshal(now)
	if err != nil {
		return err
	}
	return m.ofImage().mark(ctx, filesMarker, string(content))
}

func (p *siteFiles) write(ctx context.Context, m *member, what, name string, file source.File) error {
	return p.Do(ctx, m, what, func(ctx context.Context) error {
		_, err := m.image.WriteFile(ctx, m.rootfs(name), file.Mode.Perm(), file.Content)
		return err
	})
}

// readFarewell returns it; empty when the host was not brought that far.
func readFarewell(ctx context.Context, m *member) (farewell, error) {
	var noted farewell
	data, err := m.read(ctx, m.path(farewellFile))
	if err == nil && len(data) > 0 {
		err = json.Unmarshal(data, &noted)
	}
	if err != nil {
		return noted, fmt.Errorf("%s: reading %s: %w", m, farewellFile, err)
	}
	return noted, nil
}

// rootfsKey stands for the layers of the rootfs.
func (c *Cluster) rootfsKey() string {
	hash := sha256.New()
	for _, layer := range c.Artifact.RootfsLayers {
		fmt.Fprintln(hash, layer.Descriptor.Digest)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// farewell writes what a removal has to know: it happens without the image, perhaps years later.
func (p *siteFiles) farewell(ctx context.Context, m *member) error {
	if p.App != "" {
		return nil
	}
	content := farewell{Env: p.environment(m)}
	for _, one := range p.plugins {
		if one.Runs(plugin.PreClean) || one.Runs(plugin.PostClean) {
			content.Plugins = append(content.Plugins, one)
		}
	}
	data, err := json.Marshal(content)
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if !m.isNew {
		same, err := m.same(ctx, file{path: m.path(farewellFile), mode: secretMode, content: data})
		if err != nil || same {
			return err
		}
	}
	var names []string
	for _, one := range content.Plugins {
		names = append(names, fmt.Sprintf("%q", one.Name))
	}
	what := "note the environment for the removal"
	if len(names) > 0 {
		what += ", and the plugins " + strings.Join(names, ", ")
	}
	return p.Do(ctx, m, what, func(ctx context.Context) error {
		_, err := m.WriteFile(ctx, m.path(farewellFile), secretMode, data)
		return err
	})
}
