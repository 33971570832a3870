// Package kubeadm makes the configuration files that kubeadm is run with: what the site decides, over what the Clusterfile says, over
// what the image says, over what kubeadm itself takes.
package kubeadm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Documents are those of kubeadm, the kubelet and kube-proxy by kind. kubeadm's are in the form of v1beta4, whatever they came in.
type Documents map[string]map[string]any

// CRISocket is containerd's socket on every host.
const CRISocket = "unix:///run/containerd/containerd.sock"

const (
	group    = "kubeadm.k8s.io"
	v1beta2  = group + "/v1beta2" // Kubernetes 1.15 to 1.21
	v1beta3  = group + "/v1beta3" // Kubernetes 1.22 to 1.30
	v1beta4  = group + "/v1beta4" // Kubernetes 1.31 and newer
	maxBytes = 4 << 20

	kindCluster = "ClusterConfiguration"
	kindInit    = "InitConfiguration"
	kindJoin    = "JoinConfiguration"
	kindKubelet = "KubeletConfiguration"
	kindProxy   = "KubeProxyConfiguration"
)

// versions are those in which a kind may come.
var versions = map[string][]string{
	kindCluster: {v1beta2, v1beta3, v1beta4},
	kindInit:    {v1beta2, v1beta3, v1beta4},
	kindJoin:    {v1beta2, v1beta3, v1beta4},
	kindKubelet: {"kubelet.config.k8s.io/v1beta1"},
	kindProxy:   {"kubeproxy.config.k8s.io/v1alpha1"},
}

// unused are kinds of kubeadm that have nothing to say to a new cluster. A configuration that serves other purposes, too, may have them.
var unused = []string{"ResetConfiguration", "UpgradeConfiguration"}

// Parse reads YAML documents. It refuses kinds and versions that it does not know, and a kind that stands twice, with the line.
func Parse(data []byte) (Documents, error) {
	if len(data) > maxBytes {
		return nil, fmt.Errorf("%d bytes are more than %d", len(data), maxBytes)
	}
	documents := Documents{}
	seen := map[string]bool{}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, err
		}
		if err := documents.add(&node, seen); err != nil {
			return nil, fmt.Errorf("line %d: %w", first(&node).Line, err)
		}
	}
}

// first is the content of a document.
func first(node *yaml.Node) *yaml.Node {
	if len(node.Content) > 0 {
		return node.Content[0]
	}
	return node
}

func (d Documents) add(node *yaml.Node, seen map[string]bool) error {
	var document map[string]any
	if err := node.Decode(&document); err != nil {
		return err
	}
	if document == nil {
		return nil
	}
	kind, _ := document["kind"].(string)
	version, _ := document["apiVersion"].(string)
	known := versions[kind]
	switch {
	case slices.Contains(unused, kind):
		return nil
	case kind == "":
		return errors.New("a document without kind")
	case known == nil:
		return fmt.Errorf("no kind %s: there are %s", kind, strings.Join(slices.Sorted(maps.Keys(versions)), ", "))
	case !slices.Contains(known, version):
		return fmt.Errorf("%s of apiVersion %q: there are %s", kind, version, strings.Join(known, ", "))
	case seen[kind]:
		return fmt.Errorf("a second document of kind %s", kind)
	}
	seen[kind] = true
	if err := d.modern(kind, document, version); err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	d[kind] = over(document, d[kind])
	return nil
}

// Old are the documents that say what the first form of a Cluster does: network.podCIDR, network.svcCIDR and certSANS. It is nil for
// nothing.
func Old(podCIDR, svcCIDR string, certSANs []string) Documents {
	cluster := map[string]any{}
	if podCIDR != "" {
		child(cluster, "networking")["podSubnet"] = podCIDR
	}
	if svcCIDR != "" {
		child(cluster, "networking")["serviceSubnet"] = svcCIDR
	}
	if len(certSANs) > 0 {
		child(cluster, "apiServer")["certSANs"] = anys(certSANs)
	}
	if len(cluster) == 0 {
		return nil
	}
	cluster["apiVersion"], cluster["kind"] = v1beta4, kindCluster
	return Documents{kindCluster: cluster}
}

// Over returns d over base, neither of which is changed: maps key by key, everything else whole, even what is false, 0 or empty. Lists
// are replaced, but for certSANs, which are united, and for lists of things with names, which are merged by name.
func (d Documents) Over(base Documents) Documents {
	merged := Documents{}
	for _, set := range []Documents{base, d} {
		for kind, document := range set {
			merged[kind] = over(document, merged[kind])
		}
	}
	return merged
}

// over returns a new map of above over below.
func over(above, below map[string]any) map[string]any {
	merged := make(map[string]any, len(below)+len(above))
	for key, value := range below {
		merged[key] = clone(value)
	}
	for key, value := range above {
		merged[key] = overValue(key, value, merged[key])
	}
	return merged
}

func overValue(key string, above, below any) any {
	switch value := above.(type) {
	case map[string]any:
		under, _ := below.(map[string]any)
		return over(value, under)
	case []any:
		under, _ := below.([]any)
		switch key {
		case "certSANs":
			return unite(under, value)
		case "extraArgs", "kubeletExtraArgs", "extraVolumes", "extraEnvs":
			return byName(value, under)
		}
	}
	return clone(above)
}

// clone copies maps and lists.
func clone(value any) any {
	switch v := value.(type) {
	case map[string]any:
		return over(v, nil)
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = clone(item)
		}
		return list
	}
	return value
}

// unite appends what is not there.
func unite(below, above []any) []any {
	united := slices.Clone(below)
	for _, value := range above {
		if !slices.ContainsFunc(united, func(there any) bool { return fmt.Sprint(there) == fmt.Sprint(value) }) {
			united = append(united, value)
		}
	}
	return united
}

// byName is below without the items whose names above has, and above. A name may stand several times: an argument that is repeated.
func byName(above, below []any) []any {
	names := map[any]bool{}
	for _, item := range above {
		names[name(item)] = true
	}
	kept := slices.DeleteFunc(slices.Clone(below), func(item any) bool { return names[name(item)] })
	for _, item := range above {
		kept = append(kept, clone(item))
	}
	return kept
}

func name(item any) string {
	m, _ := item.(map[string]any)
	text, _ := m["name"].(string)
	return text
}

// child returns the map at a key, which it makes if there is none.
func child(parent map[string]any, key string) map[string]any {
	if m, ok := parent[key].(map[string]any); ok {
		return m
	}
	m := map[string]any{}
	parent[key] = m
	return m
}

// at returns what is at a path of keys, or nil.
func at(value any, path ...string) any {
	for _, key := range path {
		m, _ := value.(map[string]any)
		value = m[key]
	}
	return value
}

func anys(texts []string) []any {
	list := make([]any, len(texts))
	for i, text := range texts {
		list[i] = text
	}
	return list
}
