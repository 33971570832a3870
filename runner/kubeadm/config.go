// Package kubeadm makes the configuration files that kubeadm is run with: what the site needs, over what the Clusterfile and the image say,
// over what kubeadm itself takes.
package kubeadm

import "slices"

// CRISocket is containerd's socket on every host.
const CRISocket = "unix:///run/containerd/containerd.sock"

// exampleToken is the token that `kubeadm config print init-defaults` prints: everybody knows it.
const exampleToken = "abcdef.0123456789abcdef"

// Init is what the site decides about the first control plane.
type Init struct {
	KubernetesVersion string   // "v1.34.4"
	Endpoint          string   // host:port by which every host reaches the API
	AdvertiseAddress  string   // of this control plane
	NodeName          string   // of this host
	Kubelet           Kubelet  // of this host
	CertSANs          []string // united with the documents'
	CertificateKey    string   // a secret: encrypts the certificates that are uploaded; may be empty
}

// InitConfig returns the documents for `kubeadm init --config`, in the version that the kubeadm of site.KubernetesVersion takes: d with the
// site's values over it. With a CertificateKey the result is a secret.
func InitConfig(d Documents, site Init) ([]byte, error) {
	n, err := versionFor(site.KubernetesVersion)
	if err != nil {
		return nil, err
	}
	d = d.Over(nil)
	delete(d, JoinKind)
	merge(d.get(ClusterKind), map[string]any{
		"kubernetesVersion":    site.KubernetesVersion,
		"controlPlaneEndpoint": site.Endpoint,
	})
	apiServer := child(d[ClusterKind], "apiServer")
	below, _ := apiServer["certSANs"].([]any)
	apiServer["certSANs"] = Unite(below, site.CertSANs)

	initial := d.get(InitKind)
	register(d, initial, site.NodeName, site.Kubelet)
	// Whole: the endpoint's port is kubeadm's default.
	initial["localAPIEndpoint"] = map[string]any{"advertiseAddress": site.AdvertiseAddress}
	setOrDelete(initial, "certificateKey", site.CertificateKey)
	if tokens, ok := initial["bootstrapTokens"].([]any); ok {
		tokens = slices.DeleteFunc(tokens, func(token any) bool {
			m, _ := token.(map[string]any)
			return m["token"] == exampleToken
		})
		if initial["bootstrapTokens"] = tokens; len(tokens) == 0 {
			delete(initial, "bootstrapTokens")
		}
	}
	if d, err = d.downgraded(n); err != nil {
		return nil, err
	}
	return d.YAML()
}

// Join is what a host needs to join a cluster.
type Join struct {
	KubernetesVersion string // "v1.34.4"
	Endpoint          string // host:port of the API
	NodeName          string
	Kubelet           Kubelet
	Token             string        // a bootstrap token: a secret
	CAHash            string        // "sha256:…" of the cluster CA's public key
	ControlPlane      *ControlPlane // nil for a worker
}

// ControlPlane is what a host needs to join as a control plane.
type ControlPlane struct {
	AdvertiseAddress string
	CertificateKey   string // with which the certificates were uploaded: a secret
}

// JoinConfig returns the document for `kubeadm join --config`, in the version that the kubeadm of site.KubernetesVersion takes: the
// JoinConfiguration of d with the site's values over it. A control plane takes nodeRegistration of the InitConfiguration where
// the JoinConfiguration has none. The result holds the token and is a secret.
func JoinConfig(d Documents, site Join) ([]byte, error) {
	n, err := versionFor(site.KubernetesVersion)
	if err != nil {
		return nil, err
	}
	d = d.Over(nil)
	join := d.get(JoinKind)
	delete(join, "controlPlane")
	if c := site.ControlPlane; c != nil {
		if first := d.at(InitKind, "nodeRegistration"); first != nil && join["nodeRegistration"] == nil {
			join["nodeRegistration"] = first
		}
		// Whole, as below.
		join["controlPlane"] = map[string]any{
			"localAPIEndpoint": map[string]any{"advertiseAddress": c.AdvertiseAddress},
			"certificateKey":   c.CertificateKey,
		}
	}
	register(d, join, site.NodeName, site.Kubelet)
	// Whole: nothing that the documents say here may weaken it.
	join["discovery"] = map[string]any{"bootstrapToken": map[string]any{
		"apiServerEndpoint": site.Endpoint,
		"token":             site.Token,
		"caCertHashes":      []any{site.CAHash},
	}}
	if timeouts, ok := join["timeouts"].(map[string]any); ok && n < newest && timeouts[healthCheck] == d.at(InitKind, "timeouts", healthCheck) {
		delete(timeouts, healthCheck) // before v1beta4 it is the cluster's
	}
	if d, err = (Documents{JoinKind: join}).downgraded(n); err != nil {
		return nil, err
	}
	return d.YAML()
}

// Masked returns the documents with a placeholder for what lets others into the cluster: bootstrap tokens and the key of certificates.
func (d Documents) Masked(placeholder string) Documents {
	masked := d.Over(nil)
	for _, kind := range []string{InitKind, JoinKind} {
		if masked[kind]["certificateKey"] != nil {
			masked[kind]["certificateKey"] = placeholder
		}
		tokens, _ := masked[kind]["bootstrapTokens"].([]any)
		for _, token := range tokens {
			if m, ok := token.(map[string]any); ok && m["token"] != exampleToken {
				m["token"] = placeholder
			}
		}
	}
	return masked
}

// Kubelet is what the site decides about the kubelet of one host, where the documents do not.
type Kubelet struct {
	NodeIP     string // the addresses of the node: one, or one of each family
	ResolvConf string // the file from which pods have nameservers; empty: kubeadm's choice
}

// register writes the site's values into nodeRegistration of one of the documents. The kubelet gets its name as an argument, too, so that the
// host may be renamed.
func register(d Documents, document map[string]any, nodeName string, kubelet Kubelet) {
	registration := child(document, "nodeRegistration")
	registration["name"], registration["criSocket"] = nodeName, CRISocket
	if d.SetsResolvConf() {
		kubelet.ResolvConf = ""
	}
	arguments, _ := registration["kubeletExtraArgs"].([]any)
	for _, own := range []struct{ name, value string }{
		{"hostname-override", nodeName}, {"node-ip", kubelet.NodeIP}, {"resolv-conf", kubelet.ResolvConf},
	} {
		set := slices.ContainsFunc(arguments, func(a any) bool { return NameOf(a) == own.name })
		if own.value != "" && !set {
			arguments = append(arguments, map[string]any{"name": own.name, "value": own.value})
		}
	}
	if len(arguments) > 0 {
		registration["kubeletExtraArgs"] = arguments
	}
}

func setOrDelete(m map[string]any, key, value string) {
	if delete(m, key); value != "" {
		m[key] = value
	}
}
