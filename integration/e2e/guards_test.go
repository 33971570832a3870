//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// guards tries commands that would destroy a cluster, or foreign data, on a cluster with a master, a node and two spare hosts. That cluster
// is made by the case v2-env; at the end the case v2-env-list adds the spare hosts to it, and brings the node back, which was reinstalled.
func guards(t *testing.T, r *road) {
	r.foreignRuntime(t)
	for i := range r.lab.Hosts {
		r.loginsOfEnvList(t, i+1)
	}
	before := r.snapshots(t)
	t.Run("an etcd of somebody else", r.foreignEtcd)
	t.Run("delete where nothing is ours", r.deleteWithoutRecord)
	if !t.Run("a network of somebody else", func(t *testing.T) { r.foreignNetwork(t, before) }) {
		return
	}
	file := r.clusterfile(t, "v2-env", r.registry+"/site:v1")
	if !t.Run("v2-env", func(t *testing.T) { r.caseEnv(t, file) }) {
		return
	}
	t.Run("a command that fails", func(t *testing.T) {
		cmd := r.command(t.Context(), "apply", "-f", file, "-e", oomScore, "--cmd", "false")
		cmd.Env = append(cmd.Env, "SEALER_PASSWD="+r.lab.Passwords["root"])
		r.refused(t, cmd, 1, "false")
	})
	t.Run("lost markers", func(t *testing.T) { r.lostMarkers(t, file) })
	t.Run("another master for the same node", r.stolenNode)
	t.Run("kubeadm's documents change", func(t *testing.T) { r.changedDocuments(t, file) })
	all := r.clusterfile(t, "v2-env-list", r.registry+"/site:v1")
	t.Run("v2-env-list, and a node that comes back empty", func(t *testing.T) { r.caseEnvList(t, all, before) })
	listed := r.rewritten(t, all, func(text string) string {
		return strings.Replace(text, "10.77.0.12-10.77.0.14", "10.77.0.12-10.77.0.13", 1)
	})
	t.Run("a host less in the Clusterfile", func(t *testing.T) { r.unlisted(t, listed, before[4]) })
	t.Run("delete", func(t *testing.T) {
		r.asRoot(t, "delete", "--all", "--yes", "-f", listed)
		for i, want := range before {
			same(t, fmt.Sprintf("h%d after delete", i), firstBoot.ReplaceAllString(want, ""), firstBoot.ReplaceAllString(r.snapshot(t, i), ""))
		}
	})
}

// loginsOfEnvList are a user of the first host's own, and another port on the others.
func (r *road) loginsOfEnvList(t *testing.T, i int) {
	t.Helper()
	if i == 1 {
		r.ssh(t, i, "useradd -m -s /bin/bash -G sudo admin && echo admin:yyy | chpasswd")
		return
	}
	r.ssh(t, i, "printf 'Port 22\\nPort 2222\\n' > /etc/ssh/sshd_config.d/port.conf && systemctl restart ssh")
}

// ofEnvList runs sealer-run by the case. The image asks for the variable that the case does not have.
func (r *road) ofEnvList(t *testing.T, file, command string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	args = append([]string{command, "-f", file, "-e", oomScore, "-e", "docker-dir=/var/lib/docker"}, args...)
	return r.output(r.command(t.Context(), args...))
}

// caseEnvList adds two nodes, and the role of all of them. The node that is there already has a new, empty disk.
func (r *road) caseEnvList(t *testing.T, file string, before map[int]string) {
	r.reinstall(t, 2)
	r.loginsOfEnvList(t, 2)
	before[2] = r.snapshot(t, 2)
	_, stderr, err := r.ofEnvList(t, file, "apply")
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, stderr, r.lastLog())
	}
	for _, want := range []string{firstNode + ": comes back empty, and joins again in place of node h2", masters + ": remove node h2: " + firstNode + " comes back empty"} {
		if !strings.Contains(stderr, "  "+want+"\n") {
			t.Errorf("it did not say %q:\n%s", want, stderr)
		}
	}
	if got := r.kubectl(t, "get nodes -l node-role.kubernetes.io/db -o name"); got != "node/h2\nnode/h3\nnode/h4" {
		t.Errorf("nodes with the role db are %s", got)
	}
	r.kubectl(t, "wait --for=condition=Ready nodes --all --timeout=60s")
}

// unlisted applies the Clusterfile without one of the hosts: that one stays in the cluster, and is named, until it is to be pruned. Then it leaves
// as it was before.
func (r *road) unlisted(t *testing.T, file, before string) {
	const named = "not named, and left in the cluster as they are: 10.77.0.14 (h4, node)\n"
	run := func(want int, said string, args ...string) (stdout string) {
		t.Helper()
		stdout, stderr, err := r.ofEnvList(t, file, args[0], args[1:]...)
		if exitCode(err) != want || !strings.Contains(stdout+stderr, said) {
			t.Fatalf("%s: %v, want status %d and %q\n%s%s\n%s", strings.Join(args, " "), err, want, said, stdout, stderr, r.lastLog())
		}
		return stdout
	}
	run(0, named, "plan")
	run(0, named, "apply")
	if got := r.kubectl(t, "get nodes -o name"); got != "node/h1\nnode/h2\nnode/h3\nnode/h4" {
		t.Errorf("nodes are %s", got)
	}
	plan := run(pending, "10.77.0.14 (h4, node)", "plan", "--prune")
	run(0, "1 host left cluster "+guardedName, "apply", "--prune")
	r.asPlanned(t, plan)
	if got := r.kubectl(t, "get nodes -o name"); got != "node/h1\nnode/h2\nnode/h3" {
		t.Errorf("nodes are %s", got)
	}
	same(t, "h4 after it left", before, r.snapshot(t, 4))
	run(0, "nothing to do", "plan", "--prune")
}

const (
	guardedName = "my-cluster" // in the case
	guardedDir  = "/var/lib/sealer/data/" + guardedName
)

// caseEnv brings the cluster up. Its image has a script that prints a variable, of which the master has a value of its own.
func (r *road) caseEnv(t *testing.T, file string) {
	stderr := r.withPassword(t, "apply", "-f", file, "-e", oomScore)
	for _, want := range []string{"10.77.0.11 | /data/docker\n", "10.77.0.12 | /var/lib/docker\n"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("the script did not print %q", want)
		}
	}
}

// withPassword runs sealer-run with root's password in the environment and returns its standard error.
func (r *road) withPassword(t *testing.T, args ...string) string {
	t.Helper()
	cmd := r.command(t.Context(), args...)
	cmd.Env = append(cmd.Env, "SEALER_PASSWD="+r.lab.Passwords["root"])
	_, stderr, err := r.output(cmd)
	if err != nil {
		t.Fatalf("sealer-run %s: %v\n%s\n%s", strings.Join(args, " "), err, stderr, r.lastLog())
	}
	return stderr
}

// fails runs sealer-run, which has to fail and say why.
func (r *road) fails(t *testing.T, args []string, want ...string) {
	t.Helper()
	r.refused(t, r.command(t.Context(), append(args, "--pk", r.lab.Key)...), 1, want...)
}

// foreignEtcd is refused on a future node and on a future master, and its data stays.
func (r *road) foreignEtcd(t *testing.T) {
	for i, to := range map[int]string{2: firstNode, 1: masters} {
		r.ssh(t, i, "mkdir -p /var/lib/etcd/member/snap && echo precious > /var/lib/etcd/member/snap/db")
		r.fails(t, r.small(), to, "/var/lib/etcd")
		if got := r.ssh(t, i, "cat /var/lib/etcd/member/snap/db; test -e "+dataDir+" && echo installed || :"); got != "precious" {
			t.Errorf("%s: there is %q", to, got)
		}
		r.ssh(t, i, "rm -rf /var/lib/etcd")
	}
}

func (r *road) deleteWithoutRecord(t *testing.T) {
	r.ssh(t, 3, "mkdir -p "+dataDir+"/rootfs/scripts && echo precious > "+dataDir+"/file && echo 'rm -f /precious' > "+dataDir+"/rootfs/scripts/clean.sh && echo precious > /precious")
	stdout, stderr, err := r.run(t, "delete", "--all", "--yes", "-m", secondNode)
	if err == nil || strings.Contains(stdout, "removed") {
		t.Errorf("it said %q %q, %v", stdout, stderr, err)
	}
	r.fails(t, []string{r.source, "-m", masters, "-n", secondNode}, secondNode, dataDir)
	if got := r.ssh(t, 3, "cat /precious "+dataDir+"/file; rm -rf /var/lib/sealer /precious"); got != "precious\nprecious" {
		t.Errorf("there is %q", got)
	}
}

// podman is what podman installs: a network of pods that a kubelet takes for its own.
const podman = `{"cniVersion":"0.4.0","name":"podman","plugins":[{"type":"bridge","bridge":"cni-podman0","isGateway":true,"ipMasq":true,
	"hairpinMode":true,"ipam":{"type":"host-local","routes":[{"dst":"0.0.0.0/0"}],"ranges":[[{"subnet":"10.88.0.0/16","gateway":"10.88.0.1"}]]}}]}`

// foreignNetwork brings up a cluster whose master has the network of another program, and a nameserver on loopback. Its nodes get ready, and
// yet nothing works: the run fails and names the file. It leaves no host behind that a removal by the master does not find.
func (r *road) foreignNetwork(t *testing.T, before map[int]string) {
	const file = "/etc/cni/net.d/87-podman.conflist"
	if _, err := r.lab.SSH(t.Context(), 1, []byte(podman), "mkdir -p /etc/cni/net.d; cat > "+file); err != nil {
		t.Fatal(err)
	}
	args := r.small("--cmd", sayNodes)
	plan, stderr, err := r.run(t, append([]string{"plan"}, args...)...)
	if wanted := "/resolv.conf for the kubelet"; exitCode(err) != pending || !strings.Contains(plan, wanted) {
		t.Errorf("the plan does not contain %q (%v):\n%s%s", wanted, err, plan, stderr)
	}
	stdout, stderr, err := r.run(t, args...)
	if err == nil || strings.Contains(stdout, "runs") {
		t.Fatalf("it ended with %v and said %q\n%s", err, stdout, stderr)
	}
	for _, want := range []string{masters + " has the address 10.88.", file + ", a file of another program"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("the error does not say %q:\n%s", want, stderr)
		}
	}
	if out := r.succeed(t, "delete", "--all", "--yes", "-m", masters); !strings.Contains(out, "cluster default removed") {
		t.Errorf("it said %q", out)
	}
	r.ssh(t, 1, "rm "+file+"; rmdir -p /etc/cni/net.d; ip link delete cni-podman0")
	r.bare(t, before)
}

// lostMarkers do not lead to a new cluster: its content stays, and the markers are written again.
func (r *road) lostMarkers(t *testing.T, file string) {
	r.kubectl(t, "create namespace precious")
	authority := r.ssh(t, 1, "sha256sum /etc/kubernetes/pki/ca.crt")
	for i := 1; i <= 2; i++ {
		r.ssh(t, i, "rm -f "+filepath.Join(guardedDir, "kubeadm-*.done"))
	}
	r.ssh(t, 1, "rm -f "+filepath.Join(guardedDir, "state.json"))
	r.withPassword(t, "apply", "-f", file, "-e", oomScore)
	r.kubectl(t, "get namespace precious")
	if now := r.ssh(t, 1, "sha256sum /etc/kubernetes/pki/ca.crt"); now != authority {
		t.Error("the cluster has another authority")
	}
	r.ssh(t, 1, "test -s "+filepath.Join(guardedDir, "kubeadm-init.done")+" && test -s "+filepath.Join(guardedDir, "state.json"))
	r.ssh(t, 2, "test -s "+filepath.Join(guardedDir, "kubeadm-join.done"))
	r.kubectl(t, "delete namespace precious --wait=false")
}

// stolenNode is refused to a run with another master, also while the node has no record, and stays in its cluster.
func (r *road) stolenNode(t *testing.T) {
	theft := []string{r.source, "-m", secondNode, "-n", firstNode, "--cluster-name", guardedName, "-e", oomScore}
	r.fails(t, theft, firstNode, "another cluster")
	record := filepath.Join(guardedDir, "record.json")
	r.ssh(t, 2, "mv "+record+" /run/record.json")
	r.fails(t, theft, firstNode)
	r.ssh(t, 2, "mv /run/record.json "+record)
	eventually(t, time.Minute, func() error {
		r.kubectl(t, "wait --for=condition=Ready node --all --timeout=30s")
		return nil
	})
	if got := r.kubectl(t, "get nodes -o name"); strings.Count(got, "node/") != 2 {
		t.Errorf("the nodes are %q", got)
	}
	// Of a run that was refused, the file that its lock was on stays below /run; only a removal takes it away.
	r.ssh(t, 3, "test ! -e "+guardedDir+" && rm /run/kubefile.lock")
}

// changedDocuments are refused where a running cluster cannot change, by a plan and by a run. What can change is applied, once; the case that follows
// takes it back.
func (r *road) changedDocuments(t *testing.T, file string) {
	with := func(field string) []string {
		documents := "\n---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n" + field + "\n"
		return []string{"-f", r.rewritten(t, file, func(text string) string { return text + documents }), "-e", oomScore}
	}
	run := func(want int, said string, args ...string) {
		cmd := r.command(t.Context(), args...)
		cmd.Env = append(cmd.Env, "SEALER_PASSWD="+r.lab.Passwords["root"])
		stdout, stderr, err := r.output(cmd)
		if exitCode(err) != want || !strings.Contains(stdout+stderr, said) {
			t.Errorf("sealer-run %s: %v, want status %d and %q\n%s%s", strings.Join(args, " "), err, want, said, stdout, stderr)
		}
	}
	for _, command := range []string{"plan", "apply"} {
		run(1, "ClusterConfiguration.clusterName: cannot change", append([]string{command}, with("clusterName: other")...)...)
	}
	applied := with("apiServer: {certSANs: [api.site.example]}")
	run(pending, masters+": renew the certificate of kube-apiserver: + api.site.example", append([]string{"plan"}, applied...)...)
	run(0, "runs", append([]string{"apply"}, applied...)...)
	run(0, "nothing to do", append([]string{"plan"}, applied...)...)
	r.kubectl(t, "--tls-server-name api.site.example get --raw /readyz")
}
