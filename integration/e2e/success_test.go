//go:build e2e

package e2e

import (
	"strings"
	"testing"
)

// podman is what podman installs: a network of pods that a kubelet takes for its own.
const podman = `{"cniVersion":"0.4.0","name":"podman","plugins":[{"type":"bridge","bridge":"cni-podman0","isGateway":true,"ipMasq":true,
	"hairpinMode":true,"ipam":{"type":"host-local","routes":[{"dst":"0.0.0.0/0"}],"ranges":[[{"subnet":"10.88.0.0/16","gateway":"10.88.0.1"}]]}}]}`

// foreignNetwork brings up a cluster on a host with the network of another program and a nameserver on loopback. Its node gets ready, and
// yet nothing works: the run fails and names the file. Hosts that lack a default route or a nameserver are those of highAvailability.
func foreignNetwork(t *testing.T, r *road) {
	const prepare = "echo nameserver 127.0.0.1 > /etc/resolv.conf; mkdir -p /etc/cni/net.d; cat > /etc/cni/net.d/87-podman.conflist"
	if _, err := r.lab.SSH(t.Context(), 1, []byte(podman), prepare); err != nil {
		t.Fatal(err)
	}
	args := []string{r.source, "-m", masters, "--cmd", sayNodes, "-e", oomScore}
	plan, stderr, err := r.run(t, append([]string{"plan"}, args...)...)
	if wanted := "/resolv.conf for the kubelet"; exitCode(err) != pending || !strings.Contains(plan, wanted) {
		t.Errorf("the plan does not contain %q (%v):\n%s%s", wanted, err, plan, stderr)
	}
	stdout, stderr, err := r.run(t, args...)
	if err == nil || strings.Contains(stdout, "runs") {
		t.Fatalf("it ended with %v and said %q\n%s", err, stdout, stderr)
	}
	for _, want := range []string{masters + " has the address 10.88.", "/etc/cni/net.d/87-podman.conflist, a file of another program"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("the error does not say %q:\n%s", want, stderr)
		}
	}
}
