package difference

import (
	"strings"
	"testing"
)

func TestApplies(t *testing.T) {
	for _, tt := range []struct {
		field string
		part  Part
		why   string
	}{
		{"ClusterConfiguration.apiServer.certSANs", PartCertificate, ""},
		{"ClusterConfiguration.apiServer.extraArgs[profiling]", PartAPIServer, ""},
		{"ClusterConfiguration.apiServer.extraArgs[service-cluster-ip-range]", "", "networks"},
		{"ClusterConfiguration.apiServer.extraArgsOfNobody", "", "safely"},
		{"ClusterConfiguration.apiServer.extraVolumes", PartAPIServer, ""},
		{"ClusterConfiguration.controllerManager.extraEnvs[A]", PartControllerManager, ""},
		{"ClusterConfiguration.scheduler.extraArgs[v]", PartScheduler, ""},
		{"ClusterConfiguration.networking.podSubnet", "", "networks"},
		{"ClusterConfiguration.etcd.local.dataDir", "", "etcd keeps"},
		{"ClusterConfiguration.etcd.local.extraArgs[heartbeat-interval]", "", "etcd keeps"},
		{"ClusterConfiguration.clusterName", "", "safely"},
		{"ClusterConfiguration.featureGates.NodeLocalCRISocket", "", "safely"},
		{"InitConfiguration.nodeRegistration.kubeletExtraArgs[v]", "", "safely"},
		{"JoinConfiguration.nodeRegistration.kubeletExtraArgs[v]", PartJoining, ""},
		{"KubeletConfiguration.maxPods", PartKubelet, ""},
		{"KubeletConfiguration.evictionHard.memory.available", PartKubelet, ""},
		{"KubeletConfiguration.cgroupDriver", "", "running containers"},
		{"KubeletConfiguration.cpuManagerPolicy", "", "drained"},
		{"KubeletConfiguration.cpuManagerPolicyOptions.x", PartKubelet, ""},
		{"KubeletConfiguration.clusterDNS", "", "networks"},
		{"KubeProxyConfiguration.conntrack.maxPerCore", PartProxy, ""},
		{"KubeProxyConfiguration.mode", "", "earlier mode"},
		{"KubeProxyConfiguration.clientConnection.qps", PartProxy, ""},
	} {
		part, why := Applies(tt.field)
		if part != tt.part || (why == "") != (tt.why == "") || !strings.Contains(why, tt.why) {
			t.Errorf("%s: got %q, %q, want %q, %q", tt.field, part, why, tt.part, tt.why)
		}
	}
	if got := PartControllerManager.Phase(); got != "controller-manager" {
		t.Errorf("the phase is %s", got)
	}
}

// TestPatch: what a document of the cluster becomes. Only what the changes are about changes.
func TestPatch(t *testing.T) {
	const cluster = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n"
	const kubelet = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
	for _, tt := range []struct{ name, had, wanted, live, patched string }{
		{"a name is added", cluster, cluster + "apiServer: {certSANs: [new]}", cluster + "apiServer: {certSANs: [of-site]}", cluster + "apiServer: {certSANs: [of-site, new]}"},
		{"a name is removed", cluster + "apiServer: {certSANs: [old, other]}", cluster + "apiServer: {certSANs: [other]}",
			cluster + "apiServer: {certSANs: [of-site, old, other]}", cluster + "apiServer: {certSANs: [of-site, other]}"},
		{"all names are removed", cluster + "apiServer: {certSANs: [old]}", "", cluster + "apiServer: {certSANs: [of-site, old]}", cluster + "apiServer: {certSANs: [of-site]}"},
		{"an argument is added", cluster, cluster + "apiServer: {extraArgs: [{name: v, value: '2'}]}",
			cluster + "apiServer: {extraArgs: [{name: by-hand, value: x}]}", cluster + "apiServer: {extraArgs: [{name: by-hand, value: x}, {name: v, value: '2'}]}"},
		{"an argument is changed", cluster + "apiServer: {extraArgs: [{name: v, value: '1'}]}", cluster + "apiServer: {extraArgs: [{name: v, value: '2'}]}",
			cluster + "apiServer: {extraArgs: [{name: v, value: '1'}]}", cluster + "apiServer: {extraArgs: [{name: v, value: '2'}]}"},
		{"the last argument is removed", cluster + "scheduler: {extraArgs: [{name: v, value: '1'}]}", cluster, cluster + "clusterName: mine\nscheduler: {extraArgs: [{name: v, value: '1'}]}",
			cluster + "clusterName: mine"},
		{"an argument that occurs twice", cluster + "apiServer: {extraArgs: [{name: i, value: a}, {name: v, value: '1'}]}",
			cluster + "apiServer: {extraArgs: [{name: i, value: a}, {name: i, value: b}]}", cluster + "apiServer: {extraArgs: [{name: i, value: a}, {name: v, value: '1'}]}",
			cluster + "apiServer: {extraArgs: [{name: i, value: a}, {name: i, value: b}]}"},
		{"a secret", cluster + "apiServer: {extraArgs: [{name: client-secret, value: s3cret}]}", cluster + "apiServer: {extraArgs: [{name: client-secret, value: s3cret2}]}",
			cluster + "apiServer: {extraArgs: [{name: client-secret, value: s3cret}]}", cluster + "apiServer: {extraArgs: [{name: client-secret, value: s3cret2}]}"},
		{"volumes", cluster, cluster + "apiServer: {extraVolumes: [{name: a, hostPath: /a, mountPath: /a}]}", cluster, cluster + "apiServer: {extraVolumes: [{name: a, hostPath: /a, mountPath: /a}]}"},
		{"a setting of the kubelet", kubelet + "maxPods: 110", kubelet + "maxPods: 200", kubelet + "maxPods: 110\nresolvConf: /run/own", kubelet + "maxPods: 200\nresolvConf: /run/own"},
		{"a setting of the kubelet is removed", kubelet + "maxPods: 110\nevictionHard: {memory.available: 1Gi}", kubelet, kubelet + "maxPods: 110\nevictionHard: {memory.available: 1Gi}\nclusterDNS: [a]",
			kubelet + "clusterDNS: [a]"},
		{"headers of the kubelet", kubelet + "staticPodURLHeader: {A: [s3cret]}", kubelet + "staticPodURLHeader: {A: [s3cret2]}", kubelet + "staticPodURLHeader: {A: [s3cret]}",
			kubelet + "staticPodURLHeader: {A: [s3cret2]}"},
		{"a document that is not there", "", kubelet + "maxPods: 1", cluster, cluster + "---\n" + kubelet + "maxPods: 1"},
		{"a document that is nowhere any more", kubelet + "maxPods: 1", "", cluster, cluster},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wanted := parsed(t, tt.wanted)
			changes := Between(Public(parsed(t, tt.had)), Public(wanted))
			live := parsed(t, tt.live)
			got, want := Patch(live, changes, wanted), parsed(t, tt.patched)
			if other := Between(got, want); len(other) > 0 {
				t.Errorf("got %v, %v", got, other)
			}
			if other := Between(Patch(got, changes, wanted), got); len(other) > 0 {
				t.Errorf("a second time changes %v", other)
			}
			if other := Between(live, parsed(t, tt.live)); len(other) > 0 {
				t.Errorf("the argument was changed: %v", other)
			}
		})
	}
}

// TestCommon: what was added to documents for a site is not taken for what a Clusterfile had.
func TestCommon(t *testing.T) {
	const cluster = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n"
	for _, tt := range []struct{ name, had, wanted, changes string }{
		{"names of the site", cluster + "apiServer: {certSANs: [site, mine]}", cluster + "apiServer: {certSANs: [mine]}", ""},
		{"a name is added", cluster + "apiServer: {certSANs: [site]}", cluster + "apiServer: {certSANs: [mine]}", `certSANs: have ["site"], want ["mine"]`},
		{"an argument of the site", cluster + "apiServer: {extraArgs: [{name: a, value: '1'}, {name: b, value: '1'}]}", cluster + "apiServer: {extraArgs: [{name: b, value: '2'}]}",
			`extraArgs[b]: have "1", want "2"`},
		{"a field that only one has", cluster + "clusterName: a", cluster + "imageRepository: r", `imageRepository: have nothing, want "r"`},
		{"a kind that only one has", cluster, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wanted := parsed(t, tt.wanted)
			var got []string
			for _, change := range Between(Common(parsed(t, tt.had), wanted), wanted) {
				got = append(got, change.String())
			}
			if text := strings.Join(got, "\n"); (text == "") != (tt.changes == "") || !strings.Contains(text, tt.changes) || len(got) > 1 {
				t.Errorf("got %s, want %s", text, tt.changes)
			}
		})
	}
}
