package environment

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

// suffix of the files that are templates. What they render to is next to them without it.
const suffix = ".tmpl"

// folders are where templates are looked for, below the rootfs.
var folders = [...]string{"etc", "charts", "manifests", "applications", "plugins", "scripts"}

// maxTemplate bounds what a template renders to, in bytes.
const maxTemplate = 16 << 20

// IsTemplate reports whether the file of a rootfs is a template.
func IsTemplate(name string) bool {
	folder, _, _ := strings.Cut(name, "/")
	return slices.Contains(folders[:], folder) && path.Base(name) != suffix && strings.HasSuffix(name, suffix)
}

// Rendered is the name of what a template renders to.
func Rendered(template string) string { return strings.TrimSuffix(template, suffix) }

// Render renders templates (Go's text/template with sprig's functions) with the set as their data, by name. All errors are returned.
func (s Set) Render(templates map[string][]byte) (map[string][]byte, error) {
	data := make(map[string]any, len(s))
	for name, value := range s.Exported() {
		data[name] = value.data()
	}
	rendered := make(map[string][]byte, len(templates))
	var failed []error
	for _, name := range slices.Sorted(maps.Keys(templates)) {
		content, err := render(name, templates[name], data)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		rendered[Rendered(name)] = content
	}
	return rendered, errors.Join(failed...)
}

func render(name string, source []byte, data map[string]any) ([]byte, error) {
	functions := sprig.TxtFuncMap()
	for _, outside := range []string{"env", "expandenv", "getHostByName"} {
		delete(functions, outside) // this machine's environment and network are not the cluster's
	}
	parsed, err := template.New(name).Funcs(functions).Option("missingkey=error").Parse(string(source))
	if err != nil {
		return nil, fmt.Errorf("template %s: %w", name, err)
	}
	out := limited{left: maxTemplate}
	if err := parsed.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("template %s: %s (give the value with -e NAME=VALUE, or in env of the Clusterfile)", name, masked(err, data))
	}
	return out.Bytes(), nil
}

// shortest is the length of values that are masked; shorter ones are in every message.
const shortest = 4

// masked is the text of an error of a template without the values that the template was given.
func masked(err error, data map[string]any) string {
	var values []string
	for _, value := range data {
		all, _ := value.([]string)
		if one, ok := value.(string); ok {
			all = []string{one}
		}
		for _, v := range all {
			quoted := strconv.Quote(v)
			values = append(values, v, quoted[1:len(quoted)-1])
		}
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) }) // one may be a part of another
	text := err.Error()
	for _, v := range values {
		if len(v) >= shortest {
			text = strings.ReplaceAll(text, v, "…")
		}
	}
	return text
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
