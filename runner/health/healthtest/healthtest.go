// Package healthtest has clusters for tests: what kubectl and the agents print about one that works, and about what does not.
package healthtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/util/jsonpath"

	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/host"
)

// Cluster is what a cluster of a master, h1 at 10.0.0.1, and a node, h2 at 10.0.0.2, says of itself.
type Cluster struct {
	Nodes  map[string]bool
	Sets   []string // namespace, name, paths
	Pods   []string // of PodRow
	Detail string   // of the log, or the last event
	Probed map[string]wire.Probed
	DNS    string // service of the DNS
}

// Answer is what a host prints for a command.
func (s Cluster) Answer(cmd host.Command, address string) (string, int) {
	argv := strings.Join(cmd.Argv, " ")
	switch {
	case slices.Contains(cmd.Argv, "nodes"):
		var items []string
		for name, ready := range s.Nodes {
			status := map[bool]string{true: "True", false: "False"}[ready]
			items = append(items, fmt.Sprintf(`{"metadata":{"name":%q},"status":{"conditions":[{"type":"Ready","status":%q}]}}`, name, status))
		}
		return `{"items":[` + strings.Join(items, ",") + `]}`, 0
	case strings.Contains(argv, "get daemonsets"):
		return strings.Join(s.Sets, ""), 0
	case strings.Contains(argv, "get pods"):
		namespace := cmd.Argv[slices.Index(cmd.Argv, "--namespace")+1]
		rows := slices.DeleteFunc(slices.Clone(s.Pods), func(row string) bool { return !strings.HasPrefix(row, namespace+"\t") })
		return strings.Join(rows, ""), 0
	case slices.Contains(cmd.Argv, "service"):
		return s.DNS, 0
	case slices.Contains(cmd.Argv, "events"), slices.Contains(cmd.Argv, "logs"):
		return s.Detail, 0
	case slices.Contains(cmd.Argv, "probe"):
		encoded, err := json.Marshal(s.Probed[address])
		if err != nil {
			panic(err)
		}
		return string(encoded), 0
	}
	return "", 0
}

// PodRow is a line about a pod, as it is asked for.
func PodRow(namespace, name, node, address, set, app, ready, waiting string) string {
	phase := map[bool]string{true: "Running", false: "Pending"}[address != ""]
	return strings.Join([]string{namespace, name, node, phase, address, set, app, ready, waiting}, "\t") + "\n"
}

// Healthy is a cluster of a master and a node in which all is well, after changes.
func Healthy(changes ...func(*Cluster)) Cluster {
	s := Cluster{
		Nodes: map[string]bool{"h1": true, "h2": true},
		Sets:  []string{"kube-system\tkube-proxy\t/run/xtables.lock /lib/modules\n", "kube-flannel\tkube-flannel-ds\t/run/flannel /opt/cni/bin /etc/cni/net.d\n"},
		Pods: []string{
			PodRow("kube-system", "coredns-1", "h1", "10.244.0.2", "", "kube-dns", "True", " "),
			PodRow("kube-system", "coredns-2", "h1", "10.244.0.3", "", "kube-dns", "True", " "),
			PodRow("kube-system", "kube-proxy-1", "h1", "10.0.0.1", "kube-proxy", "kube-proxy", "True", " "),
			PodRow("kube-system", "kube-proxy-2", "h2", "10.0.0.2", "kube-proxy", "kube-proxy", "True", " "),
			PodRow("kube-flannel", "flannel-1", "h1", "10.0.0.1", "kube-flannel-ds", "", "True", " "),
			PodRow("kube-flannel", "flannel-2", "h2", "10.0.0.2", "kube-flannel-ds", "", "True", " "),
			PodRow("kube-system", "job", "h2", "", "", "", "False", " "),
		},
		Probed: map[string]wire.Probed{},
	}
	for _, address := range []string{"10.0.0.1", "10.0.0.2"} {
		s.Probed[address] = wire.Probed{ResolvConf: "/etc/resolv.conf", Nameservers: []string{"10.77.0.1"},
			Networks: []wire.Network{{File: "/etc/cni/net.d/10-flannel.conflist"}}}
	}
	for _, change := range changes {
		change(&s)
	}
	return s
}

// Pod replaces a pod's row.
func (s *Cluster) Pod(name, address, ready, waiting string) {
	for i, row := range s.Pods {
		if f := strings.Split(strings.TrimSuffix(row, "\n"), "\t"); f[1] == name {
			s.Pods[i] = PodRow(f[0], f[1], f[2], address, f[5], f[6], ready, waiting)
		}
	}
}

// Host changes what a host finds.
func (s *Cluster) Host(address string, change func(*wire.Probed)) {
	found := s.Probed[address]
	change(&found)
	s.Probed[address] = found
}

// Formatted is what kubectl makes of a list of nodes with the output that it was asked for, by kubectl's own code; anything else stays as it is.
func Formatted(t *testing.T, argv []string, text string) string {
	t.Helper()
	single, output := slices.Index(argv, "node")+1, slices.Index(argv, "-o")+1
	if !strings.HasPrefix(text, `{"items":`) || output == 0 {
		return text
	}
	var list map[string]any
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Error(err)
	}
	if single > 0 {
		for _, item := range list["items"].([]any) {
			if item.(map[string]any)["metadata"].(map[string]any)["name"] == argv[single] {
				encoded, err := json.Marshal(item)
				if err != nil {
					t.Error(err)
				}
				return string(encoded)
			}
		}
		return ""
	}
	query, templated := strings.CutPrefix(argv[output], "jsonpath=")
	if !templated {
		return text
	}
	var out strings.Builder
	format := jsonpath.New("out").AllowMissingKeys(true)
	if err := errors.Join(format.Parse(query), format.Execute(&out, list)); err != nil {
		t.Error(err)
	}
	return out.String()
}
