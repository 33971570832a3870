package difference

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/kubeadm"
)

const madeWith = `apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
apiServer:
  certSANs: [b.example, a.example]
  extraArgs: [{name: profiling, value: "false"}, {name: oidc-client-secret, value: s3cret}]
  extraEnvs: [{name: HTTPS_PROXY, value: "http://user:s3cret@proxy.example:3128"}]
etcd: {local: {dataDir: /var/lib/etcd}}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
certificateKey: s3cret
bootstrapTokens: [{token: abcdef.s3cret0123456789}]
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery: {bootstrapToken: {token: abcdef.s3cret0123456789, apiServerEndpoint: "x:1", caCertHashes: [x]}}
nodeRegistration: {kubeletExtraArgs: [{name: v, value: "2"}]}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
maxPods: 110
staticPodURLHeader: {Authorization: [Bearer s3cret]}
evictionHard: {memory.available: 100Mi}
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
`

func parsed(t *testing.T, text string) kubeadm.Documents {
	t.Helper()
	d, err := kubeadm.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestChanges(t *testing.T) {
	// As it is read from a state.
	var stored kubeadm.Documents
	text, err := json.Marshal(Public(parsed(t, madeWith)))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &stored); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "s3cret") {
		t.Errorf("a secret is kept: %s", text)
	}
	for _, c := range []struct{ old, new, want string }{
		{"", "", ""},
		{"[b.example, a.example]", "[a.example, b.example]", ""},
		{"abcdef.s3cret0123456789}]", "abcdef.aaaaaa0123456789}]", ""},
		{"[b.example, a.example]", "[a.example]", `ClusterConfiguration.apiServer.certSANs: have ["a.example", "b.example"], want ["a.example"]`},
		{`value: "false"`, `value: "true"`, `ClusterConfiguration.apiServer.extraArgs[profiling]: have "false", want "true"`},
		{`{name: profiling, value: "false"}, `, ``, `ClusterConfiguration.apiServer.extraArgs[profiling]: have "false", want nothing`},
		{"value: s3cret", "value: s3cret2", "ClusterConfiguration.apiServer.extraArgs[oidc-client-secret]: have \"hidden:"},
		{"user:s3cret@", "user:s3cret2@", "ClusterConfiguration.apiServer.extraEnvs[HTTPS_PROXY]: have \"hidden:"},
		{"[Bearer s3cret]", "[Bearer s3cret2]", "KubeletConfiguration.staticPodURLHeader: have \"hidden:"},
		{"dataDir: /var/lib/etcd", "dataDir: /data/etcd", `ClusterConfiguration.etcd.local.dataDir: have "/var/lib/etcd", want "/data/etcd"`},
		{"maxPods: 110", "maxPods: 250", "KubeletConfiguration.maxPods: have 110, want 250"},
		{"100Mi", "200Mi", `KubeletConfiguration.evictionHard.memory.available: have "100Mi", want "200Mi"`},
		{"maxPods: 110", "maxPods: 110\nserializeImagePulls: false", "KubeletConfiguration.serializeImagePulls: have nothing, want false"},
		{"mode: iptables", "mode: nftables", `KubeProxyConfiguration.mode: have "iptables", want "nftables"`},
		{`name: v, value: "2"`, `name: v, value: "4"`, `JoinConfiguration.nodeRegistration.kubeletExtraArgs[v]: have "2", want "4"`},
	} {
		changes := Between(stored, Public(parsed(t, strings.Replace(madeWith, c.old, c.new, 1))))
		var got []string
		for _, change := range changes {
			got = append(got, change.String())
		}
		if text := strings.Join(got, "\n"); (text == "") != (c.want == "") || !strings.HasPrefix(text, c.want) || len(got) > 1 || strings.Contains(text, "s3cret") {
			t.Errorf("%s to %s: %s\nwant %s", c.old, c.new, text, c.want)
		}
	}
}

// TestHostsAreNoChange: what the site adds for a host is no change of the documents.
func TestHostsAreNoChange(t *testing.T) {
	const version, endpoint = "v1.34.4", "api:6443"
	kubelet := kubeadm.Kubelet{NodeIP: "10.0.0.1", ResolvConf: "/ours"}
	d := parsed(t, "")
	before := Public(d)
	if _, err := kubeadm.InitConfig(d, kubeadm.Init{KubernetesVersion: version, Endpoint: endpoint, AdvertiseAddress: "10.0.0.1", NodeName: "h1", Kubelet: kubelet}); err != nil {
		t.Fatal(err)
	}
	master := &kubeadm.ControlPlane{AdvertiseAddress: "10.0.0.1"}
	if _, err := kubeadm.JoinConfig(d, kubeadm.Join{KubernetesVersion: version, Endpoint: endpoint, NodeName: "h1", Kubelet: kubelet, ControlPlane: master}); err != nil {
		t.Fatal(err)
	}
	if changes := Between(before, Public(d)); len(changes) > 0 {
		t.Errorf("changes: %v", changes)
	}
}
