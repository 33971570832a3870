package environment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

// suffix of the files that are templates. What they render to stands beside them without it.
const suffix = ".tmpl"

// folders are where templates are looked for, below the rootfs.
var folders = [...]string{"etc", "charts", "manifests", "applications", "plugins", "scripts"}

// maxTemplate bounds a template and what it renders to, in bytes.
const maxTemplate = 16 << 20

// Render renders every template below root with the environment and returns the files that changed. All are rendered before the first is
// written, so that an error leaves everything as it was; with check nothing is written.
func Render(ctx context.Context, root *os.Root, env Set, check bool) ([]string, error) {
	rendered := map[string][]byte{}
	var failed []error
	for _, folder := range folders {
		err := fs.WalkDir(root.FS(), folder, func(name string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) && name == folder {
				return nil
			}
			if err := errors.Join(err, ctx.Err()); err != nil {
				return err
			}
			if !entry.Type().IsRegular() || !strings.HasSuffix(name, suffix) {
				return nil
			}
			content, err := render(root, name, env)
			if err != nil {
				failed = append(failed, err)
				return nil
			}
			rendered[strings.TrimSuffix(name, suffix)] = content
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("looking for templates: %w", err)
		}
	}
	if err := errors.Join(failed...); err != nil || check {
		return nil, err
	}
	return write(root, rendered)
}

func render(root *os.Root, name string, env Set) ([]byte, error) {
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxTemplate {
		return nil, fmt.Errorf("template %s: %d bytes are more than %d", name, info.Size(), maxTemplate)
	}
	source, err := root.ReadFile(name)
	if err != nil {
		return nil, err
	}
	functions := sprig.TxtFuncMap()
	for _, outside := range []string{"env", "expandenv", "getHostByName"} {
		delete(functions, outside) // the agent's own environment and network are not the cluster's
	}
	parsed, err := template.New(path.Base(name)).Funcs(functions).Option("missingkey=error").Parse(string(source))
	if err != nil {
		return nil, fmt.Errorf("template %s: %w", name, err)
	}
	out := limited{left: maxTemplate}
	if err := parsed.Execute(&out, env.Exported()); err != nil {
		return nil, fmt.Errorf("template %s: %w (give the value with -e NAME=VALUE)", name, err)
	}
	return out.Bytes(), nil
}

type limited struct {
	bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, fmt.Errorf("renders to more than %d bytes", maxTemplate)
	}
	return l.Buffer.Write(p)
}

func write(root *os.Root, rendered map[string][]byte) ([]string, error) {
	var changed []string
	for name, content := range rendered {
		if old, err := root.ReadFile(name); err == nil && bytes.Equal(old, content) {
			continue
		}
		info, err := root.Stat(name + suffix)
		if err != nil {
			return changed, err
		}
		next := name + ".new"
		if err := root.WriteFile(next, content, info.Mode().Perm()); err != nil {
			return changed, fmt.Errorf("rendering %s: %w", name, err)
		}
		if err := root.Rename(next, name); err != nil {
			return changed, fmt.Errorf("rendering %s: %w", name, err)
		}
		changed = append(changed, name)
	}
	return changed, nil
}
