// Package environment reads and writes lab.env, which has the addresses of the lab of this clone.
package environment

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// File is the name of the file in the lab's output directory.
const File = "lab.env"

// An Environment has the addresses of the services of a running lab. Each field is a line NAME=VALUE of the file, under the name in its
// tag. Shells read it with `set -a; . _out/lab.env; set +a`.
type Environment struct {
	BuildKitHost      string `env:"BUILDKIT_HOST"`       // buildkitd's address, unix://PATH
	OldBuildKitHost   string `env:"OLD_BUILDKIT_HOST"`   // the address of an older one, which cannot fetch image blobs itself
	Registry          string `env:"REGISTRY"`            // HOST:PORT of the registry, plain HTTP
	RegistryAccessLog string `env:"REGISTRY_ACCESS_LOG"` // its access log, combined log format
	Frontend          string `env:"FRONTEND"`            // reference of the frontend image in the registry
	Upstream          string `env:"UPSTREAM"`            // HOST:PORT of the stand-in for the public registries, plain HTTP
	UpstreamAccessLog string `env:"UPSTREAM_ACCESS_LOG"` // its access log, one upstream.Access per line
	Mirrors           string `env:"KUBEFILE_MIRRORS"`    // the frontend's build argument of this name: the stand-in for every registry
	DockerConfig      string `env:"DOCKER_CONFIG"`       // Docker's configuration directory, with buildx as a plugin
	BuildxBuilder     string `env:"BUILDX_BUILDER"`      // the buildx builder that uses BuildKitHost
	OldBuildxBuilder  string `env:"OLD_BUILDX_BUILDER"`  // the one that uses OldBuildKitHost
	Bin               string `env:"LAB_BIN"`             // directory of the compiled tools
}

// ErrDown is returned by Read when no lab is up.
var ErrDown = errors.New("the lab is not up; run: make up")

// Read reads the file in the output directory out. If the file lacks a line, it returns the other variables with an error.
func Read(out string) (*Environment, error) {
	name := filepath.Join(out, File)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrDown
	}
	if err != nil {
		return nil, err
	}
	values := make(map[string]string)
	for line := range strings.Lines(string(data)) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok {
			return nil, fmt.Errorf("%s: %q is not NAME=VALUE", name, line)
		}
		values[key] = value
	}
	e := new(Environment)
	for key, field := range e.fields() {
		value, ok := values[key]
		if !ok {
			err = fmt.Errorf("%s has no %s; run: make up", name, key)
		}
		field.SetString(value)
	}
	return e, err
}

// Write writes the file in one step.
func (e *Environment) Write(out string) error {
	name := filepath.Join(out, File)
	if err := os.WriteFile(name+".new", []byte(strings.Join(e.Lines(), "\n")+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// Lines returns NAME=VALUE for every field, as a process takes its environment.
func (e *Environment) Lines() []string {
	var lines []string
	for key, field := range e.fields() {
		lines = append(lines, key+"="+field.String())
	}
	return lines
}

// fields yields every field under its name in the file, in the order of the struct.
func (e *Environment) fields() iter.Seq2[string, reflect.Value] {
	return func(yield func(string, reflect.Value) bool) {
		v := reflect.ValueOf(e).Elem()
		for i := range v.NumField() {
			if !yield(v.Type().Field(i).Tag.Get("env"), v.Field(i)) {
				return
			}
		}
	}
}
