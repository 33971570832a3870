package adapt

import (
	"testing"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/kubeadm"
)

// Scripts learn that kube-proxy needs modules of the kernel. What commands depend on stays the same.
func TestProxyModeInTheEnvironment(t *testing.T) {
	for mode, want := range map[string]string{"ipvs": "ipvs", "iptables": "", "nftables": ""} {
		documents, err := kubeadm.Parse([]byte("apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: " + mode + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		v := Variables{Kubeadm: documents}
		if got := v.On(&execute.Member{})["KUBE_PROXY_MODE"].String(); got != want {
			t.Errorf("%s: KUBE_PROXY_MODE is %q, want %q", mode, got, want)
		}
		if got := v.Everywhere()["KUBE_PROXY_MODE"]; got != nil {
			t.Errorf("%s: commands depend on KUBE_PROXY_MODE %q", mode, got)
		}
	}
}
