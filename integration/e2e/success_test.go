//go:build e2e

package e2e

import (
	"strings"
	"sync"
	"testing"
)

// podman is what podman installs: a network of pods that a kubelet takes for its own.
const podman = `{"cniVersion":"0.4.0","name":"podman","plugins":[{"type":"bridge","bridge":"cni-podman0","isGateway":true,"ipMasq":true,
	"hairpinMode":true,"ipam":{"type":"host-local","routes":[{"dst":"0.0.0.0/0"}],"ranges":[[{"subnet":"10.88.0.0/16","gateway":"10.88.0.1"}]]}}]}`

// clusterThatDoesNotWork brings up clusters of one host each, at once, on hosts on which every node gets Ready and yet nothing works.
func clusterThatDoesNotWork(t *testing.T, r *road) {
	cases := []struct {
		name  string
		harsh string
		want  []string // in the error
	}{
		{"no default route", "ip route del default", []string{"10.77.0.11", "has no default route: add one"}},
		{"no nameserver", ": > /etc/resolv.conf", []string{"/etc/resolv.conf of 10.77.0.12 has no nameserver"}},
		{"a foreign network, and a nameserver on loopback", "echo nameserver 127.0.0.1 > /etc/resolv.conf; mkdir -p /etc/cni/net.d; cat > /etc/cni/net.d/87-podman.conflist",
			[]string{"in /etc/resolv.conf of 10.77.0.13 is a loopback address", "10.77.0.13 has the address 10.88.", "/etc/cni/net.d/87-podman.conflist, a file of another program"}},
	}
	var running sync.WaitGroup
	for i, c := range cases {
		if _, err := r.lab.SSH(t.Context(), i+1, []byte(podman), c.harsh); err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			cmd := r.command(t.Context(), r.source, "-m", r.lab.Hosts[i].Address, "--cmd", sayNodes, "-e", oomScore, "--pk", r.lab.Key)
			stdout, stderr, err := r.output(cmd)
			if err == nil || strings.Contains(stdout, "runs") {
				t.Errorf("%s: it ended with %v and said %q", c.name, err, stdout)
			}
			for _, want := range c.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("%s: the error does not say %q:\n%s", c.name, want, stderr)
				}
			}
		})
	}
	running.Wait()
}
