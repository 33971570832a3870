package phase

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/check"
	"github.com/kubefile/kubefile/runner/check/checklist"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/preflight"
	"github.com/kubefile/kubefile/runner/store"
)

// A master that comes back empty, and is named first, is not made the first of another cluster when the other masters have lost what we noted.
func TestEmptyMasterIsNamedFirst(t *testing.T) {
	p := brought(t, 3, 0)
	p.replaceDisk(0)
	p.machines[1].remove(execute.JoinMarker, store.File)
	p.machines[2].remove(execute.JoinMarker, store.File)
	p.forget()
	next, err := p.rerun(t)
	if want := "etcd has a member h1 (https://10.0.0.1:2380), and the cluster's state does not have this host"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the error is %v, want %q", err, want)
	}
	for _, f := range p.machines {
		for _, what := range []string{" init --config", " join", " reset"} {
			if got := f.calls(next.Members[0].Program("kubeadm") + what); len(got) > 0 {
				t.Errorf("%s: ran %q", f.host, got)
			}
		}
	}
}

// An etcd that somebody started after a kubeadm of ours was interrupted is theirs: kubeadm writes its manifest before there are data.
func TestEtcdThatCameAfterKubeadmBegan(t *testing.T) {
	p := brought(t, 1, 0)
	f := p.machines[0]
	f.remove("kubelet.conf", "admin.conf", "etcd.yaml", execute.InitMarker, store.File)
	p.world.secret, p.world.version = nil, 0
	f.files["/etc/kubernetes/controller-manager.conf"] = "x"
	p.forget()
	next, _ := p.again(t, 1<<40, func() {})
	err := errors.Join((&remember{next.Cluster}).Run(t.Context()), next.controlPlane().Run(t.Context()))
	if err == nil || !strings.Contains(err.Error(), host.EtcdDir) {
		t.Errorf("error is %v", err)
	}
	if got := f.calls(next.Members[0].Program("kubeadm")); len(got) > 0 || !f.has(etcdFile) {
		t.Errorf("ran %q", got)
	}
}

// A host that somebody made a node of another cluster since, with our files still on it, is not cleaned. One whose kubelet was only pointed
// at another address of this cluster is.
func TestRemovalLeavesNodeOfAnotherCluster(t *testing.T) {
	cases := map[string]struct {
		authority func(own string) string
		server    string
		left      bool
	}{
		"of another cluster":                      {func(string) string { return authority(t) }, "https://api.other.example:6443", true},
		"at a load balancer of the site":          {func(own string) string { return own }, "https://192.0.2.1:6443", false},
		"of an earlier cluster on the same hosts": {func(string) string { return authority(t) }, "https://" + execute.Endpoint, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := removable(t)
			own := authority(t)
			for i, m := range p.Members {
				p.machines[i].files[execute.KubeletConfig] = own
				m.Facts.Cluster, m.Facts.Kubelet.Authority, m.Facts.Kubelet.Server = []string{execute.KubeletConfig}, []byte(own), "https://"+m.String()+":6443"
			}
			m := p.Members[2]
			m.Facts.Kubelet.Authority, m.Facts.Kubelet.Server = []byte(c.authority(own)), c.server
			err := p.remove(t)
			if (err != nil) != c.left || c.left && (!strings.Contains(err.Error(), "10.0.0.3") || !strings.Contains(err.Error(), c.server)) {
				t.Errorf("error is %v", err)
			}
			if removed := len(p.machines[2].calls(wire.Path+" agent remove-created")) == 1; removed == c.left {
				t.Errorf("removed is %v; ran %q", removed, p.machines[2].ran)
			}
		})
	}
}

// A control plane without marker and state, whose host was started a moment ago, is waited for and not cleared away.
func TestControlPlaneThatStarts(t *testing.T) {
	p := brought(t, 1, 0)
	f := p.machines[0]
	f.remove(execute.InitMarker, store.File)
	f.units["kubelet.service"], f.files[execute.ManifestsDir+"kube-apiserver.yaml"] = true, "x"
	p.world.secret, p.world.version, p.world.starts = nil, 0, 1
	p.forget()
	p.checkMasterIsKept(t)
}

// The checks of a node look for what others have on it, as those of a master do, until kubeadm was begun there.
func TestChecksLookForOthers(t *testing.T) {
	p := newPark(t, 1, 3)
	p.Artifact = artifact(t)
	p.machines[1].files[p.Members[1].Path("notes")] = "precious"
	for i, begun := range []string{hostrecord.BegunInstall, hostrecord.BegunKubeadmJoin} {
		m := p.Members[2+i]
		p.machines[2+i].files[m.Path(hostrecord.JournalFile)] = "x"
		p.machines[2+i].files[m.Path(hostrecord.RecordFile)] = strings.Replace(record, hostrecord.BegunInstall, begun, 1)
	}
	var reports []host.Report
	failed := make([]error, 4)
	for _, m := range p.Members {
		failed[m.Index] = m.Look(t.Context(), nil)
		m.Facts.Data = []string{host.EtcdDir, host.ContainerdDir}
		reports = append(reports, host.Report{Host: m.Host, Conn: m.Conn, Facts: m.Facts})
	}
	var got []string
	for _, f := range checklist.Run(p.checkHosts().Observed(t.Context(), reports, failed)) {
		if slices.Contains([]string{"foreign-directory", "foreign-etcd", "foreign-containerd"}, f.Check) {
			got = append(got, f.Host+" "+f.Check)
		}
	}
	want := []string{"10.0.0.1 foreign-etcd", "10.0.0.1 foreign-containerd", "10.0.0.2 foreign-directory", "10.0.0.2 foreign-etcd", "10.0.0.2 foreign-containerd", "10.0.0.3 foreign-etcd"}
	if !slices.Equal(got, want) {
		t.Errorf("findings are %q, want %q", got, want)
	}
}

// What cannot be asked of one host is a finding, next to those of the others.
func TestChecksOfAHostThatFails(t *testing.T) {
	p := newPark(t, 1, 1)
	p.Artifact = artifact(t)
	p.Members[0].Facts.SwapBytes = 1 << 30
	reports := []host.Report{{Host: p.Members[0].Host, Facts: p.Members[0].Facts}, {Host: p.Members[1].Host, Facts: p.Members[1].Facts}}
	findings := checklist.Run(p.checkHosts().Observed(t.Context(), reports, []error{nil, errors.New("took too long")}))
	for _, want := range []string{"10.0.0.1 swap", "10.0.0.2 host-reachable"} {
		if !slices.ContainsFunc(findings, func(f check.Finding) bool { return f.Host+" "+f.Check == want }) {
			t.Errorf("%q is not in %+v", want, findings)
		}
	}
}

// The checks know what documents of kubeadm in the Clusterfile say, and leave the cluster as it was.
func TestChecksReadKubeadm(t *testing.T) {
	p := sited(t, highlyAvailable+`---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failSwapOn: false
failCgroupV1: false
`)
	before := p.State
	documents, err := p.draftConfiguration(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := &check.Site{}
	preflight.Describe(s, documents)
	if fmt.Sprint(s.PodNetworks, s.ServiceNetworks) != "[100.64.0.0/10] [10.96.0.0/12]" || s.ProxyMode != "nftables" || !s.SwapAllowed || !s.CgroupV1Allowed {
		t.Errorf("the site is %+v", s)
	}
	if p.State != before || p.kubeadm != nil {
		t.Error("the cluster was changed")
	}
}
