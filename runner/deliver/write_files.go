package deliver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/adapt"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/source/layerfs"
)

// WriteFiles writes the files that are the site's into the rootfs of every host, and takes back what an earlier run wrote and this one does not.
type WriteFiles struct {
	*execute.Session
	Artifact *source.Artifact // has the files that the site's replaced
	Image    *adapt.Image
	// Instruct notes on a host what its removal has to know: it happens without the image, perhaps years later.
	Instruct func(context.Context, *execute.Member) error
}

// Title says what the phase does, for a person.
func (*WriteFiles) Title() string { return "Write the site's files" }

// FilesMarker lists the files that are the site's, with their digests, and says into which rootfs they were written.
const FilesMarker = "site-files.json"

// written is the content of FilesMarker.
type written struct {
	Rootfs string                   `json:"rootfs"`
	Files  map[string]digest.Digest `json:"files"`
}

// Run does it.
func (p *WriteFiles) Run(ctx context.Context) error {
	before := make([]written, len(p.Members))
	err := p.Each(ctx, p.Targets(), func(ctx context.Context, m *execute.Member) (err error) {
		before[m.Index], err = p.before(ctx, m)
		return err
	})
	if err != nil {
		return err
	}
	originals, err := p.originals(ctx, before)
	if err != nil {
		return err
	}
	return p.Each(ctx, p.Targets(), func(ctx context.Context, m *execute.Member) error {
		if err := p.host(ctx, m, before[m.Index], originals); err != nil {
			return err
		}
		return p.Instruct(ctx, m)
	})
}

// before is what an earlier run wrote into the rootfs that is there.
func (p *WriteFiles) before(ctx context.Context, m *execute.Member) (written, error) {
	var before written
	data, err := m.OfImage().Read(ctx, path.Join(m.Image.Dir, FilesMarker))
	if err != nil || len(bytes.TrimSpace(data)) == 0 {
		return before, err
	}
	if err := json.Unmarshal(data, &before); err != nil {
		return before, fmt.Errorf("%s: reading %s: %w", m, FilesMarker, err)
	}
	if before.Rootfs != p.Image.Rootfs {
		before.Files = nil // the rootfs has been unpacked again since
	}
	return before, nil
}

// originals are the image's files that earlier runs replaced and this one does not.
func (p *WriteFiles) originals(ctx context.Context, before []written) (map[string]layerfs.File, error) {
	wanted := map[string]bool{}
	for i, b := range before {
		for name := range b.Files {
			if _, still := p.Image.Overlays[p.Members[i]][name]; !still {
				wanted[name] = true
			}
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	return p.Artifact.Files(ctx, func(name string) bool { return wanted[name] })
}

func (p *WriteFiles) host(ctx context.Context, m *execute.Member, before written, originals map[string]layerfs.File) error {
	now := written{Rootfs: p.Image.Rootfs, Files: map[string]digest.Digest{}}
	for name, file := range p.Image.Overlays[m] {
		now.Files[name] = digest.FromBytes(fmt.Appendf(nil, "%o %s", file.Mode, file.Content))
	}
	if maps.Equal(before.Files, now.Files) {
		return nil
	}
	if err := p.note(ctx, m, begun(before, now)); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(p.Image.Overlays[m])) {
		if before.Files[name] == now.Files[name] {
			continue
		}
		if err := p.write(ctx, m, "write rootfs/"+name, name, p.Image.Overlays[m][name]); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before.Files)) {
		if _, still := now.Files[name]; still {
			continue
		}
		if err := p.takeBack(ctx, m, name, originals); err != nil {
			return err
		}
	}
	return p.note(ctx, m, now)
}

// begun is what is noted before the first file is written: of those that change, it says only that they are the site's. A run that is
// interrupted, and never made good with the same files, leaves none behind that nobody knows of.
func begun(before, now written) written {
	files := maps.Clone(before.Files)
	if files == nil {
		files = map[string]digest.Digest{}
	}
	for name := range now.Files {
		if files[name] != now.Files[name] {
			files[name] = ""
		}
	}
	return written{Rootfs: now.Rootfs, Files: files}
}

// note writes the marker. What it does is not of interest to anybody who reads the plan.
func (p *WriteFiles) note(ctx context.Context, m *execute.Member, files written) error {
	if p.DryRun {
		return nil
	}
	content, err := json.Marshal(files)
	if err != nil {
		return err
	}
	return m.OfImage().Mark(ctx, FilesMarker, string(content))
}

// takeBack puts the image's file in the place of the site's, or nothing if the image has none.
func (p *WriteFiles) takeBack(ctx context.Context, m *execute.Member, name string, originals map[string]layerfs.File) error {
	if file, there := originals[name]; there {
		return p.write(ctx, m, "restore rootfs/"+name, name, file)
	}
	return p.Do(ctx, m, "remove rootfs/"+name, func(ctx context.Context) error {
		_, err := m.Ask(ctx, "rm", "-f", "--", m.Rootfs(name))
		return err
	})
}

func (p *WriteFiles) write(ctx context.Context, m *execute.Member, what, name string, file layerfs.File) error {
	return p.Do(ctx, m, what, func(ctx context.Context) error {
		_, err := m.Image.WriteFile(ctx, m.Rootfs(name), file.Mode.Perm(), file.Content)
		return err
	})
}
