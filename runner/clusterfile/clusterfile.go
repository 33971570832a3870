// Package clusterfile reads Clusterfiles: what one site makes of a cluster image. Every historical spelling is read; what is in none of
// them is an error with file, line and column.
package clusterfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	format "github.com/kubefile/kubefile/imagespec/clusterfile"
	"github.com/kubefile/kubefile/runner/config"
	"github.com/kubefile/kubefile/runner/inputfile"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/plugin"
)

// maxSize bounds all files together, in bytes.
const maxSize = 4 << 20

// Clusterfile is what all documents say together.
type Clusterfile struct {
	Cluster *Cluster // nil when no document is one
	Configs []config.Config
	Plugins []plugin.Plugin
	// Kubeadm are the documents for kubeadm, the kubelet and kube-proxy, with what the old form of Cluster says of the network.
	Kubeadm  kubeadm.Documents
	Warnings []string

	places map[string]string // of fields of Kubeadm: "ClusterConfiguration.networking" is at "Clusterfile:12:3"
}

// Read reads files, directories of files (*.yaml, *.yml and Clusterfile, by name) and, for "-", the standard input.
func Read(stdin io.Reader, names ...string) (*Clusterfile, error) {
	var sources []source
	total := 0
	for _, name := range names {
		files, err := expand(name)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			data, err := readFile(stdin, file)
			if err != nil {
				return nil, err
			}
			if total += len(data); total > maxSize {
				return nil, fmt.Errorf("reading %s: the Clusterfiles are larger than %d bytes", file, maxSize)
			}
			sources = append(sources, source{file, data})
		}
	}
	return parse(sources)
}

// Parse reads one file's content; name is for messages.
func Parse(name string, data []byte) (*Clusterfile, error) {
	if len(data) > maxSize {
		return nil, fmt.Errorf("reading %s: it is larger than %d bytes", name, maxSize)
	}
	return parse([]source{{name, data}})
}

type source struct {
	name string
	data []byte
}

// expand lists the files of a directory.
func expand(name string) ([]string, error) {
	if name == "-" {
		return []string{name}, nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("reading the Clusterfile: %w", err)
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, fmt.Errorf("reading the Clusterfiles of %s: %w", name, err)
	}
	var files []string
	for _, entry := range entries {
		known := slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(entry.Name())) || entry.Name() == "Clusterfile"
		if known && !entry.IsDir() {
			files = append(files, filepath.Join(name, entry.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("reading the Clusterfiles of %s: no *.yaml, *.yml or Clusterfile is in it", name)
	}
	return files, nil
}

func readFile(stdin io.Reader, name string) ([]byte, error) {
	if name != "-" {
		f, err := inputfile.Open(name)
		if errors.Is(err, inputfile.ErrNotRegular) {
			return nil, fmt.Errorf("reading the Clusterfile: %w; give a file, or - for the standard input", err)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the Clusterfile: %w", err)
		}
		defer f.Close()
		stdin = f
	}
	data, err := io.ReadAll(io.LimitReader(stdin, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return data, nil
}

// parse reads all documents, and returns all that is wrong with any of them.
func parse(sources []source) (*Clusterfile, error) {
	r := &reader{out: &Clusterfile{places: map[string]string{}}}
	var failed []error
	for _, s := range sources {
		documents, err := format.Parse(s.name, s.data)
		failed = append(failed, err)
		for _, d := range documents {
			failed = append(failed, r.document(d))
		}
	}
	failed = append(failed, r.finish(errors.Join(failed...) == nil))
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	return r.out, nil
}

// document takes in one document.
func (r *reader) document(d *format.Document) error {
	if kind := d.Field("kind"); kind != nil && kubeadm.HasKind(kind.Value) {
		return r.kubeadmDocument(d, kind.Value) // the kind decides: old documents have no apiVersion
	}
	kind, apiVersion, err := d.Kind()
	if err != nil {
		return err
	}
	group, _, _ := strings.Cut(apiVersion.Value, "/")
	if strings.HasSuffix(group, ".k8s.io") {
		return r.kubeadmDocument(d, kind.Value)
	}
	read, known := map[string]func(*format.Document) error{
		"Cluster": r.cluster, "Config": r.config, "Plugin": r.plugin, "Application": r.application,
	}[kind.Value]
	switch {
	case kind.Value == "KubeadmConfig":
		return fmt.Errorf("%s: no kind KubeadmConfig: write documents of kind %s", d.At(kind), strings.Join(kubeadm.Kinds(), ", "))
	case !known:
		return fmt.Errorf("%s: no kind %q%s", d.At(kind), kind.Value, format.Suggest(kind.Value, append(format.Kinds(), kubeadm.Kinds()...)))
	case !slices.Contains(format.APIVersions(), apiVersion.Value):
		return fmt.Errorf("%s: no apiVersion %q for %s: write sealer.io/v2", d.At(apiVersion), apiVersion.Value, kind.Value)
	}
	return read(d)
}
