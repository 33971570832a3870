package kubeadm

import "testing"

func TestObjects(t *testing.T) {
	for documents, want := range map[string]int{
		"": 4,
		"apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nproxy: {disabled: true}\n":           3,
		"apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\ndns: {disabled: true}\n":             3,
		"apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nskipPhases: [addon]\n":                  2,
		"apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nskipPhases: [addon/kube-proxy, mark]\n": 3,
	} {
		d, err := Parse([]byte(documents))
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Objects(); len(got) != want {
			t.Errorf("%q makes %v, want %d", documents, got, want)
		}
	}
}
