package kubeadm

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/imagespec/clusterfile"
	"github.com/kubefile/kubefile/runner/kubeadm/schema"
)

// Documents are kubeadm, kubelet and kube-proxy documents by kind, kubeadm's in the form of v1beta4, each with its kind and apiVersion.
// Extra arguments are always lists of name and value. Nothing in them is null.
type Documents map[string]map[string]any

// The kinds of documents.
const (
	ClusterKind = "ClusterConfiguration"
	InitKind    = "InitConfiguration"
	JoinKind    = "JoinConfiguration"
	KubeletKind = "KubeletConfiguration"
	ProxyKind   = "KubeProxyConfiguration"
)

// kubeadmFields are the fields of one of kubeadm's own documents; nil for those of others.
func kubeadmFields(kind string) schema.Fields {
	switch kind {
	case ClusterKind:
		return schema.ClusterFields()
	case InitKind:
		return schema.InitFields()
	case JoinKind:
		return schema.JoinFields()
	}
	return nil
}

// newest is the v1betaN in the form of which documents are kept.
const newest = 4

// versions are the apiVersions of each kind, with their N in v1betaN for kubeadm's.
func versions(kind string) map[string]int {
	switch kind {
	case ClusterKind, InitKind, JoinKind, "ResetConfiguration", "UpgradeConfiguration":
		return map[string]int{schema.APIVersion(2): 2, schema.APIVersion(3): 3, schema.APIVersion(4): 4}
	case KubeletKind:
		return map[string]int{"kubelet.config.k8s.io/v1beta1": newest}
	case ProxyKind:
		return map[string]int{"kubeproxy.config.k8s.io/v1alpha1": newest}
	}
	return nil
}

// Kinds are the kinds that [Parse] keeps, in the order in which they are written.
func Kinds() []string { return []string{ClusterKind, InitKind, JoinKind, ProxyKind, KubeletKind} }

// HasKind reports whether a document of this kind is for kubeadm, the kubelet or kube-proxy.
func HasKind(kind string) bool { return versions(kind) != nil }

// Parse reads the documents of a YAML stream, which may be empty. kubeadm's may be of v1beta2, v1beta3 or v1beta4 and are brought to v1beta4.
// A document without apiVersion may have the fields of any of them;
// what the configuration of a cluster has no place for, ResetConfiguration and UpgradeConfiguration, is left out. Fields of kubeadm's
// documents that their version does not have are errors, because kubeadm itself only warns of them. A null is as if it were not
// written. Errors name the line.
func Parse(data []byte) (Documents, error) {
	if len(data) > schema.MaxBytes {
		return nil, fmt.Errorf("kubeadm configuration of more than %d bytes", schema.MaxBytes)
	}
	documents, lines := Documents{}, map[string]int{}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var node yaml.Node
		if err := decoder.Decode(&node); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, clusterfile.Explain(err)
		}
		if len(node.Content) == 0 || schema.IsNull(node.Content[0]) {
			continue
		}
		root := node.Content[0]
		kind, document, err := read(root)
		if err != nil {
			return nil, err
		}
		if line := lines[kind]; line != 0 {
			return nil, fmt.Errorf("line %d: a second document of kind %s: the first is in line %d", root.Line, kind, line)
		}
		lines[kind] = root.Line
		if slices.Contains(Kinds(), kind) {
			documents[kind] = document
		}
	}
	for _, kind := range Kinds() {
		if err := documents.upgrade(kind); err != nil {
			return nil, fmt.Errorf("line %d: %w", lines[kind], err)
		}
	}
	return documents, nil
}

// read reads one document, in the form of its own version.
func read(root *yaml.Node) (kind string, document map[string]any, err error) {
	if err := schema.CheckBounds(root); err != nil {
		return "", nil, err
	}
	var head struct {
		Kind       string `yaml:"kind"`
		APIVersion string `yaml:"apiVersion"`
	}
	if root.Kind != yaml.MappingNode {
		return "", nil, fmt.Errorf("line %d: a document of kubeadm is a mapping", root.Line)
	}
	if err := root.Decode(&head); err != nil {
		return "", nil, clusterfile.Explain(err)
	}
	if head.Kind == "" {
		return "", nil, fmt.Errorf("line %d: a document without kind", root.Line)
	}
	known := versions(head.Kind)
	if known == nil {
		return "", nil, fmt.Errorf("line %d: unknown kind %q: there are %s", root.Line, head.Kind, strings.Join(Kinds(), ", "))
	}
	n, ok := known[head.APIVersion]
	if !ok && head.APIVersion != "" {
		return "", nil, fmt.Errorf("line %d: %s has the apiVersion %q: write %s", root.Line, head.Kind, head.APIVersion, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	if err := schema.Prepare(root, n, kubeadmFields(head.Kind)); err != nil {
		return "", nil, err
	}
	if err := root.Decode(&document); err != nil {
		return "", nil, clusterfile.Explain(err)
	}
	prune(document)
	document["apiVersion"] = cmp.Or(head.APIVersion, slices.Max(slices.Collect(maps.Keys(known))))
	return head.Kind, document, nil
}

// prune takes the nulls out of mappings, as if they were not written: an empty section leaves what is below it.
func prune(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if value == nil {
				delete(v, key)
			}
			prune(value)
		}
	case []any:
		for _, value := range v {
			prune(value)
		}
	}
}

// Old returns the documents for network.podCIDR, network.svcCIDR and certSANS of the first generations of Clusterfiles, nil when all are
// empty.
func Old(podCIDR, svcCIDR string, certSANs []string) Documents {
	cluster, networking := map[string]any{}, map[string]any{}
	for key, value := range map[string]string{"podSubnet": podCIDR, "serviceSubnet": svcCIDR} {
		if value != "" {
			networking[key] = value
			cluster["networking"] = networking
		}
	}
	if len(certSANs) > 0 {
		cluster["apiServer"] = map[string]any{"certSANs": Unite(nil, certSANs)}
	}
	if len(cluster) == 0 {
		return nil
	}
	d := Documents{}
	d.set(ClusterKind, cluster)
	return d
}

// get returns the document of a kind, made if it is not there.
func (d Documents) get(kind string) map[string]any {
	if d[kind] == nil {
		d.set(kind, map[string]any{})
	}
	return d[kind]
}

// set puts a document of kubeadm's own in its place.
func (d Documents) set(kind string, document map[string]any) {
	document["apiVersion"], document["kind"] = schema.APIVersion(newest), kind
	d[kind] = document
}

// at returns the value at a path, nil if there is none.
func (d Documents) at(kind string, path ...string) any {
	var v any = d[kind]
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

// YAML writes the documents, in the order of [Kinds].
func (d Documents) YAML() ([]byte, error) {
	if len(d) == 0 {
		return nil, nil
	}
	var buf bytes.Buffer
	encoder := yaml.NewEncoder(&buf)
	encoder.SetIndent(2)
	for _, kind := range Kinds() {
		if d[kind] == nil {
			continue
		}
		if err := encoder.Encode(d[kind]); err != nil {
			return nil, fmt.Errorf("writing %s: %w", kind, err)
		}
	}
	if err := encoder.Close(); err != nil {
		return nil, fmt.Errorf("writing kubeadm's configuration: %w", err)
	}
	return buf.Bytes(), nil
}
