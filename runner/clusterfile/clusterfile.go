// Package clusterfile reads Clusterfiles: what one site makes of a cluster image. Every historical spelling is read; what is in none of
// them is an error with file, line and column.
package clusterfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/runner/config"
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
		f, err := os.Open(name)
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
	r := &reader{out: &Clusterfile{}, kubeadm: map[string]string{}}
	var failed []error
	for _, s := range sources {
		for _, text := range split(s.data) {
			if err := r.document(s.name, text); err != nil {
				failed = append(failed, err)
			}
		}
	}
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	return r.finish()
}

// split separates the documents of a file. Each is returned with an empty line for every line before it, so that all lines in messages
// are the file's. A line that begins with --- ends a document wherever it stands (YAML 1.2.2, section 9.1.2).
func split(data []byte) [][]byte {
	var documents [][]byte
	var current []byte
	lines := 0
	for line := range bytes.Lines(data) {
		lines++
		if rest, ok := bytes.CutPrefix(line, []byte("---")); ok && (len(bytes.TrimSpace(rest)) == 0 || rest[0] == ' ' || rest[0] == '\t') {
			documents = append(documents, current)
			current = bytes.Repeat([]byte("\n"), lines-1)
			line = append([]byte("   "), rest...)
		}
		current = append(current, line...)
	}
	return append(documents, current)
}

// groups and versions are those of every generation. They do not decide how a document is read; its kind and shape do.
var (
	groups   = []string{"sealer.io", "sealer.cloud", "sealer.aliyun.com", "zlink.aliyun.com"}
	versions = []string{"v2", "v1", "v1alpha1", "v2alpha1"}
)

// document takes in one document.
func (r *reader) document(file string, text []byte) error {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if len(root.Content) == 0 || root.Content[0].Tag == "!!null" {
		return nil
	}
	d := &document{file: file, root: root.Content[0], text: text}
	kind, apiVersion := field(d.root, "kind"), field(d.root, "apiVersion")
	if kind == nil || apiVersion == nil {
		return fmt.Errorf("%s: a document needs apiVersion and kind, as in apiVersion: sealer.io/v2, kind: Cluster", d.at(d.root))
	}
	group, version, _ := strings.Cut(apiVersion.Value, "/")
	if strings.HasSuffix(group, ".k8s.io") {
		return r.kubeadmDocument(d, kind.Value)
	}
	read, known := map[string]func(*document) error{
		"Cluster": r.cluster, "Config": r.config, "Plugin": r.plugin, "Application": r.application,
	}[kind.Value]
	switch {
	case !known:
		return fmt.Errorf("%s: no kind %s%s", d.at(kind), kind.Value, Suggest(kind.Value, []string{"Cluster", "Config", "Plugin",
			"Application", "ClusterConfiguration", "InitConfiguration", "JoinConfiguration", "KubeletConfiguration", "KubeProxyConfiguration"}))
	case !slices.Contains(groups, group) || !slices.Contains(versions, version):
		return fmt.Errorf("%s: no apiVersion %s for %s: write sealer.io/v2", d.at(apiVersion), apiVersion.Value, kind.Value)
	}
	return read(d)
}

// field is the value of a map's key, or nil.
func field(node *yaml.Node, path ...string) *yaml.Node {
	for _, name := range path {
		if node == nil || node.Kind != yaml.MappingNode {
			return nil
		}
		var found *yaml.Node
		for i := 0; i < len(node.Content); i += 2 {
			if node.Content[i].Value == name {
				found = node.Content[i+1]
			}
		}
		node = found
	}
	return node
}
