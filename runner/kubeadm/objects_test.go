package kubeadm

import (
	"strings"
	"testing"
)

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
		if skips := strings.Contains(documents, "skipPhases"); skips != (len(d.SkipPhases()) > 0) {
			t.Errorf("%q skips %v", documents, d.SkipPhases())
		}
		if got := d.Objects(); len(got) != want {
			t.Errorf("%q makes %v, want %d", documents, got, want)
		}
	}
}
