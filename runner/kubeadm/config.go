// Package kubeadm makes the configuration files that kubeadm is run with: what the site needs, over what the image says, over what kubeadm
// itself takes.
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

// Group and versions of kubeadm's own documents (kubeadm.k8s.io/v1beta4, Kubernetes 1.31 and newer).
const apiVersion = "kubeadm.k8s.io/v1beta4"

// CRISocket is containerd's socket on every host.
const CRISocket = "unix:///run/containerd/containerd.sock"

// Init is what the site decides about the first control plane.
type Init struct {
	KubernetesVersion string   // "v1.34.4"
	Endpoint          string   // host:port by which every host reaches the API
	AdvertiseAddress  string   // of this control plane
	NodeName          string   // of this host
	CertSANs          []string // united with the image's
}

// InitConfig returns the documents for `kubeadm init --config`: those of the image (etc/kubeadm.yml, may be empty) with the site's
// values over them.
func InitConfig(image []byte, site Init) ([]byte, error) {
	documents, err := parse(image)
	if err != nil {
		return nil, fmt.Errorf("etc/kubeadm.yml of the image: %w", err)
	}
	for _, kind := range []string{"JoinConfiguration", "ResetConfiguration", "UpgradeConfiguration"} {
		delete(documents, kind)
	}
	cluster := documents.get("ClusterConfiguration")
	merge(cluster, map[string]any{
		"apiVersion":           apiVersion,
		"kind":                 "ClusterConfiguration",
		"kubernetesVersion":    site.KubernetesVersion,
		"controlPlaneEndpoint": site.Endpoint,
	})
	apiServer := child(cluster, "apiServer")
	apiServer["certSANs"] = unite(apiServer["certSANs"], site.CertSANs)
	merge(documents.get("InitConfiguration"), map[string]any{
		"apiVersion":       apiVersion,
		"kind":             "InitConfiguration",
		"nodeRegistration": map[string]any{"name": site.NodeName, "criSocket": CRISocket},
	})
	// Whole: the endpoint's port is kubeadm's default.
	documents["InitConfiguration"]["localAPIEndpoint"] = map[string]any{"advertiseAddress": site.AdvertiseAddress}
	return documents.encode()
}

// Join is what a host needs to join a cluster.
type Join struct {
	Endpoint string // host:port of the API
	NodeName string
	Token    string // a bootstrap token: a secret
	CAHash   string // "sha256:…" of the cluster CA's public key
}

// JoinConfig returns the document for `kubeadm join --config`. nodeRegistration of the image's JoinConfiguration is kept. The result holds
// the token and is a secret.
func JoinConfig(image []byte, site Join) ([]byte, error) {
	documents, err := parse(image)
	if err != nil {
		return nil, fmt.Errorf("etc/kubeadm.yml of the image: %w", err)
	}
	join := documents.get("JoinConfiguration")
	merge(join, map[string]any{
		"apiVersion":       apiVersion,
		"kind":             "JoinConfiguration",
		"nodeRegistration": map[string]any{"name": site.NodeName, "criSocket": CRISocket},
	})
	// Whole: nothing that the image says here may weaken it.
	join["discovery"] = map[string]any{"bootstrapToken": map[string]any{
		"apiServerEndpoint": site.Endpoint,
		"token":             site.Token,
		"caCertHashes":      []any{site.CAHash},
	}}
	return byKind{"JoinConfiguration": join}.encode()
}

// byKind holds one document per kind.
type byKind map[string]map[string]any

func (k byKind) get(kind string) map[string]any {
	if k[kind] == nil {
		k[kind] = map[string]any{}
	}
	return k[kind]
}

func parse(data []byte) (byKind, error) {
	documents := byKind{}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var document map[string]any
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, err
		}
		if document == nil {
			continue
		}
		kind, _ := document["kind"].(string)
		if kind == "" {
			return nil, errors.New("a document without kind")
		}
		if version, _ := document["apiVersion"].(string); strings.HasPrefix(version, "kubeadm.k8s.io/") && version != apiVersion {
			return nil, fmt.Errorf("%s is of %s: write it as %s", kind, version, apiVersion)
		}
		if documents[kind] != nil {
			return nil, fmt.Errorf("two documents of kind %s", kind)
		}
		documents[kind] = document
	}
}

// encode writes the documents in the order of their kinds.
func (k byKind) encode() ([]byte, error) {
	var buf bytes.Buffer
	encoder := yaml.NewEncoder(&buf)
	encoder.SetIndent(2)
	for _, kind := range slices.Sorted(maps.Keys(k)) {
		if err := encoder.Encode(k[kind]); err != nil {
			return nil, fmt.Errorf("writing %s: %w", kind, err)
		}
	}
	if err := encoder.Close(); err != nil {
		return nil, fmt.Errorf("writing kubeadm's configuration: %w", err)
	}
	return buf.Bytes(), nil
}

// merge puts over into base: maps key by key, everything else whole.
func merge(base, over map[string]any) {
	for key, value := range over {
		below, belowIsMap := base[key].(map[string]any)
		above, aboveIsMap := value.(map[string]any)
		if belowIsMap && aboveIsMap {
			merge(below, above)
			continue
		}
		base[key] = value
	}
}

func child(parent map[string]any, key string) map[string]any {
	if m, ok := parent[key].(map[string]any); ok {
		return m
	}
	m := map[string]any{}
	parent[key] = m
	return m
}

func unite(below any, above []string) []any {
	united, _ := below.([]any)
	for _, value := range above {
		if !slices.Contains(united, any(value)) {
			united = append(united, value)
		}
	}
	return united
}
