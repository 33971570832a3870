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

// isolatedHosts brings up clusters of one host each, at once. On hosts that an isolated network leaves without a default route or a
// nameserver they run. On the last, every node gets Ready and yet nothing works.
func isolatedHosts(t *testing.T, r *road) {
	cases := []struct {
		name  string
		harsh string
		plan  string   // what the run does about it
		want  []string // in the error of a cluster that does not work
	}{
		{"no default route", "ip route del default", "start kubefile-service-route.service", nil},
		{"no nameserver", ": > /etc/resolv.conf", "/resolv.conf for the kubelet", nil},
		{"a foreign network, and a nameserver on loopback", "echo nameserver 127.0.0.1 > /etc/resolv.conf; mkdir -p /etc/cni/net.d; cat > /etc/cni/net.d/87-podman.conflist",
			"/resolv.conf for the kubelet", []string{"10.77.0.13 has the address 10.88.", "/etc/cni/net.d/87-podman.conflist, a file of another program"}},
	}
	var running sync.WaitGroup
	for i, c := range cases {
		if _, err := r.lab.SSH(t.Context(), i+1, []byte(podman), c.harsh); err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			t.Run(c.name, func(t *testing.T) { r.isolated(t, i+1, c.plan, c.want) })
		})
	}
	running.Wait()
}

// isolated brings up a cluster on host i, whose plan says what is done about its network. If it works, the host is as before in the end.
func (r *road) isolated(t *testing.T, i int, wantPlan string, wantErrors []string) {
	address := r.lab.Hosts[i-1].Address
	args := []string{r.source, "-m", address, "--cmd", sayNodes, "-e", oomScore}
	plan, stderr, err := r.run(t, append([]string{"plan"}, args...)...)
	if exitCode(err) != pending || !strings.Contains(plan, wantPlan) {
		t.Errorf("the plan does not contain %q (%v):\n%s%s", wantPlan, err, plan, stderr)
	}
	before := r.snapshot(t, i)
	stdout, stderr, err := r.run(t, args...)
	works := wantErrors == nil
	if (err == nil) != works || strings.Contains(stdout, "runs") != works {
		t.Fatalf("it ended with %v and said %q\n%s", err, stdout, stderr)
	}
	for _, want := range wantErrors {
		if !strings.Contains(stderr, want) {
			t.Errorf("the error does not say %q:\n%s", want, stderr)
		}
	}
	if !works {
		return
	}
	if plan, stderr, err := r.run(t, append([]string{"plan"}, args...)...); err != nil || strings.TrimSpace(plan) != "nothing to do" {
		t.Errorf("the plan for the cluster that runs is %q (%v)\n%s", plan, err, stderr)
	}
	if stdout, stderr, err := r.run(t, "delete", "--all", "--yes", "-m", address); err != nil {
		t.Fatalf("delete: %v: %s%s", err, stdout, stderr)
	}
	same(t, "the host after delete", before, r.snapshot(t, i))
}
