package phase

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/kubeadm/difference"
	"github.com/kubefile/kubefile/runner/reconfigure"
)

const (
	clusterHead = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n"
	kubeletHead = "---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
	proxyHead   = "---\napiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"

	settingsBefore = clusterHead + "apiServer: {certSANs: [old.example, 10.9.9.9], extraArgs: [{name: profiling, value: 'false'}, {name: client-secret, value: s3cret}]}\n" +
		kubeletHead + "maxPods: 110\n" + proxyHead + "metricsBindAddress: 127.0.0.1:10249\n"
	settingsAfter = clusterHead + "apiServer: {certSANs: [old.example, new.example], extraArgs: [{name: v, value: '2'}, {name: client-secret, value: s3cret2}]}\n" +
		"scheduler: {extraArgs: [{name: v, value: '3'}]}\n" + kubeletHead + "maxPods: 200\n" + proxyHead + "metricsBindAddress: 0.0.0.0:10249\n"
)

// noLimit is for a run that is not killed.
const noLimit = 1 << 40

// TestChangedSettings: a run applies what changed everywhere, one that follows does nothing, and the first settings can come back.
func TestChangedSettings(t *testing.T) {
	p := configurable(t, settingsBefore, 2, 2)
	untouchedFiles := p.machines[3].get(execute.HostsFile)
	next, _, err := p.changed(t, settingsAfter, noLimit, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, next.out)
	}
	golden(t, "settings.txt", []byte(next.plan(t)))
	next.secretless(t, "s3cret")
	for i, f := range p.machines {
		if text := f.get(reconfigure.KubeletSettings); !strings.Contains(text, "maxPods: 200") || !strings.Contains(text, "resolvConf: /of/"+f.node()) {
			t.Errorf("%s: the kubelet has\n%s", f.host, text)
		}
		if i > 1 {
			continue
		}
		names := namesIn(f.get(certificateFile))
		if !slices.Contains(names, "new.example") || !slices.Contains(names, "old.example") || slices.Contains(names, "10.9.9.9") || !slices.Contains(names, execute.EndpointName) {
			t.Errorf("%s: the certificate has %q", f.host, names)
		}
		for part, want := range map[difference.Part]string{difference.PartAPIServer: `"kube-apiserver","--own=x","--v=2","--client-secret=s3cret2"`,
			difference.PartScheduler: `"kube-scheduler","--own=x","--v=3"`, difference.PartControllerManager: `"kube-controller-manager","--own=x"]`} {
			if text := f.get(execute.ManifestsDir + string(part) + ".yaml"); !strings.Contains(text, want) {
				t.Errorf("%s: the manifest of %s is %s, want %s", f.host, part, text, want)
			}
		}
		if text := f.get(next.Members[i].Path(execute.InitConfig)); !strings.Contains(text, "new.example") || !strings.Contains(text, "maxPods: 200") {
			t.Errorf("%s: %s is\n%s", f.host, execute.InitConfig, text)
		}
	}
	for name, want := range map[string]string{"kubeadm-config": "new.example", "kubelet-config": "maxPods: 200", "kube-proxy": "0.0.0.0:10249"} {
		if text := p.machines[0].get(apiDir + name); !strings.Contains(text, want) {
			t.Errorf("ConfigMap %s is\n%s\nwant %s", name, text, want)
		}
	}
	if p.machines[3].get(execute.HostsFile) != untouchedFiles {
		t.Error("/etc/hosts was changed")
	}
	if w := p.wanted(t); len(w.Mixed) > 0 || !strings.Contains(encode(w.Kubeadm), "new.example") || strings.Contains(encode(w.Kubeadm), "s3cret") {
		t.Errorf("the state has %v", w)
	}
	if again, _, err := p.changed(t, settingsAfter, noLimit, nil); err != nil || again.plan(t) != "nothing to do\n" {
		t.Errorf("the same again: %v\n%s", err, again.plan(t))
	}
	if back, _, err := p.changed(t, settingsBefore, noLimit, nil); err != nil {
		t.Fatalf("%v\n%s", err, back.out)
	}
	for _, f := range p.machines {
		if text := f.get(reconfigure.KubeletSettings); !strings.Contains(text, "maxPods: 110") {
			t.Errorf("%s: the kubelet has\n%s", f.host, text)
		}
	}
	if names := namesIn(p.machines[1].get(certificateFile)); slices.Contains(names, "new.example") || !slices.Contains(names, "10.9.9.9") {
		t.Errorf("the certificate has %q", names)
	}
}

// TestChangedSettingsAsPlanned: a plan says what a run does, and does nothing.
func TestChangedSettingsAsPlanned(t *testing.T) {
	p := configurable(t, settingsBefore, 2, 1)
	var plans []string
	for _, dry := range []bool{true, false} {
		next, _, err := p.changed(t, settingsAfter, noLimit, func(c *Cluster) { c.DryRun = dry })
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, next.plan(t))
		for _, f := range p.machines {
			if dry && len(f.ran) > 0 {
				t.Errorf("%s: a dry run ran %q", f.host, f.ran)
			}
		}
	}
	if plans[0] != plans[1] {
		t.Errorf("planned\n%s\ndone\n%s", plans[0], plans[1])
	}
}

// TestSettingsKilledBeforeEveryCommand: the same command again reaches the end of an undisturbed run, and so does a Clusterfile that was taken back.
func TestSettingsKilledBeforeEveryCommand(t *testing.T) {
	undisturbed := configurable(t, settingsBefore, 2, 1)
	restoreFirst := undisturbed.keep()
	_, total, err := undisturbed.changed(t, settingsAfter, noLimit, nil)
	if err != nil {
		t.Fatal(err)
	}
	after := undisturbed.keep()
	different := map[string]int{}
	for _, wanted := range []string{settingsAfter, settingsBefore} {
		after()
		if _, _, err := undisturbed.changed(t, wanted, noLimit, nil); err != nil {
			t.Fatal(err)
		}
		want := &park{}
		for _, f := range undisturbed.machines {
			want.machines = append(want.machines, &machine{host: f.host, files: f.snapshot(), units: f.units})
		}
		for limit := range total {
			restoreFirst()
			if _, _, err := undisturbed.changed(t, settingsAfter, limit, nil); err == nil {
				t.Fatalf("before command %d: not killed", limit)
			}
			if _, _, err := undisturbed.changed(t, wanted, noLimit, nil); err != nil {
				different["the second run fails: "+err.Error()]++
			}
			for i, f := range undisturbed.machines {
				compareSettings(f, want.machines[i], different)
			}
			if w := undisturbed.wanted(t); len(w.Mixed) > 0 {
				different["the state has other documents"]++
			}
		}
	}
	for what, times := range different {
		t.Errorf("%d times: %s", times, what)
	}
}

// compareSettings is compare for what a change of settings is about. A kubelet or a proxy that was not changed yet has no marker.
func compareSettings(f, want *machine, different map[string]int) {
	have := &machine{host: f.host, files: f.snapshot(), units: f.units}
	for _, files := range []map[string]string{have.files, want.files} {
		for name := range files {
			if strings.HasSuffix(name, reconfigure.SettingsMarker) || strings.HasSuffix(name, reconfigure.KubeletMarker) || name == apiDir+"annotation" {
				delete(files, name)
			}
		}
	}
	compare(have, want, different)
	if !slices.Equal(sortedNames(have), sortedNames(want)) {
		different[fmt.Sprintf("%s: the certificate has %q, want %q", f.host, sortedNames(have), sortedNames(want))]++
	}
}

func sortedNames(f *machine) []string {
	names := namesIn(f.get(certificateFile))
	slices.Sort(names)
	return names
}

// TestUnhealthySettings: with settings that do not work, a run stops at the first host, which has its earlier ones again. Others are untouched, and
// better settings can be applied afterwards.
func TestUnhealthySettings(t *testing.T) {
	for _, tt := range []struct{ name, documents, host, want string }{
		{"an argument", clusterHead + "apiServer: {extraArgs: [{name: " + unhealthy + ", value: x}]}\n", "10.0.0.1: restart kube-apiserver", "its earlier manifest is back in place"},
		{"an argument of another part", clusterHead + "scheduler: {extraArgs: [{name: " + unhealthy + ", value: x}]}\n", "10.0.0.1: restart kube-scheduler", "its earlier manifest is back in place"},
		{"a setting of the kubelet", kubeletHead + unhealthy + ": true\n", "10.0.0.1: write /var/lib/kubelet/config.yaml", "runs again with its earlier settings"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := configurable(t, "", 2, 1)
			before := p.machines[0].snapshot()
			_, _, err := p.changed(t, tt.documents, noLimit, func(c *Cluster) { c.healthWait = time.Second })
			if err == nil || !strings.Contains(err.Error(), tt.host) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error is %v, want %q and %q", err, tt.host, tt.want)
			}
			for name, content := range before {
				if strings.HasPrefix(name, execute.ManifestsDir) || name == reconfigure.KubeletSettings {
					if got := p.machines[0].get(name); got != content {
						t.Errorf("%s is\n%s\nwant\n%s", name, got, content)
					}
				}
			}
			for _, f := range p.machines[1:] {
				if got := f.calls("systemctl"); len(got) > 0 || len(f.calls("/var/lib/sealer/data/default/rootfs/bin/kubeadm")) > 0 {
					t.Errorf("%s: ran %q", f.host, f.ran)
				}
			}
			if next, _, err := p.changed(t, settingsAfter, noLimit, nil); err != nil {
				t.Fatalf("%v\n%s", err, next.out)
			}
			if w := p.wanted(t); len(w.Mixed) > 0 || strings.Contains(encode(w.Kubeadm)+p.machines[0].get(apiDir+"kubeadm-config"), unhealthy) {
				t.Errorf("the state has %v", w)
			}
		})
	}
}

// TestKilledWhileUnhealthy: a run that was killed while its master does not get healthy does not lock the cluster: the next one puts the earlier
// manifest back, with which the API answers.
func TestKilledWhileUnhealthy(t *testing.T) {
	p := configurable(t, "", 1, 0)
	bad := clusterHead + "apiServer: {extraArgs: [{name: " + unhealthy + ", value: x}]}\n"
	for limit := int64(1); ; limit++ {
		if _, _, err := p.changed(t, bad, limit, func(c *Cluster) { c.healthWait = time.Second }); err == nil {
			t.Fatal("it was never unhealthy")
		}
		if !p.machines[0].runs(difference.PartAPIServer) {
			break
		}
	}
	if next, _, err := p.changed(t, settingsAfter, noLimit, nil); err != nil {
		t.Fatalf("%v\n%s", err, next.out)
	}
	if !p.machines[0].runs(difference.PartAPIServer) || p.machines[0].has("/var/lib/sealer/data/default/"+reconfigure.EarlierManifest+"kube-apiserver.yaml") {
		t.Error("the API server is not healthy, or its earlier manifest is still kept")
	}
}

// TestSettingsOfAbsentHosts: hosts that were not part of a run get the settings when they are, and are named until then.
func TestSettingsOfAbsentHosts(t *testing.T) {
	p := configurable(t, settingsBefore, 1, 2)
	whole := p.machines
	p.machines = whole[:2]
	next, _, err := p.changed(t, settingsAfter, noLimit, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := "10.0.0.3: warning: not part of this run, so it may keep other settings until it is: maxPods = 200 (was 110)"; !strings.Contains(next.out.String(), want) {
		t.Errorf("said\n%s\nwant %s", next.out, want)
	}
	if again, _, err := p.changed(t, settingsAfter, noLimit, nil); err != nil || again.plan(t) != "nothing to do\n" {
		t.Errorf("the same again: %v\n%s", err, again.plan(t))
	}
	p.machines = whole
	all, _, err := p.changed(t, settingsAfter, noLimit, nil)
	if err != nil {
		t.Fatal(err)
	}
	if plan := all.plan(t); strings.Contains(plan, "10.0.0.2") || !strings.Contains(plan, "10.0.0.3: write /var/lib/kubelet/config.yaml") {
		t.Errorf("with all hosts it did\n%s", plan)
	}
	if w := p.wanted(t); len(w.Mixed) > 0 {
		t.Errorf("the state has %v", w.Mixed)
	}
}

// TestSettingsOfAnEarlierVersion: the file that the first master was given says what such a cluster has.
func TestSettingsOfAnEarlierVersion(t *testing.T) {
	p := configurable(t, settingsBefore, 1, 1)
	p.withoutWanted(t)
	if same, _, err := p.changed(t, settingsBefore, noLimit, nil); err != nil || strings.Contains(same.plan(t), "kubelet") {
		t.Errorf("without changes: %v\n%s", err, same.plan(t))
	}
	p.withoutWanted(t)
	if next, _, err := p.changed(t, settingsAfter, noLimit, nil); err != nil {
		t.Fatalf("%v\n%s", err, next.out)
	}
	if text := p.machines[0].get(apiDir + "kubeadm-config"); !strings.Contains(text, execute.EndpointName) || !strings.Contains(text, "new.example") {
		t.Errorf("the ConfigMap is %s, want the names of the site in it", text)
	}
	names := namesIn(p.machines[0].get(certificateFile))
	if !slices.Contains(names, "new.example") || !slices.Contains(names, execute.EndpointName) || !strings.Contains(p.machines[1].get(reconfigure.KubeletSettings), "maxPods: 200") {
		t.Errorf("the certificate has %q, the kubelet\n%s", names, p.machines[1].get(reconfigure.KubeletSettings))
	}
	if again, _, err := p.changed(t, settingsAfter, noLimit, nil); err != nil || again.plan(t) != "nothing to do\n" {
		t.Errorf("the same again: %v\n%s", err, again.plan(t))
	}
}

// withoutWanted has the state be as an earlier version wrote it.
func (p *park) withoutWanted(t *testing.T) {
	t.Helper()
	next, _ := p.again(t, noLimit, func() {})
	if err := next.recall(t.Context()); err != nil {
		t.Fatal(err)
	}
	next.State.Wanted = nil
	if err := next.Save(t.Context(), &next.Session); err != nil {
		t.Fatal(err)
	}
}

// snapshot is a copy of the files.
func (f *machine) snapshot() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.files)
}
