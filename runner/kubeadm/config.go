package kubeadm

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Init is what the site decides about the first control plane.
type Init struct {
	KubernetesVersion string   // "v1.34.4"
	Endpoint          string   // host:port by which every host reaches the API
	AdvertiseAddress  string   // of this control plane
	NodeName          string   // of this host
	CertSANs          []string // united with those of the documents
	// CertificateKey encrypts the certificates that `kubeadm init phase upload-certs` uploads; empty for none. It is a secret.
	CertificateKey string
}

// InitConfig returns the documents for `kubeadm init --config`, with the site's values over them, in the version that the kubeadm of the
// Kubernetes version takes.
func InitConfig(d Documents, site Init) ([]byte, error) {
	version, err := versionFor(site.KubernetesVersion)
	if err != nil {
		return nil, err
	}
	d = d.Over(nil)
	delete(d, kindJoin)
	d = Documents{
		kindCluster: {
			"apiVersion": v1beta4, "kind": kindCluster,
			"kubernetesVersion":    site.KubernetesVersion,
			"controlPlaneEndpoint": site.Endpoint,
			"apiServer":            map[string]any{"certSANs": anys(site.CertSANs)},
		},
		kindInit: {"apiVersion": v1beta4, "kind": kindInit},
	}.Over(d)
	initial := d[kindInit]
	register(initial, site.NodeName)
	initial["localAPIEndpoint"] = map[string]any{"advertiseAddress": site.AdvertiseAddress} // whole: the endpoint's port is kubeadm's default
	if site.CertificateKey != "" {
		initial["certificateKey"] = site.CertificateKey
	}
	return d.encode(version)
}

// Join is what a host needs to join a cluster.
type Join struct {
	KubernetesVersion string // "v1.34.4"
	Endpoint          string // host:port of the API
	NodeName          string
	Token             string        // a bootstrap token: a secret
	CAHash            string        // "sha256:…" of the cluster CA's public key
	ControlPlane      *ControlPlane // nil for a worker
}

// ControlPlane is what a host needs to join as one.
type ControlPlane struct {
	AdvertiseAddress string
	CertificateKey   string // with which the certificates were uploaded: a secret
}

// JoinConfig returns the document for `kubeadm join --config`. It holds the token and is a secret. A control plane that has no
// registration of its own in the documents has that of the first.
func JoinConfig(d Documents, site Join) ([]byte, error) {
	version, err := versionFor(site.KubernetesVersion)
	if err != nil {
		return nil, err
	}
	join := over(map[string]any{"apiVersion": v1beta4, "kind": kindJoin}, d[kindJoin])
	if site.ControlPlane == nil {
		delete(join, "controlPlane")
	} else {
		if join["nodeRegistration"] == nil && d[kindInit]["nodeRegistration"] != nil {
			join["nodeRegistration"] = clone(d[kindInit]["nodeRegistration"])
		}
		join["controlPlane"] = map[string]any{
			"localAPIEndpoint": map[string]any{"advertiseAddress": site.ControlPlane.AdvertiseAddress},
			"certificateKey":   site.ControlPlane.CertificateKey,
		}
	}
	register(join, site.NodeName)
	// Whole: nothing that the documents say here may weaken it.
	join["discovery"] = map[string]any{"bootstrapToken": map[string]any{
		"apiServerEndpoint": site.Endpoint,
		"token":             site.Token,
		"caCertHashes":      []any{site.CAHash},
	}}
	return Documents{kindJoin: join}.encode(version)
}

// register names the node. The name goes to the kubelet as an argument, so that it stays when the host is named otherwise one day.
func register(document map[string]any, node string) {
	registration := child(document, "nodeRegistration")
	registration["name"], registration["criSocket"] = node, CRISocket
	arguments, _ := registration["kubeletExtraArgs"].([]any)
	if !slices.ContainsFunc(arguments, func(item any) bool { return name(item) == "hostname-override" }) {
		arguments = append(arguments, map[string]any{"name": "hostname-override", "value": node})
	}
	registration["kubeletExtraArgs"] = arguments
}

// encode writes the documents in a version of kubeadm's, in the order of their kinds.
func (d Documents) encode(version string) ([]byte, error) {
	documents, err := d.as(version)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	encoder := yaml.NewEncoder(&buf)
	encoder.SetIndent(2)
	for _, kind := range slices.Sorted(maps.Keys(documents)) {
		err = errors.Join(err, encoder.Encode(documents[kind]))
	}
	if err := errors.Join(err, encoder.Close()); err != nil {
		return nil, fmt.Errorf("writing kubeadm's configuration: %w", err)
	}
	return buf.Bytes(), nil
}
