//go:build e2e

package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// guards tries what would destroy a cluster, or the data of somebody else, on a cluster with a master, a node and a spare host. That
// cluster is made by the case v2-env.
func guards(t *testing.T, r *road) {
	before := r.snapshots(t)
	t.Run("an etcd of somebody else", r.foreignEtcd)
	t.Run("delete where nothing is ours", r.deleteWithoutRecord)
	if !t.Run("a run whose command fails", func(t *testing.T) { r.failingRun(t, before) }) {
		return
	}
	file := r.clusterfile(t, "v2-env", r.registry+"/site:v1")
	if !t.Run("v2-env", func(t *testing.T) { r.caseEnv(t, file) }) {
		return
	}
	t.Run("lost markers", func(t *testing.T) { r.lostMarkers(t, file) })
	t.Run("another master for the same node", r.stolenNode)
	t.Run("kubeadm's documents change", r.changedDocuments)
	t.Run("delete", func(t *testing.T) {
		r.withPassword(t, "delete", "--all", "--yes", "-f", file)
		r.bare(t, before)
	})
}

const (
	guardedNode = "10.77.0.12"
	spare       = "10.77.0.13"
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

// small are the arguments that make the cluster of a master and a node.
func (r *road) small(args ...string) []string {
	return append([]string{r.source, "-m", masters, "-n", guardedNode, "-e", "CONTAINERD_RESTRICT_OOM_SCORE_ADJ=true"}, args...)
}

// fails runs sealer-run, which has to fail and say why.
func (r *road) fails(t *testing.T, args []string, want ...string) {
	t.Helper()
	r.refused(t, r.command(t.Context(), append(args, "--pk", r.lab.Key)...), 1, want...)
}

// foreignEtcd is refused on a host that is to be a node, and on one that is to be a master, and its data stay.
func (r *road) foreignEtcd(t *testing.T) {
	for i, to := range map[int]string{2: guardedNode, 1: masters} {
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
	stdout, stderr, err := r.run(t, "delete", "--all", "--yes", "-m", spare)
	if err == nil || strings.Contains(stdout, "is gone") {
		t.Errorf("it said %q %q, %v", stdout, stderr, err)
	}
	r.fails(t, []string{r.source, "-m", masters, "-n", spare}, spare, dataDir)
	if got := r.ssh(t, 3, "cat /precious "+dataDir+"/file; rm -rf /var/lib/sealer /precious"); got != "precious\nprecious" {
		t.Errorf("there is %q", got)
	}
}

// failingRun leaves no host behind that a removal by the master does not find.
func (r *road) failingRun(t *testing.T, before map[int]string) {
	r.fails(t, r.small("--cmd", "false"), "false")
	if out := r.succeed(t, "delete", "--all", "--yes", "-m", masters); !strings.Contains(out, "is gone") {
		t.Errorf("it said %q", out)
	}
	r.bare(t, before)
}

// lostMarkers do not make a cluster anew: what is in it stays, and the markers come back.
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
	theft := []string{r.source, "-m", spare, "-n", guardedNode, "--cluster-name", guardedName, "-e", oomScore}
	r.fails(t, theft, guardedNode, "another cluster")
	record := filepath.Join(guardedDir, "record.json")
	r.ssh(t, 2, "mv "+record+" /run/record.json")
	r.fails(t, theft, guardedNode)
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

// changedDocuments are refused by field, by a plan and by a run.
func (r *road) changedDocuments(t *testing.T) {
	file := (&apps{road: r, cluster: guardedName, master: masters}).file(t, `apiVersion: sealer.cloud/v2
kind: Cluster
metadata: {name: `+guardedName+`}
spec:
  image: `+r.registry+`/site:v1
  ssh: {pk: `+r.lab.Key+`}
  env: [CONTAINERD_RESTRICT_OOM_SCORE_ADJ=true]
  hosts:
  - {ips: [`+masters+`], roles: [master]}
  - {ips: [`+guardedNode+`], roles: [node]}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
apiServer: {certSANs: [api.site.example]}
`)
	for _, command := range []string{"plan", "apply"} {
		r.refused(t, r.command(t.Context(), command, "-f", file), 1, "ClusterConfiguration.apiServer.certSANs", "api.site.example")
	}
}
