//go:build e2e

package e2e

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/integration/hosts"
)

var rareName = flag.String("rare", "", "TestClusters runs only this scenario of make soak")

// rareScenarios are those that make test has no time for. The matrix clusters of integration/soak has their names.
func rareScenarios() []scenario {
	return []scenario{
		{"ipv6-only", with(hosts.IPv6Only, harsh(3)), ipv6Only},
		{"unhealthy-settings", harsh(3), unhealthySettings},
	}
}

// rareScenario returns the scenario of a name.
func rareScenario(t *testing.T, name string) scenario {
	t.Helper()
	for _, s := range rareScenarios() {
		if s.name == name {
			return s
		}
	}
	t.Fatalf("unknown scenario %q", name)
	return scenario{}
}

// byFile writes a Clusterfile for two masters and a node, and further documents.
func (r *road) byFile(t *testing.T, documents ...string) (file string) {
	t.Helper()
	hosts := fmt.Sprintf("  - {ips: [%q, %q], roles: [master]}\n  - {ips: [%q], roles: [node]}\n", r.lab.Hosts[0].Address, r.lab.Hosts[1].Address, r.lab.Hosts[2].Address)
	text := "apiVersion: sealer.io/v2\nkind: Cluster\nmetadata: {name: default}\nspec:\n  image: " + r.source + "\n  env: [" + oomScore + "]\n  ssh: {pk: " + r.lab.Key + "}\n  hosts:\n" + hosts
	file = filepath.Join(t.TempDir(), "Clusterfile")
	if err := os.WriteFile(file, []byte(strings.Join(append([]string{text}, documents...), "---\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// applyFile applies a Clusterfile that has the login.
func (r *road) applyFile(t *testing.T, file string) string {
	t.Helper()
	stdout, stderr, err := r.output(r.command(t.Context(), "apply", "-f", file))
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, stderr, r.lastLog())
	}
	return stdout
}

// ipv6Only brings a cluster up on hosts that have no other addresses, and reaches pods and services from each.
func ipv6Only(t *testing.T, r *road) {
	o := r.othersBefore(t, filepath.Dir(dataDir))
	before := r.snapshots(t)
	file := r.byFile(t, "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworking: {podSubnet: \"fd00:64::/48\", serviceSubnet: \"fd00:96::/112\"}\n")
	if out := r.applyFile(t, file); !strings.Contains(out, "cluster default runs") {
		t.Errorf("it said %q", out)
	}
	o.meanwhile(t, 1, 2, 3)
	r.kubectl(t, "wait --for=condition=Ready nodes --all --timeout=60s")
	addresses := strings.Fields(r.kubectl(t, "-n kube-system get pods -l k8s-app=kube-dns -o jsonpath='{.items[*].status.podIP}'"))
	addresses = append(addresses, r.kubectl(t, "-n kube-system get service kube-dns -o jsonpath='{.spec.clusterIP}'"))
	for i := range r.lab.Hosts {
		for _, address := range addresses {
			if !strings.HasPrefix(address, "fd00:") {
				t.Fatalf("the DNS is at %s", addresses)
			}
			r.metrics(t, i+1, address)
		}
		r.answers(t, i+1, serviceLimit)
	}
	if out := r.applyFile(t, file); !strings.Contains(out, "nothing to do") {
		t.Errorf("it said %q\n%s", out, r.told())
	}
	if out, stderr, err := r.output(r.command(t.Context(), "delete", "--all", "--yes", "-f", file)); err != nil {
		t.Fatalf("%v: %s%s\n%s", err, out, stderr, r.lastLog())
	}
	o.stayed(t, 1, 2, 3)
	r.bare(t, before)
}

// unhealthySettings changes kubeadm's documents so that what runs with them does not get healthy: it is taken back on the first master, and the other
// hosts are not touched. Settings that work are taken then.
func unhealthySettings(t *testing.T, r *road) {
	r.applyFile(t, r.byFile(t))
	const files = "sha256sum /etc/kubernetes/manifests/* /var/lib/kubelet/config.yaml 2> /dev/null"
	before := map[int]string{}
	for i := range r.lab.Hosts {
		before[i+1] = r.ssh(t, i+1, files)
	}
	first := r.lab.Hosts[0].Address
	for _, c := range []struct {
		name, document string
		want           []string
	}{
		{"kube-apiserver", "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\napiServer: {extraArgs: [{name: event-ttl, value: nonsense}]}\n",
			[]string{first, "kube-apiserver is not healthy with its new settings", "its earlier manifest is back in place"}},
		{"kubelet", "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nevictionHard: {memory.available: nonsense}\n",
			[]string{first, "is not ready within", "the kubelet runs again with its earlier settings"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.refused(t, r.command(t.Context(), "apply", "-f", r.byFile(t, c.document)), 1, c.want...)
			for i, want := range before {
				if got := r.ssh(t, i, files); got != want {
					t.Errorf("h%d has\n%s\nand had\n%s", i, got, want)
				}
			}
			r.kubectl(t, "wait --for=condition=Ready nodes --all --timeout=60s")
			r.answers(t, 2, serviceLimit)
		})
	}
	const works = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\napiServer: {extraArgs: [{name: event-ttl, value: 2h0m0s}]}\n"
	file := r.byFile(t, works)
	r.applyFile(t, file)
	for i := 1; i <= 2; i++ {
		if got := r.ssh(t, i, "cat /etc/kubernetes/manifests/kube-apiserver.yaml"); !strings.Contains(got, "--event-ttl=2h0m0s") {
			t.Errorf("h%d: the API server has\n%s", i, got)
		}
	}
	if out := r.applyFile(t, file); !strings.Contains(out, "nothing to do") {
		t.Errorf("it said %q\n%s", out, r.told())
	}
}
