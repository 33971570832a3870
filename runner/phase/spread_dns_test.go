package phase

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/health/healthtest"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/join"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/state"
)

// TestSpreadDNS: the DNS is restarted once hosts have joined, if one node runs all of it although another one is ready.
func TestSpreadDNS(t *testing.T) {
	const restart = "rollout restart deployment coredns"
	cases := []struct {
		name     string
		cluster  healthtest.Cluster
		complete bool // no host is new
		dryRun   bool
		config   string
		plan     bool // it says that the DNS may be restarted
		want     bool // it is
	}{
		{name: "one node runs all of it", cluster: healthtest.Healthy(), plan: true, want: true},
		{name: "in a dry run", cluster: healthtest.Healthy(), dryRun: true, plan: true},
		{name: "all hosts have been here", cluster: healthtest.Healthy(), complete: true},
		{name: "no DNS", cluster: healthtest.Healthy(), config: "---\nkind: InitConfiguration\napiVersion: kubeadm.k8s.io/v1beta4\nskipPhases: [addon/coredns]\n"},
		{name: "two nodes run it", plan: true, cluster: healthtest.Healthy(func(s *healthtest.Cluster) {
			s.Pods[1] = healthtest.PodRow("kube-system", "coredns-2", "h2", "10.244.1.3", "", "kube-dns", "True", " ")
		})},
		{name: "there is one pod", plan: true, cluster: healthtest.Healthy(func(s *healthtest.Cluster) { s.Pods = slices.Delete(s.Pods, 1, 2) })},
		{name: "no other node is ready", plan: true, cluster: healthtest.Healthy(func(s *healthtest.Cluster) { s.Nodes["h2"] = false })},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := newPark(t, 1, 1).joined(2)
			p.DryRun = c.dryRun
			for _, f := range p.machines {
				f.answer = func(cmd host.Command, _ string) (string, int) { return c.cluster.Answer(cmd, f.host.String()) }
			}
			var err error
			if p.kubeadm, err = kubeadm.Parse([]byte("kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1beta4\nnetworking: {podSubnet: 10.244.0.0/16}\n" + c.config)); err != nil {
				t.Fatal(err)
			}
			p.State = state.New(p.Name)
			for _, m := range p.Members {
				if c.complete {
					p.State.Hosts = append(p.State.Hosts, state.Host{Address: m.Host.Address, Name: m.Name, Role: string(m.Host.Role), Phase: state.Complete})
				}
			}
			if err := join.SpreadDNS(t.Context(), &p.Session, &p.Store, p.kubeadm); err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(p.plan(t), "restart the cluster's DNS"); got != c.plan {
				t.Errorf("in the plan: %v, want %v", got, c.plan)
			}
			if got := strings.Contains(strings.Join(p.machines[0].argvs, "\n"), restart); got != c.want {
				t.Errorf("restarted: %v, want %v", got, c.want)
			}
		})
	}
}
