//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// clusterName is that of cases/v2-basic, which is applied to the same cluster.
const clusterName = "default-kubernetes-cluster"

// sayNodes stands in for the image's command, so that two of its images are not pulled by anybody.
const sayNodes = "kubectl get nodes"

// oomScore is what hosts in containers need.
const oomScore = "CONTAINERD_RESTRICT_OOM_SCORE_ADJ=true"

// availability is a cluster of three masters and three nodes on an isolated network, some without a default route and all without a
// nameserver that pods could ask. Two Clusterfiles of the old tool make it.
type availability struct {
	*road
	whole   string // the case v1alpha1, which has plugins, too
	cluster string // its Cluster alone
	plugins string // the case plugins
}

// highAvailability brings up the cluster and takes the first master's power away.
func highAvailability(t *testing.T, r *road) {
	before := r.snapshots(t)
	whole := r.rewritten(t, r.clusterfile(t, "v1alpha1", r.source), func(text string) string {
		return strings.Replace(text, "  name: my-cluster\n", "  name: "+clusterName+"\n", 1)
	})
	cluster := r.rewritten(t, whole, func(text string) string {
		first, _, _ := strings.Cut(text, "---\n")
		return first
	})
	a := &availability{road: r, whole: whole, cluster: cluster, plugins: r.clusterfile(t, "plugins", "")}
	t.Run("plan for the network of the hosts", a.networkPlan)
	if !t.Run("v1alpha1 and plugins", a.casePlugins) || !t.Run("three masters and three nodes", a.threeMasters) {
		return
	}
	t.Run("the endpoint on every host", a.endpoints)
	t.Run("all images on every master", a.completeMasters)
	t.Run("v2-basic", a.caseBasic)
	t.Run("power cut of the first master", a.firstMasterGone)
	t.Run("the first master is back", a.firstMasterBack)
	t.Run("the first master and a node leave", func(t *testing.T) { a.hostsLeave(t, before) })
	t.Run("delete", func(t *testing.T) {
		r.asRoot(t, "delete", "--all", "--yes", "--cluster-name", clusterName, "-m", "10.77.0.12", "-p", "-")
		r.bare(t, before)
	})
}

// applied are the arguments that make the cluster, without the plugins.
func (a *availability) applied() []string { return []string{"-f", a.cluster, "--cmd", sayNodes} }

// caseBasic applies a Clusterfile with one node less, and the networks and names of the API that the cluster has.
func (a *availability) caseBasic(t *testing.T) {
	networks := filepath.Join(t.TempDir(), "networks.yaml")
	const document = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworking: {podSubnet: 100.64.0.0/10, serviceSubnet: 10.96.0.0/22}\n" +
		"apiServer: {certSANs: [aliyun-inc.com, 10.0.0.2]}\n"
	if err := os.WriteFile(networks, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	a.nothingToDo(t, "-f", a.clusterfile(t, "v2-basic", a.source), "-f", networks, "--cmd", sayNodes)
}

// rootCommand is sealer-run with root's password on its standard input.
func (r *road) rootCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := r.command(t.Context(), args...)
	cmd.Stdin = strings.NewReader(r.lab.Passwords["root"] + "\n")
	return cmd
}

// asRoot runs sealer-run with root's password on its standard input.
func (r *road) asRoot(t *testing.T, args ...string) string {
	t.Helper()
	cmd := r.rootCommand(t, args...)
	stdout, stderr, err := r.output(cmd)
	if err != nil {
		t.Fatalf("sealer-run %s: %v\n%s\n%s", strings.Join(args, " "), err, stderr, r.lastLog())
	}
	return stdout
}

// nothingToDo applies what is there already.
func (r *road) nothingToDo(t *testing.T, args ...string) {
	t.Helper()
	args = append([]string{"apply", "-e", oomScore}, args...)
	if out := r.asRoot(t, args...); !strings.Contains(out, "nothing to do") {
		t.Errorf("it said %q\n%s", out, r.told())
	}
	if plan := r.asRoot(t, append(args, "--dry-run")...); strings.TrimSpace(plan) != "nothing to do" {
		t.Errorf("the plan is %q", plan)
	}
}

// networkPlan names what the hosts lack and get: some a route to the services, and all of them nameservers for pods.
func (a *availability) networkPlan(t *testing.T) {
	plan, stderr, err := a.output(a.command(t.Context(), "plan", "-f", a.whole, "-f", a.plugins, "-e", oomScore))
	if exitCode(err) != pending {
		t.Fatalf("a plan with changes ends with %v: %s", err, stderr)
	}
	withoutRoute := map[int]bool{1: true, 4: true, 6: true} // see harsh
	for i, h := range a.lab.Hosts {
		route := h.Address + ": start kubefile-service-route.service (no default route: "
		if got, want := strings.Contains(plan, route), withoutRoute[i+1]; got != want {
			t.Errorf("the plan contains %q: got %t, want %t", route, got, want)
		}
		if resolv := h.Address + ": write " + clusterDir + "/resolv.conf for the kubelet ("; !strings.Contains(plan, resolv) {
			t.Errorf("the plan does not contain %q", resolv)
		}
	}
	if t.Failed() {
		t.Log(plan)
	}
}

// threeMasters applies the Cluster without the plugin that fails, and with another command.
func (a *availability) threeMasters(t *testing.T) {
	if out := a.asRoot(t, append([]string{"apply", "-e", oomScore}, a.applied()...)...); !strings.Contains(out, "cluster "+clusterName+" runs") {
		t.Errorf("it said %q\n%s", out, a.told())
	}
	a.kubectl(t, "wait --for=condition=Ready nodes --all --timeout=60s")
	if got := a.kubectl(t, "get nodes -l node-role.kubernetes.io/control-plane -o name"); got != "node/master-0\nnode/master-1\nnode/master-2" {
		t.Errorf("masters are %s", got)
	}
	if got := a.kubectl(t, "get nodes -o name"); len(strings.Fields(got)) != 6 {
		t.Errorf("nodes are %s", got)
	}
	if got := a.kubectl(t, "-n kube-system get pods -l component=etcd -o name"); len(strings.Fields(got)) != 3 {
		t.Errorf("members of etcd are %s", got)
	}
	dns := strings.Fields(a.kubectl(t, "-n kube-system get pods -l k8s-app=kube-dns --field-selector=status.phase=Running -o jsonpath='{.items[*].spec.nodeName}'"))
	if slices.Sort(dns); len(slices.Compact(dns)) < 2 {
		t.Errorf("the DNS runs on %s only", dns)
	}
	for _, i := range []int{2, 3} {
		if got := a.ssh(t, i, "KUBECACHEDIR=/tmp/kubectl-cache kubectl get nodes -o name | wc -l"); got != "6" {
			t.Errorf("kubectl on h%d sees %s nodes", i, got)
		}
	}
}

// endpoints looks where each host finds the API, and asks it there as the kubelet does.
func (a *availability) endpoints(t *testing.T) {
	for i, want := range map[int]string{1: "10.77.0.11", 2: "10.77.0.12", 3: "10.77.0.13", 4: "127.0.0.1", 5: "127.0.0.1", 6: "127.0.0.1"} {
		if got, _, _ := strings.Cut(a.ssh(t, i, "getent ahostsv4 apiserver.cluster.local"), " "); got != want {
			t.Errorf("h%d finds the API at %q, want %s", i, got, want)
		}
		a.answers(t, i, 10*time.Second)
	}
	for _, i := range []int{4, 5, 6} {
		if got := a.ssh(t, i, "systemctl is-enabled kubefile-apiserver"); got != "enabled" {
			t.Errorf("the balancer of h%d is %s", i, got)
		}
	}
}

// answers waits until the API answers a host.
func (r *road) answers(t *testing.T, i int, patience time.Duration) {
	t.Helper()
	eventually(t, patience, func() error {
		out, err := r.lab.SSH(t.Context(), i, nil, "KUBECACHEDIR=/tmp/kubectl-cache timeout 10 kubectl --kubeconfig /etc/kubernetes/kubelet.conf --request-timeout=5s get --raw /readyz")
		if err == nil && string(out) != "ok" {
			err = fmt.Errorf("h%d: the API says %q", i, out)
		}
		return err
	})
}

// completeMasters compares the stores of all masters, and asks each for every image.
func (a *availability) completeMasters(t *testing.T) {
	const list = "cd " + clusterDir + "/registry && find blobs refs -type f -printf '%p %s\\n' | sort | sha256sum && find blobs -type f | wc -l"
	first := a.ssh(t, 1, list)
	if blobs := strings.Fields(first); len(blobs) < 3 || blobs[2] < "20" {
		t.Fatalf("h1 has %q", first)
	}
	for _, i := range []int{2, 3} {
		if got := a.ssh(t, i, list); got != first {
			t.Errorf("h%d has %s, h1 has %s", i, got, first)
		}
	}
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, []byte(a.ssh(t, 1, "cat "+clusterDir+"/pki/authority.crt")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, image := range a.lock(t).Images {
		for _, master := range []string{"10.77.0.12", "10.77.0.13"} {
			out, err := a.lab.Command(t.Context(), filepath.Join(a.env.Bin, "oras"), "manifest", "fetch", "--descriptor", "--ca-file", ca,
				master+":5000/"+image.Reference).Output()
			if err != nil {
				t.Fatalf("%s has no %s: %v", master, image.Reference, err)
			}
			if got := digestOf(t, out); got != image.Digest.String() {
				t.Errorf("%s has %s as %s, want %s", master, image.Reference, got, image.Digest)
			}
		}
	}
}

const clusterDir = "/var/lib/sealer/data/" + clusterName

// firstMasterGone cuts the power of the first master: the API answers on every other host, pods go on, and an image that nobody has
// pulled is pulled.
func (a *availability) firstMasterGone(t *testing.T) {
	a.onEach(t, "before", "docker.io/kubernetesui/metrics-scraper:v1.0.6", 1)
	ids := a.containers(t, 2)
	if err := a.lab.Kill(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for i := 2; i <= len(a.lab.Hosts); i++ {
		a.answers(t, i, time.Minute)
	}
	a.onEach(t, "after", "docker.io/kubernetesui/dashboard:v2.2.0", 2)
	a.newService(t)
	if got := a.containers(t, 2); got != ids {
		t.Errorf("the containers were %s and are %s", ids, got)
	}
	status := a.asRoot(t, "status", "--cluster-name", clusterName, "-m", "10.77.0.11-10.77.0.13", "-p", "-")
	for _, name := range []string{"master-0", "master-1", "node-1"} {
		if !strings.Contains(status, name) {
			t.Errorf("status says %q", status)
		}
	}
	served := a.asRoot(t, "status", "--served", "--cluster-name", clusterName, "-m", "10.77.0.12", "-p", "-")
	if !strings.Contains(served, "docker.io/kubernetesui/dashboard:v2.2.0\n") {
		t.Errorf("served were %s", served)
	}
}

// newService reaches the pods by a Service that is made without the first master: kube-proxy hears of it on every host.
func (a *availability) newService(t *testing.T) {
	t.Helper()
	const service = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"after"},"spec":{"selector":{"when":"after"},"ports":[{"port":8000}]}}`
	if _, err := a.lab.SSH(t.Context(), 2, []byte(service), "KUBECACHEDIR=/tmp/kubectl-cache kubectl apply -f -"); err != nil {
		t.Fatal(err)
	}
	address := a.ssh(t, 2, "KUBECACHEDIR=/tmp/kubectl-cache kubectl get service after -o jsonpath='{.spec.clusterIP}'")
	for i := 2; i <= len(a.lab.Hosts); i++ {
		eventually(t, time.Minute, func() error {
			_, err := a.lab.SSH(t.Context(), i, nil, "curl -sf -m 5 -o /dev/null http://"+address+":8000/")
			return err
		})
	}
}

// onEach runs a pod of an image on each node, by kubectl on host i.
func (a *availability) onEach(t *testing.T, name, image string, i int) {
	t.Helper()
	const kubectl = "KUBECACHEDIR=/tmp/kubectl-cache timeout 120 kubectl "
	for _, node := range []string{"node-0", "node-1", "node-2"} {
		pod := fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"%[1]s-%[2]s","labels":{"when":%[1]q}},
			"spec":{"nodeName":%[2]q,"containers":[{"name":"c","image":%[3]q}]}}`, name, node, image)
		if _, err := a.lab.SSH(t.Context(), i, []byte(pod), kubectl+"apply -f -"); err != nil {
			t.Fatal(err)
		}
	}
	a.ssh(t, i, kubectl+"wait --for=condition=Ready pod -l when="+name+" --timeout=100s")
}

// containers are the identities of those that ran before, by kubectl on host i.
func (a *availability) containers(t *testing.T, i int) string {
	t.Helper()
	return a.ssh(t, i, "KUBECACHEDIR=/tmp/kubectl-cache kubectl get pods -l when=before -o jsonpath='{range .items[*]}{.metadata.name} {.status.phase} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}{\"\\n\"}{end}'")
}

// firstMasterBack gives the power back: the master takes its place again by itself, and there is nothing to do. While a run finds that out, another
// one, by other masters, is refused.
func (a *availability) firstMasterBack(t *testing.T) {
	if err := a.lab.Start(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	a.answers(t, 1, 3*time.Minute)
	eventually(t, 3*time.Minute, func() error {
		out, err := a.lab.SSH(t.Context(), 1, nil, "systemctl is-active kubefile-registry && KUBECACHEDIR=/tmp/kubectl-cache kubectl wait --for=condition=Ready nodes --all --timeout=10s")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	first := a.rootCommand(t, append([]string{"apply", "-e", oomScore}, a.applied()...)...)
	out := whilePaused(t, first, "Read the cluster's state", func() {
		other := []string{"delete", "-n", "10.77.0.16", "--via", "10.77.0.13", "--cluster-name", clusterName, "--skip-drain", "--yes", "-p", "-"}
		a.refused(t, a.rootCommand(t, other...), 1, "another sealer-run is working on this host", "10.77.0.13", "10.77.0.16")
	})
	if !strings.Contains(out, "nothing to do") {
		t.Errorf("it said %q", out)
	}
	a.kubectl(t, "delete pod -l when --now")
	a.kubectl(t, "delete service after")
}

// hostsLeave takes the first master and a node out of the cluster: they are as they were before, and to the rest it is as if they had never been
// there.
func (a *availability) hostsLeave(t *testing.T, before map[int]string) {
	leave := []string{"delete", "-m", "10.77.0.11", "-n", "10.77.0.16", "--cluster-name", clusterName, "-p", "-"}
	a.noPlaceForDNS(t, leave)
	plan := a.asRoot(t, append(leave, "--dry-run")...)
	if done := a.asRoot(t, append(leave, "--yes")...); !strings.Contains(done, "2 hosts left cluster "+clusterName) {
		t.Errorf("it said %q", done)
	}
	a.asPlanned(t, plan)
	for _, i := range []int{1, 6} {
		same(t, fmt.Sprintf("h%d after it left", i), before[i], a.snapshot(t, i))
	}
	if got := a.ssh(t, 2, "KUBECACHEDIR=/tmp/kubectl-cache kubectl get nodes -o name"); got != "node/master-1\nnode/master-2\nnode/node-0\nnode/node-1" {
		t.Errorf("nodes are %s", got)
	}
	const etcd = "/etc/kubernetes/pki/etcd/"
	if got := a.ssh(t, 2, "crictl exec $(crictl ps -q --name etcd) etcdctl --cacert "+etcd+"ca.crt --cert "+etcd+"server.crt --key "+etcd+"server.key member list | wc -l"); got != "2" {
		t.Errorf("etcd has %s members", got)
	}
	a.cluster = a.rewritten(t, a.cluster, func(text string) string {
		return strings.NewReplacer("     - 10.77.0.11\n", "", "     - 10.77.0.16\n", "").Replace(text)
	})
	a.nothingToDo(t, a.applied()...)
}

// asPlanned expects of the last run what a plan has announced.
func (r *road) asPlanned(t *testing.T, plan string) {
	t.Helper()
	told := r.told()
	for line := range strings.Lines(plan) {
		if change := strings.TrimSuffix(line, "\n"); strings.HasPrefix(change, "  ") && !strings.Contains(told, change) {
			t.Errorf("planned and not done: %s", change)
		}
	}
}

// noPlaceForDNS has the DNS run on the first master only, by the taints that the plugins have set on all others: no host leaves until they are gone.
func (a *availability) noPlaceForDNS(t *testing.T, leave []string) {
	t.Helper()
	a.kubectl(t, "-n kube-system rollout restart deployment coredns")
	a.kubectl(t, "-n kube-system rollout status deployment coredns --timeout=100s")
	eventually(t, time.Minute, func() (err error) {
		if others := a.kubectl(t, "-n kube-system get pods -l k8s-app=kube-dns --field-selector=spec.nodeName!=master-0 -o name"); others != "" {
			err = fmt.Errorf("on other nodes than master-0 are %s", others)
		}
		return err
	})
	cmd := a.rootCommand(t, append(slices.Clone(leave), "--yes", "--drain-timeout", "40s")...)
	a.refused(t, cmd, 1, "DNS runs on no node that stays", "pod coredns-", "untolerated taint", "kubectl uncordon node-2 master-0")
	if got := a.kubectl(t, "get nodes -o name"); len(strings.Fields(got)) != 6 {
		t.Errorf("nodes are %s", got)
	}
	a.kubectl(t, "taint nodes master-1 key1- key5-")
	a.kubectl(t, "taint nodes master-1 master-2 node-0 node-1 node-2 key3- key4-")
}
