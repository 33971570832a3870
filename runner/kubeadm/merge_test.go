package kubeadm

import (
	"bytes"
	"testing"
)

func TestOver(t *testing.T) {
	cases := []struct{ name, over, base, want string }{
		{"nothing over nothing", "", "", ""},
		{"a kind more", clusterHead, kubeletHead, clusterHead + "---\n" + kubeletHead},
		{"false, 0 and empty win",
			kubeletHead + "a: false\nb: 0\nc: ''\nd: []\n",
			kubeletHead + "a: true\nb: 1\nc: x\nd: [1]\ne: 2\n",
			kubeletHead + "a: false\nb: 0\nc: ''\nd: []\ne: 2\n"},
		{"an empty section leaves what is below", clusterHead + "networking:\n", clusterHead + "networking: {podSubnet: a}\n", clusterHead + "networking: {podSubnet: a}\n"},
		{"mappings by key",
			clusterHead + "networking: {podSubnet: b}\n",
			clusterHead + "networking: {podSubnet: a, dnsDomain: c}\n",
			clusterHead + "networking: {podSubnet: b, dnsDomain: c}\n"},
		{"lists are replaced", kubeletHead + "l: [a]\n", kubeletHead + "l: [b, c]\n", kubeletHead + "l: [a]\n"},
		{"a list over a mapping", kubeletHead + "l: [a]\n", kubeletHead + "l: {b: c}\n", kubeletHead + "l: [a]\n"},
		{"certSANs are united", clusterHead + "apiServer: {certSANs: [c, a]}\n", clusterHead + "apiServer: {certSANs: [a, b]}\n",
			clusterHead + "apiServer: {certSANs: [a, b, c]}\n"},
		{"other names are replaced", clusterHead + "etcd: {local: {peerCertSANs: [c]}}\n", clusterHead + "etcd: {local: {peerCertSANs: [a]}}\n",
			clusterHead + "etcd: {local: {peerCertSANs: [c]}}\n"},
		{"arguments by name",
			clusterHead + "apiServer: {extraArgs: [{name: a, value: 3}, {name: a, value: 4}, {name: c, value: ''}]}\n",
			clusterHead + "apiServer: {extraArgs: [{name: a, value: 1}, {name: b, value: 2}, {name: a, value: 9}, {name: c, value: 5}]}\n",
			clusterHead + "apiServer: {extraArgs: [{name: b, value: 2}, {name: a, value: 3}, {name: a, value: 4}, {name: c, value: ''}]}\n"},
		{"arguments of two versions",
			"apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterConfiguration\nscheduler: {extraArgs: {v: 5}}\n",
			clusterHead + "scheduler: {extraArgs: [{name: v, value: 4}, {name: x, value: 1}]}\n",
			clusterHead + "scheduler: {extraArgs: [{name: x, value: 1}, {name: v, value: 5}]}\n"},
		{"volumes by name",
			clusterHead + "apiServer: {extraVolumes: [{name: a, hostPath: /b}]}\n",
			clusterHead + "apiServer: {extraVolumes: [{name: a, hostPath: /a, readOnly: true}, {name: c}]}\n",
			clusterHead + "apiServer: {extraVolumes: [{name: c}, {name: a, hostPath: /b}]}\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			over, base := parse(t, c.over), parse(t, c.base)
			same(t, over.Over(base), parse(t, c.want))
			same(t, over, parse(t, c.over))
			same(t, base, parse(t, c.base))
		})
	}
}

// same compares documents as they are written.
func same(t *testing.T, got, want Documents) {
	t.Helper()
	g, err := got.YAML()
	if err != nil {
		t.Fatal(err)
	}
	w, err := want.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(g, w) {
		t.Errorf("got:\n%s\nwant:\n%s", g, w)
	}
}

func FuzzOver(f *testing.F) {
	seed(f, func(over []byte) { seed(f, func(base []byte) { f.Add(over, base) }) })
	f.Fuzz(func(t *testing.T, a, b []byte) {
		over, err := Parse(a)
		if err != nil {
			return
		}
		base, err := Parse(b)
		if err != nil {
			return
		}
		merged := over.Over(base)
		same(t, over, parse(t, string(a)))
		same(t, base, parse(t, string(b)))
		same(t, over.Over(merged), merged)
		same(t, over.Over(nil), over)
		same(t, Documents(nil).Over(base), base)
		for _, m := range merged {
			clear(m) // shares nothing with what it is made of
		}
		same(t, over, parse(t, string(a)))
	})
}
