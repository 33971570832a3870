package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/plugin"
)

// call is what kubectl was called with.
type call struct {
	args  string
	input string
}

// answering is a kubectl that gives one answer after the other, and the calls of it. An answer that begins with "error: " is kubectl's failure.
func answering(answers ...string) (Kubectl, *[]call) {
	calls := &[]call{}
	return func(_ context.Context, input []byte, args ...string) ([]byte, error) {
		*calls = append(*calls, call{strings.Join(args, " "), string(input)})
		answer := answers[min(len(*calls), len(answers))-1]
		if said, failed := strings.CutPrefix(answer, "error: "); failed {
			return nil, &host.ExitError{Code: 1, Stderr: said}
		}
		return []byte(answer), nil
	}, calls
}

func TestRows(t *testing.T) {
	k, _ := answering("a\tb\x1b[31m\nc\t\n")
	rows, err := k.Rows(t.Context(), 2, "get", "x")
	if want := [][]string{{"a", "b[31m"}, {"c", ""}}; err != nil || !slices.EqualFunc(rows, want, slices.Equal) {
		t.Errorf("got %q, %v, want %q", rows, err, want)
	}
	if _, err := k.Rows(t.Context(), 3, "get", "x"); !errors.Is(err, ErrUnexpected) || !strings.Contains(err.Error(), "kubectl get x: ") {
		t.Errorf("another number of columns gives %v", err)
	}
}

func TestNodes(t *testing.T) {
	k, _ := answering("7\th1\t{\"a\":\"b\"}\t[{\"key\":\"c\",\"effect\":\"NoExecute\"}]\tTrue\tv1.34.4\t10.0.0.1 fd00::1\n8\th2\t\t\t\t\t\n")
	nodes, err := k.Nodes(t.Context())
	if err != nil || len(nodes) != 2 {
		t.Fatalf("%v, %v", nodes, err)
	}
	one, two := nodes["h1"], nodes["h2"]
	if one.Metadata.Labels["a"] != "b" || one.Metadata.ResourceVersion != "7" || !slices.Equal(one.Spec.Taints, []Taint{{Key: "c", Effect: "NoExecute"}}) || !one.Ready() || two.Ready() {
		t.Errorf("got %+v and %+v", one, two)
	}
	if addresses := fmt.Sprint(one.Addresses(), two.Addresses()); addresses != "[10.0.0.1 fd00::1] []" || one.Status.NodeInfo.KubeletVersion != "v1.34.4" {
		t.Errorf("the addresses are %s, the kubelet is %s", addresses, one.Status.NodeInfo.KubeletVersion)
	}
	for _, text := range []string{"7\th1\t{\t\tTrue\t\t\n", "7\th1\t\t[{]\tTrue\t\t\n", "h1\n"} {
		k, _ := answering(text)
		if nodes, err := k.Nodes(t.Context()); err == nil {
			t.Errorf("%q is taken for %v", text, nodes)
		}
	}
}

func TestRoles(t *testing.T) {
	n := Node{Metadata: NodeMetadata{Labels: map[string]string{
		"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/control-plane": "true", "node-role.kubernetes.io/": "", "kubernetes.io/role": "worker", "a": "b",
	}}}
	if got := n.Roles(); !slices.Equal(got, []string{"control-plane", "worker"}) {
		t.Errorf("got %q", got)
	}
	if got := (Node{}).Roles(); got == nil || len(got) > 0 {
		t.Errorf("a node without roles has %#v, want an empty list", got)
	}
}

func TestNode(t *testing.T) {
	const object = `{"metadata":{"name":"h1"},"status":{"addresses":[{"type":"Hostname","address":"h1"},{"type":"InternalIP","address":"10.0.0.1"},{"type":"InternalIP","address":"?"},{"type":"ExternalIP","address":"1.1.1.1"}]}}`
	k, _ := answering(object, "", "{", "error: The connection to the server was refused")
	n, err := k.Node(t.Context(), "h1")
	if err != nil || n == nil || len(n.Addresses()) != 1 || n.Addresses()[0].String() != "10.0.0.1" {
		t.Errorf("got %+v, %v", n, err)
	}
	if n, err := k.Node(t.Context(), "h2"); n != nil || err != nil {
		t.Errorf("a node that is not there is %v, %v", n, err)
	}
	for range 2 {
		if _, err := k.Node(t.Context(), "h1"); err == nil {
			t.Error("no error")
		}
	}
}

func TestHasNode(t *testing.T) {
	k, calls := answering("node/h1\n", "", "error: refused")
	for i, want := range []bool{true, false, false} {
		there, err := k.HasNode(t.Context(), "h1", 5)
		if there != want || (err != nil) != (i == 2) {
			t.Errorf("answer %d: %v, %v", i, there, err)
		}
	}
	if got := (*calls)[0].args; !strings.HasSuffix(got, " --request-timeout=5s") {
		t.Errorf("called with %q", got)
	}
}

// A node that its kubelet changes at the same time is read and changed again, and not for ever.
func TestChangeNode(t *testing.T) {
	const object = `{"metadata":{"name":"h1","resourceVersion":"9","labels":{"old":"x"}}}`
	const refused = `error: Operation cannot be fulfilled on nodes "h1": the object has been modified`
	labels := []plugin.LabelChange{{Key: "new", Value: "y"}, {Key: "old", Remove: true}}
	taints := []plugin.TaintChange{{Key: "k", Value: "v", Effect: "NoSchedule"}}
	k, calls := answering(refused, object, "")
	if err := k.ChangeNode(t.Context(), "h1", &Node{Metadata: NodeMetadata{Name: "h1", ResourceVersion: "8"}}, labels, taints); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`patch node h1 --type merge --patch {"metadata":{"labels":{"new":"y","old":null},"resourceVersion":"8"},"spec":{"taints":[{"key":"k","value":"v","effect":"NoSchedule"}]}}`,
		`get node h1 -o json --ignore-not-found`,
		`patch node h1 --type merge --patch {"metadata":{"labels":{"new":"y","old":null},"resourceVersion":"9"},"spec":{"taints":[{"key":"k","value":"v","effect":"NoSchedule"}]}}`,
	}
	var got []string
	for _, c := range *calls {
		got = append(got, c.args)
	}
	if !slices.Equal(got, want) {
		t.Errorf("called\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	k, calls = answering(object, refused, object, refused, object, refused, object, refused, object, refused, "none of this is reached")
	var exit *host.ExitError
	if err := k.ChangeNode(t.Context(), "h1", nil, labels, nil); !errors.As(err, &exit) || len(*calls) != 2*changeTries {
		t.Errorf("after %d calls: %v", len(*calls), err)
	}
	k, _ = answering("")
	if err := k.ChangeNode(t.Context(), "h1", nil, labels, nil); err == nil || !strings.Contains(err.Error(), "no node h1") {
		t.Errorf("without the node: %v", err)
	}
	k, calls = answering(object)
	if err := k.ChangeNode(t.Context(), "h1", nil, []plugin.LabelChange{{Key: "old", Value: "x"}}, nil); err != nil || len(*calls) != 1 {
		t.Errorf("a node that is so already: %v, %v", *calls, err)
	}
}

func TestTaints(t *testing.T) {
	n := Node{Spec: NodeSpec{Taints: []Taint{{Key: "a", Value: "1", Effect: "NoSchedule"}, {Key: "a", Effect: "NoExecute"}, {Key: "b", Effect: "NoSchedule"}}}}
	for _, tt := range []struct {
		change plugin.TaintChange
		want   []Taint
	}{
		{plugin.TaintChange{Key: "a", Value: "2", Effect: "NoSchedule"}, []Taint{{Key: "a", Value: "2", Effect: "NoSchedule"}, n.Spec.Taints[1], n.Spec.Taints[2]}},
		{plugin.TaintChange{Key: "a", Effect: "NoExecute", Remove: true}, []Taint{n.Spec.Taints[0], n.Spec.Taints[2]}},
		{plugin.TaintChange{Key: "a", Remove: true}, []Taint{n.Spec.Taints[2]}},
		{plugin.TaintChange{Key: "c", Effect: "NoExecute"}, append(slices.Clone(n.Spec.Taints), Taint{Key: "c", Effect: "NoExecute"})},
	} {
		if got := n.WithTaints([]plugin.TaintChange{tt.change}); !slices.Equal(got, tt.want) {
			t.Errorf("%v gives %v, want %v", tt.change, got, tt.want)
		}
	}
}

func TestSecret(t *testing.T) {
	k, calls := answering("", "5", `{"metadata":{"resourceVersion":"5"},"data":{"a":"eA=="}}`, "6",
		`error: Error from server (Conflict): the object has been modified`, `error: Error from server (AlreadyExists): exists`, `error: Error from server (NotFound): gone`, "error: refused")
	s, err := k.Secret(t.Context(), "ns", "name")
	if err != nil || s.Metadata.ResourceVersion != "" || len(s.Data) > 0 {
		t.Fatalf("one that is not there is %+v, %v", s, err)
	}
	s.Data = map[string][]byte{"a": []byte("x")}
	if version, err := k.WriteSecret(t.Context(), s); version != "5" || err != nil {
		t.Errorf("created with %q, %v", version, err)
	}
	if s, err = k.Secret(t.Context(), "ns", "name"); err != nil || s.Metadata.ResourceVersion != "5" || string(s.Data["a"]) != "x" {
		t.Fatalf("read %+v, %v", s, err)
	}
	if version, err := k.WriteSecret(t.Context(), s); version != "6" || err != nil {
		t.Errorf("replaced with %q, %v", version, err)
	}
	var manifest map[string]any
	if err := json.Unmarshal([]byte((*calls)[1].input), &manifest); err != nil || manifest["kind"] != "Secret" || manifest["apiVersion"] != "v1" {
		t.Errorf("the manifest is %s, %v", (*calls)[1].input, err)
	}
	if !strings.HasPrefix((*calls)[1].args, "create ") || !strings.HasPrefix((*calls)[3].args, "replace ") {
		t.Errorf("called %v", *calls)
	}
	for range 3 {
		if _, err := k.WriteSecret(t.Context(), s); !errors.Is(err, ErrChanged) {
			t.Errorf("got %v, want ErrChanged", err)
		}
	}
	if _, err := k.WriteSecret(t.Context(), s); err == nil || errors.Is(err, ErrChanged) {
		t.Errorf("got %v, want kubectl's error", err)
	}
}
