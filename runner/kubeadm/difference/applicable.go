package difference

import (
	"strings"

	"github.com/kubefile/kubefile/runner/kubeadm"
)

// Part is what of a running cluster reads a document, and has to be started again when it changes.
type Part string

// The parts that kubeadm installs. The first three are static pods of every master.
const (
	PartAPIServer         Part = "kube-apiserver"
	PartControllerManager Part = "kube-controller-manager"
	PartScheduler         Part = "kube-scheduler"
	PartCertificate       Part = "certificate" // that kube-apiserver serves with
	PartKubelet           Part = "kubelet"
	PartProxy             Part = "kube-proxy"
	// PartJoining does not run: hosts that join read it.
	PartJoining Part = "joining"
)

// rule says what becomes of changes to a field, and to all below it.
type rule struct {
	field string // as in [Change]
	part  Part   // that a change is applied to; empty: it cannot be applied
	why   string // it cannot
}

const (
	whyNetwork = "the networks of a cluster are fixed when it is created"
	whyKubelet = "running containers and the API server depend on it"
	whyStates  = "the node has to be drained, and the kubelet's state files removed, for that"
	whyUnknown = "sealer-run cannot change it safely while the cluster runs"
)

// rules are what can be applied to a running cluster. Of the rules that match a field, the one with the longest field counts. Sources:
// kubernetes.io, "Reconfiguring a kubeadm cluster" and "Control CPU Management Policies on the Node"; k8s.io/kubernetes/cmd/kubeadm/app
// (componentconfigs/kubelet.go for what kubeadm sets itself).
func rules() []rule {
	const (
		api, manager, scheduler = kubeadm.ClusterKind + ".apiServer", kubeadm.ClusterKind + ".controllerManager", kubeadm.ClusterKind + ".scheduler"
		kubelet, proxy          = kubeadm.KubeletKind + ".", kubeadm.ProxyKind + "."
	)
	return []rule{
		{api + ".certSANs", PartCertificate, ""},
		{api + ".extraArgs", PartAPIServer, ""}, {api + ".extraVolumes", PartAPIServer, ""}, {api + ".extraEnvs", PartAPIServer, ""},
		{manager + ".extraArgs", PartControllerManager, ""}, {manager + ".extraVolumes", PartControllerManager, ""}, {manager + ".extraEnvs", PartControllerManager, ""},
		{scheduler + ".extraArgs", PartScheduler, ""}, {scheduler + ".extraVolumes", PartScheduler, ""}, {scheduler + ".extraEnvs", PartScheduler, ""},

		{api + ".extraArgs[service-cluster-ip-range]", "", whyNetwork}, {manager + ".extraArgs[service-cluster-ip-range]", "", whyNetwork},
		{manager + ".extraArgs[cluster-cidr]", "", whyNetwork}, {manager + ".extraArgs[allocate-node-cidrs]", "", whyNetwork},
		{manager + ".extraArgs[node-cidr-mask-size]", "", whyNetwork}, {manager + ".extraArgs[node-cidr-mask-size-ipv4]", "", whyNetwork},
		{manager + ".extraArgs[node-cidr-mask-size-ipv6]", "", whyNetwork},
		{api + ".extraArgs[secure-port]", "", "every kubelet and load balancer has the port"},
		{api + ".extraArgs[advertise-address]", "", "the other hosts have the address"},
		{api + ".extraArgs[etcd-servers]", "", "the data is there"}, {api + ".extraArgs[etcd-prefix]", "", "the data is there"},

		{kubeadm.ClusterKind + ".networking", "", whyNetwork},
		{kubeadm.ClusterKind + ".etcd", "", "etcd keeps its data and arguments"},

		{kubeadm.KubeletKind, PartKubelet, ""},
		{kubelet + "authentication", "", whyKubelet}, {kubelet + "authorization", "", whyKubelet}, {kubelet + "staticPodPath", "", whyKubelet},
		{kubelet + "containerRuntimeEndpoint", "", whyKubelet}, {kubelet + "cgroupDriver", "", whyKubelet}, {kubelet + "cgroupRoot", "", whyKubelet},
		{kubelet + "cgroupsPerQOS", "", whyKubelet}, {kubelet + "rotateCertificates", "", "kubeadm sets it"},
		{kubelet + "clusterDNS", "", whyNetwork}, {kubelet + "clusterDomain", "", whyNetwork}, {kubelet + "podCIDR", "", whyNetwork},
		{kubelet + "resolvConf", "", "it is chosen for each host when the host joins"},
		{kubelet + "cpuManagerPolicy", "", whyStates}, {kubelet + "memoryManagerPolicy", "", whyStates}, {kubelet + "reservedMemory", "", whyStates},

		{kubeadm.ProxyKind, PartProxy, ""},
		{proxy + "mode", "", "the rules of the earlier mode would stay on the hosts"},
		{proxy + "clusterCIDR", "", whyNetwork}, {proxy + "clientConnection.kubeconfig", "", "kubeadm sets it"}, {proxy + "hostnameOverride", "", "all nodes share the document"},

		{kubeadm.JoinKind, PartJoining, ""},
	}
}

// Applies returns the part of a running cluster that a change to a field is applied to, or else why it cannot be applied.
func Applies(field string) (part Part, why string) {
	best := rule{why: whyUnknown}
	for _, r := range rules() {
		rest, below := strings.CutPrefix(field, r.field)
		if below && (rest == "" || rest[0] == '.' || rest[0] == '[') && len(r.field) > len(best.field) {
			best = r
		}
	}
	return best.part, best.why
}

// Phase is what `kubeadm init phase control-plane` calls a static pod.
func (p Part) Phase() string { return strings.TrimPrefix(string(p), "kube-") }
