// Package config is what a document of kind Config does to a file of the rootfs: it replaces the file, or is merged into it. It
// is data in, data out: nothing here reads or writes a file.
package config

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubefile/kubefile/imagespec"
)

// MaxSize bounds data, and files before and after, in bytes.
const MaxSize = 16 << 20

// Config is one document.
type Config struct {
	Name string // of the document; of the Secret that toSecret makes
	Path string // of the file, relative to the rootfs, or to the application's directory
	Data string // text; YAML where it is merged or processed
	// Strategy is overwrite, which is the default: the data is the file; or merge: a deep merge of the data into the YAML or JSON that is
	// there. Upper and lower case are the same.
	Strategy string
	// Process is what is done with the data first, each once, in this order, in upper or lower case: value, so that the next two are done
	// to each top-level value instead of the whole; toJson; toBase64; toSecret, so that the values, which are base64 by then, are put into
	// the data of the Secret manifest that is there, whatever the strategy, or of a new one.
	Process []string
	App     string // the application that Path is of, if any
	Where   string // "Clusterfile:12", for messages
}

func (c Config) String() string {
	if c.Where == "" {
		return fmt.Sprintf("Config %q", c.Name)
	}
	return fmt.Sprintf("%s: Config %q", c.Where, c.Name)
}

// Check finds what can be found without the file: errors begin with Where.
func (c Config) Check() error {
	if err := c.check(); err != nil {
		return fmt.Errorf("%s: %w", c, err)
	}
	return nil
}

// File is the path of the file in the rootfs.
func (c Config) File() string {
	if c.App != "" {
		return path.Join(imagespec.ApplicationsDir, c.App, c.Path)
	}
	return path.Clean(c.Path)
}

// Secret reports whether the file becomes a manifest of a Secret.
func (c Config) Secret() bool {
	p, err := parseProcess(c.Process)
	return err == nil && p.secret
}

// Apply returns the file as the Config wants it. old is nil when there is none; then data is not merged into anything. Applying it again
// changes nothing. In YAML that is merged, documents that change are encoded again: comments, the order of keys and quotes stay, empty
// lines go, and aliases are written out. Errors begin with Where, and name the file.
func (c Config) Apply(old []byte) ([]byte, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	result, err := c.apply(old)
	if err == nil && len(result) > MaxSize {
		err = errTooLarge
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", c, c.File(), err)
	}
	return result, nil
}

var errTooLarge = fmt.Errorf("more than %d MiB", MaxSize>>20)

func (c Config) apply(old []byte) ([]byte, error) {
	p, err := parseProcess(c.Process)
	if err != nil {
		return nil, err
	}
	data, err := p.run(c.Data)
	if err != nil {
		return nil, err
	}
	if len(old) > MaxSize {
		return nil, errTooLarge
	}
	switch {
	case p.secret:
		return c.secret(old, data)
	case c.merges():
		return c.merge(old, data)
	}
	return []byte(data), nil
}

func (c Config) merges() bool { return strings.EqualFold(c.Strategy, "merge") }

func (c Config) check() error {
	if err := c.checkPath(); err != nil {
		return err
	}
	if c.Strategy != "" && !strings.EqualFold(c.Strategy, "overwrite") && !c.merges() {
		return fmt.Errorf("strategy %q: there are overwrite and merge", c.Strategy)
	}
	if len(c.Data) > MaxSize {
		return fmt.Errorf("data: %w", errTooLarge)
	}
	p, err := parseProcess(c.Process)
	if err != nil {
		return fmt.Errorf("process: %w", err)
	}
	if c.merges() && p.base64 && !p.value {
		return errors.New("process: base64 cannot be merged: put value before toBase64, or use the strategy overwrite")
	}
	data, err := p.run(c.Data)
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	if p.secret {
		if problems := validation.IsDNS1123Subdomain(c.Name); len(problems) > 0 {
			return fmt.Errorf("process: toSecret names a Secret after the Config, and %q cannot name one: %s", c.Name, strings.Join(problems, ", "))
		}
		if _, err = secretData(data); err != nil {
			return fmt.Errorf("data: %w", err)
		}
	} else if c.merges() {
		if _, err := c.patches(data); err != nil {
			return fmt.Errorf("data: %w", err)
		}
	}
	return nil
}

func (c Config) checkPath() error {
	if c.App != "" {
		if err := imagespec.CheckAppName(c.App); err != nil {
			return fmt.Errorf("appName: %w", err)
		}
	}
	if c.Path == "" {
		return errors.New("path is empty: set the file of the rootfs to change, such as etc/values.yaml")
	}
	name, err := imagespec.SafePath(c.Path)
	if err != nil || name == "." || strings.HasSuffix(c.Path, "/") {
		return fmt.Errorf("path %q is not the relative path of a file in the rootfs, such as etc/values.yaml", c.Path)
	}
	if own := path.Dir(imagespec.RunnerPath); strings.HasPrefix(c.File()+"/", own+"/") {
		return fmt.Errorf("path %q: %s is not for configuration", c.Path, own)
	}
	return nil
}
