package difference

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/kubefile/kubefile/runner/kubeadm"
)

// TestNoted: documents that were kept as JSON are equal to what they were made of, but for values that may be secrets, which stay hidden.
func TestNoted(t *testing.T) {
	documents, err := kubeadm.Parse([]byte(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
maxOpenFiles: 1000000
imageGCHighThresholdPercent: 85
nodeStatusMaxImages: -1
shares: [0.5, 2]
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
nodeRegistration:
  kubeletExtraArgs: [{name: node-labels, value: a=b}, {name: image-token, value: s3cret}]
`))
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(Public(documents))
	if err != nil {
		t.Fatal(err)
	}
	var kept map[string]map[string]any
	if err := json.Unmarshal(data, &kept); err != nil {
		t.Fatal(err)
	}
	noted := Noted(kept)
	if changes := Between(noted, Public(documents)); len(changes) > 0 {
		t.Errorf("got the changes %v, want none", changes)
	}
	if again := Public(noted); !reflect.DeepEqual(again, noted) {
		t.Errorf("published again they are %v, want %v", again, noted)
	}
	text, err := noted.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if parsed, err := kubeadm.Parse(text); err != nil || parsed["KubeletConfiguration"]["maxOpenFiles"] != 1000000 {
		t.Errorf("got %v (%v) of\n%s", parsed, err, text)
	}
	if got, want := Hidden(noted, "JoinConfiguration"), []string{"JoinConfiguration.nodeRegistration.kubeletExtraArgs[image-token]"}; !slices.Equal(got, want) {
		t.Errorf("hidden are %q, want %q", got, want)
	}
	if got := Hidden(documents, "JoinConfiguration"); len(got) > 0 {
		t.Errorf("hidden in what a person wrote are %q, want none", got)
	}
}
