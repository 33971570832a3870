package discovery

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/strvals"
)

// ValueSet has the arguments of helm install for a chart.
type ValueSet struct {
	Release   string `json:"release,omitempty"`   // name of the release; default is the chart's name
	Namespace string `json:"namespace,omitempty"` // by default "default"
	// Values lie over the chart's own, and all others over them.
	Values map[string]any `json:"values,omitempty"`
	// Files are values files in the rootfs, the last one first in precedence.
	Files []string `json:"files,omitempty"`
	// Set and the others are as the flags of their names: "key=value".
	Set        []string `json:"set,omitempty"`
	SetString  []string `json:"setString,omitempty"`
	SetFile    []string `json:"setFile,omitempty"`
	SetJSON    []string `json:"setJSON,omitempty"`
	SetLiteral []string `json:"setLiteral,omitempty"`
}

// Lay lays a values file over Values.
func (v *ValueSet) Lay(data []byte) error {
	values, err := loader.LoadValues(bytes.NewReader(data))
	if err != nil {
		return err
	}
	v.Values = loader.MergeMaps(v.Values, values)
	return nil
}

func (v ValueSet) equal(other ValueSet) bool {
	return slices.Equal(v.Files, other.Files) && slices.Equal(v.Set, other.Set) && slices.Equal(v.SetString, other.SetString) &&
		slices.Equal(v.SetFile, other.SetFile) && slices.Equal(v.SetJSON, other.SetJSON) && slices.Equal(v.SetLiteral, other.SetLiteral)
}

// valuesError is what is wrong with values that an installation gives its chart.
type valuesError struct {
	Flag string // what gives them; empty when Err says it
	Name string // the flag's argument
	Err  error
}

// Error implements error.
func (e *valuesError) Error() string {
	if e.Flag == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%s %s: %v", e.Flag, e.Name, e.Err)
}

// Unwrap returns the cause.
func (e *valuesError) Unwrap() error { return e.Err }

// decidedAtSite reports whether the argument has a variable or a pattern of the shell, which may be right where it runs.
func (e *valuesError) decidedAtSite() bool { return strings.ContainsAny(e.Name, "$*") }

// given merges what an installation gives its chart, in the order of helm install.
func (c *collector) given(in install) (map[string]any, error) {
	merged := loader.MergeMaps(map[string]any{}, in.values.Values)
	for _, name := range in.values.Files {
		data, err := c.valuesFile(in, name)
		if err != nil {
			return nil, &valuesError{Name: name, Err: err}
		}
		values, err := loader.LoadValues(bytes.NewReader(data))
		if err != nil {
			return nil, &valuesError{Flag: "values file", Name: name, Err: err}
		}
		merged = loader.MergeMaps(merged, values)
	}
	for _, text := range in.values.SetJSON {
		if strings.HasPrefix(strings.TrimSpace(text), "{") {
			var values map[string]any
			if err := json.Unmarshal([]byte(text), &values); err != nil {
				return nil, &valuesError{Flag: "--set-json", Name: text, Err: err}
			}
			merged = loader.MergeMaps(merged, values)
		} else if err := strvals.ParseJSON(text, merged); err != nil {
			return nil, &valuesError{Flag: "--set-json", Name: text, Err: err}
		}
	}
	file := func(name []rune) (any, error) {
		data, err := c.valuesFile(in, string(name))
		return string(data), err
	}
	for _, flag := range []struct {
		name  string
		texts []string
		parse func(text string, into map[string]any) error
	}{
		{"--set", in.values.Set, strvals.ParseInto},
		{"--set-string", in.values.SetString, strvals.ParseIntoString},
		{"--set-file", in.values.SetFile, func(text string, into map[string]any) error { return strvals.ParseIntoFile(text, into, file) }},
		{"--set-literal", in.values.SetLiteral, strvals.ParseLiteralInto},
	} {
		for _, text := range flag.texts {
			if err := flag.parse(text, merged); err != nil {
				return nil, &valuesError{Flag: flag.name, Name: text, Err: err}
			}
		}
	}
	return merged, nil
}

var errNotInRootfs = errors.New("it is not in the rootfs")

// valuesFile reads a file that an installation names: "-" is its standard input.
func (c *collector) valuesFile(in install, name string) ([]byte, error) {
	if name == "-" {
		return []byte(in.input), nil
	}
	if strings.Contains(name, "://") {
		return nil, fmt.Errorf("values file %s: %w", name, errNotInRootfs)
	}
	file := within(in.dir, name)
	if text, ok := c.usage.written[file]; ok {
		return []byte(text), nil
	}
	if _, err := fs.Stat(c.fsys, file+".tmpl"); err == nil {
		file += ".tmpl" // rendered on each host to the file, which it overwrites
	}
	data, err := fs.ReadFile(c.fsys, file)
	if err != nil {
		return nil, fmt.Errorf("values file %s: %w", name, errNotInRootfs)
	}
	return data, nil
}
