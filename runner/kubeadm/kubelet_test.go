package kubeadm

import (
	"strings"
	"testing"
)

// kubeletArguments are those that a kubelet is given by the documents of init and join.
func kubeletArguments(t *testing.T, d Documents, kubelet Kubelet, controlPlane *ControlPlane) (first, joined map[string]any) {
	t.Helper()
	initial, err := InitConfig(d, Init{KubernetesVersion: "v1.34.4", Endpoint: "api:6443", AdvertiseAddress: "10.0.0.1", NodeName: "h1", Kubelet: kubelet})
	if err != nil {
		t.Fatal(err)
	}
	join, err := JoinConfig(d, Join{KubernetesVersion: "v1.34.4", Endpoint: "api:6443", NodeName: "h1", Kubelet: kubelet, ControlPlane: controlPlane})
	if err != nil {
		t.Fatal(err)
	}
	of := func(text []byte, kind string) map[string]any {
		documents, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		arguments, _ := documents.at(kind, "nodeRegistration", "kubeletExtraArgs").([]any)
		values := map[string]any{}
		for _, argument := range arguments {
			values[NameOf(argument)] = argument.(map[string]any)["value"]
		}
		return values
	}
	return of(initial, InitKind), of(join, JoinKind)
}

func TestKubeletOfTheHost(t *testing.T) {
	const own = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: KIND\nnodeRegistration: {kubeletExtraArgs: [{name: node-ip, value: 10.9.9.9}, {name: resolv-conf, value: /own}]}\n"
	const file = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nresolvConf: /own\n"
	both := strings.ReplaceAll(own, "KIND", InitKind) + "---\n" + strings.ReplaceAll(own, "KIND", JoinKind)
	for _, tt := range []struct {
		name, documents    string
		kubelet            Kubelet
		nodeIP, resolvConf any
	}{
		{"nothing of the host", "", Kubelet{}, nil, nil},
		{"both", "", Kubelet{"10.0.0.1,fd77::1", "/ours"}, "10.0.0.1,fd77::1", "/ours"},
		{"the documents decide", both, Kubelet{"10.0.0.1", "/ours"}, "10.9.9.9", "/own"},
		{"the kubelet's configuration decides", file, Kubelet{"10.0.0.1", "/ours"}, "10.0.0.1", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := Parse([]byte(tt.documents))
			if err != nil {
				t.Fatal(err)
			}
			first, joined := kubeletArguments(t, d, tt.kubelet, nil)
			for kind, got := range map[string]map[string]any{"init": first, "join": joined} {
				if got["node-ip"] != tt.nodeIP || got["resolv-conf"] != tt.resolvConf {
					t.Errorf("%s: got %v, want node-ip %v and resolv-conf %v", kind, got, tt.nodeIP, tt.resolvConf)
				}
				if got["hostname-override"] != "h1" {
					t.Errorf("%s: hostname-override is %v, want h1", kind, got["hostname-override"])
				}
			}
		})
	}
}
