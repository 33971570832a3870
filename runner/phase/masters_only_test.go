package phase

import (
	"testing"

	"github.com/kubefile/kubefile/runner/check/checklist"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/plugin"
)

// A master takes pods where the Clusterfile, a plugin or the documents of kubeadm remove the taint.
func TestChecksKnowMastersThatTakePods(t *testing.T) {
	const taint = "node-role.kubernetes.io/control-plane"
	registration := func(kind, text string) func(*Cluster) {
		return func(c *Cluster) {
			docs, err := kubeadm.Parse([]byte("apiVersion: kubeadm.k8s.io/v1beta4\nkind: " + kind + "\nnodeRegistration: {taints: " + text + "}\n"))
			if err != nil {
				t.Fatal(err)
			}
			c.Site.Kubeadm = docs
		}
	}
	removal := func(change plugin.TaintChange) func(*Cluster) {
		return func(c *Cluster) { c.Members[1].Site.Taints = []plugin.TaintChange{change} }
	}
	for name, tt := range map[string]struct {
		Change func(*Cluster)
		want   int
	}{
		"masters":               {func(*Cluster) {}, 1},
		"another taint":         {removal(plugin.TaintChange{Key: "a", Remove: true}), 1},
		"another effect":        {removal(plugin.TaintChange{Key: taint, Effect: "NoExecute", Remove: true}), 1},
		"added":                 {removal(plugin.TaintChange{Key: taint, Effect: "NoSchedule"}), 1},
		"removed":               {removal(plugin.TaintChange{Key: taint, Effect: "NoSchedule", Remove: true}), 0},
		"removed, every effect": {removal(plugin.TaintChange{Key: taint, Remove: true}), 0},
		"plugin": {func(c *Cluster) {
			c.Site.Plugins = []plugin.Plugin{newPlugin(t, "taints", "TAINT", "PostJoin", "", "10.0.0.2 "+taint+":NoSchedule-")}
		}, 0},
		"kubeadm, none":     {registration("InitConfiguration", "[]"), 0},
		"kubeadm, harmless": {registration("InitConfiguration", "[{key: a, effect: PreferNoSchedule}]"), 0},
		"kubeadm, another":  {registration("InitConfiguration", "[{key: a, effect: NoSchedule}]"), 1},
		"kubeadm, others":   {registration("JoinConfiguration", "[]"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPark(t, 2, 0)
			p.Artifact = artifact(t)
			var reports []host.Report
			for _, m := range p.Members {
				m.IsNew = true
				reports = append(reports, host.Report{Host: m.Host, Facts: m.Facts})
			}
			tt.Change(p.Cluster)
			got := 0
			for _, f := range checklist.Run(p.checkHosts().Observed(t.Context(), reports, make([]error, 2))) {
				if f.Check == "masters-only" {
					got++
				}
			}
			if got != tt.want {
				t.Errorf("got %d findings, want %d", got, tt.want)
			}
		})
	}
}
