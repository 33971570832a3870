//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/distribution/reference"

	"github.com/kubefile/kubefile/imagespec"
)

// killedAndRunAgain kills sealer-run in the middle of three of its phases; the same command finishes the work. A node is still to join.
func (r *road) killedAndRunAgain(t *testing.T) {
	for _, phase := range []string{"Transfer", "Start the control plane", "Join the nodes"} {
		r.killed(t, phase)
	}
	out, stderr, err := r.output(r.sudo(t, r.small()...))
	if err != nil {
		t.Fatalf("%v: %s%s\n%s", err, out, stderr, r.lastLog())
	}
	if !strings.Contains(out, "cluster default runs") {
		t.Errorf("it said %q", out)
	}
	if strings.Contains(r.lastLog(), r.lab.Passwords["ops"]) {
		t.Error("the password is in the log")
	}
}

// killed brings the cluster up until the phase has gone on for a moment, and kills the run.
func (r *road) killed(t *testing.T, phase string) {
	t.Helper()
	cmd := r.sudo(t, r.small()...)
	_, began := startUntil(t, cmd, phase)
	time.Sleep(2 * time.Second)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || !began {
		t.Errorf("the run was not killed in the phase %q: it began: %v; the run: %v", phase, began, err)
	}
}

// sudo runs sealer-run by a login that is not root, with a password from the standard input.
func (r *road) sudo(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := r.command(t.Context(), append(args, "-u", "ops", "-p", "-")...)
	cmd.Stdin = strings.NewReader(r.lab.Passwords["ops"] + "\n")
	return cmd
}

func (r *road) encryptedKey(t *testing.T) {
	cmd := r.command(t.Context(), "status", "-m", masters, "--pk", r.lab.EncryptedKey)
	cmd.Env = append(cmd.Env, "SEALER_PK_PASSWD="+r.lab.Passphrase)
	if out, stderr, err := r.output(cmd); err != nil || !strings.Contains(out, "h3") {
		t.Errorf("status with the encrypted key: %v: %s%s", err, out, stderr)
	}
}

// startUntil starts a run and waits for the beginning of one of its phases. What it says after that comes from the reader.
func startUntil(t *testing.T, cmd *exec.Cmd, phase string) (stderr *bufio.Reader, began bool) {
	t.Helper()
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stderr = bufio.NewReader(pipe)
	for !began && err == nil {
		var line string
		line, err = stderr.ReadString('\n')
		began = strings.HasSuffix(line, "] "+phase+"\n")
	}
	return stderr, began
}

// twoAtOnce adds a node by what the state knows, and pauses that run when it has locked the hosts: another one is refused, and the first
// continues and succeeds. To the command for the whole cluster it is as if it had made it.
func (r *road) twoAtOnce(t *testing.T) {
	first := r.command(t.Context(), "join", "-n", secondNode, "--via", masters, "-e", oomScore, "--pk", r.lab.Key)
	whilePaused(t, first, "Adapt the image to the site", func() {
		r.fails(t, r.bringUp(), masters+": another sealer-run")
	})
	if plan := r.succeed(t, append([]string{"plan"}, r.bringUp()...)...); strings.TrimSpace(plan) != "nothing to do" {
		t.Errorf("the plan is %q", plan)
	}
}

// whilePaused pauses a run that begins one of its phases, and lets it go on to its end after something else was done.
func whilePaused(t *testing.T, run *exec.Cmd, phase string, do func()) (stdout string) {
	t.Helper()
	var out bytes.Buffer
	run.Stdout = &out
	rest, began := startUntil(t, run, phase)
	if !began {
		t.Fatalf("the run did not reach the phase %q: %v", phase, run.Wait())
	}
	if err := run.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	do()
	if err := run.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	said, _ := io.ReadAll(rest)
	if err := run.Wait(); err != nil {
		t.Fatalf("the run that was paused: %v: %s", err, said)
	}
	return out.String()
}

// kubectl runs it on the master, with a cache of its own: what the tests leave is not the product's.
func (r *road) kubectl(t *testing.T, args string) string {
	t.Helper()
	return r.ssh(t, 1, "KUBECACHEDIR=/tmp/kubectl-cache kubectl "+args)
}

// taints returns the taints of each node, by its name, as key=value:effect.
func (r *road) taints(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for line := range strings.Lines(r.kubectl(t, `get nodes -o jsonpath='{range .items[*]}{.metadata.name}{range .spec.taints[*]} {.key}={.value}:{.effect}{end}{"\n"}{end}'`)) {
		fields := strings.Fields(line)
		all[fields[0]] = fields[1:]
	}
	return all
}

func (r *road) pods(t *testing.T) {
	r.kubectl(t, "wait --for=condition=Ready nodes --all --timeout=60s")
	r.kubectl(t, "-n kube-system rollout status deployment/coredns --timeout=180s")
	r.kubectl(t, "-n kubernetes-dashboard rollout status deployment/kubernetes-dashboard --timeout=180s")
	r.kubectl(t, "-n kubernetes-dashboard rollout status deployment/dashboard-metrics-scraper --timeout=180s")
	if n := len(strings.Fields(r.kubectl(t, "get nodes -o name"))); n != 3 {
		t.Errorf("%d nodes", n)
	}
	if got := r.kubectl(t, "-n kubernetes-dashboard get deployment kubernetes-dashboard -o jsonpath='{.spec.template.spec.containers[0].image}'"); got != "kubernetesui/dashboard:v2.2.0" {
		t.Errorf("the manifest's image was changed to %s", got)
	}
	// The Service's address answers from a node: kube-proxy and the overlay network work.
	address := r.kubectl(t, "-n kubernetes-dashboard get service kubernetes-dashboard -o jsonpath='{.spec.clusterIP}'")
	eventually(t, time.Minute, func() error {
		_, err := r.lab.SSH(t.Context(), 3, nil, "curl -skf -m 5 -o /dev/null https://"+address+"/")
		return err
	})
	// The cluster's DNS answers on a worker; the resolver is changed for this one command only.
	const resolve = `unshare -m sh -c 'echo nameserver 10.96.0.10 > /tmp/resolv.conf; mount --bind /tmp/resolv.conf /etc/resolv.conf
		getent hosts kubernetes-dashboard.kubernetes-dashboard.svc.cluster.local'; rm -f /tmp/resolv.conf`
	eventually(t, time.Minute, func() error {
		out, err := r.lab.SSH(t.Context(), 2, nil, resolve)
		if err == nil && !strings.HasPrefix(string(out), address) {
			err = fmt.Errorf("the service's name is %q, its address %s", out, address)
		}
		return err
	})
	r.pinnedPod(t)
}

// pinnedPod runs a pod whose image is named by the digest of its index alone.
func (r *road) pinnedPod(t *testing.T) {
	t.Helper()
	locked, ok := r.lock(t).Lookup("docker.io/kubernetesui/metrics-scraper:v1.0.6")
	if !ok || !strings.Contains(locked.MediaType, "index") {
		t.Fatalf("locked as %+v", locked)
	}
	pod := fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"pinned"},"spec":{"nodeName":"h3","containers":[
		{"name":"pinned","image":"docker.io/kubernetesui/metrics-scraper@%s","imagePullPolicy":"Always"}]}}`, locked.Digest)
	if _, err := r.lab.SSH(t.Context(), 1, []byte(pod), "KUBECACHEDIR=/tmp/kubectl-cache kubectl apply -f -"); err != nil {
		t.Fatal(err)
	}
	r.kubectl(t, "wait --for=condition=Ready pod/pinned --timeout=90s")
}

func (r *road) served(t *testing.T) {
	served := strings.Fields(r.succeed(t, "status", "--served", "-m", masters))
	digest := ""
	for _, image := range r.lock(t).Images {
		if image.Reference == "docker.io/kubernetesui/dashboard:v2.2.0" {
			digest = image.Digest.String()
		}
	}
	for _, want := range []string{"docker.io/kubernetesui/dashboard:v2.2.0", "registry.k8s.io/kube-proxy:v1.34.4", "registry.k8s.io/pause:3.10.1"} {
		if !contains(served, want) {
			t.Errorf("%s was not served; served were %v", want, served)
		}
	}
	id := r.kubectl(t, "-n kubernetes-dashboard get pods -l k8s-app=kubernetes-dashboard -o jsonpath='{.items[0].status.containerStatuses[0].imageID}'")
	if want := "docker.io/kubernetesui/dashboard@" + digest; id != want {
		t.Errorf("the pod runs %s, the lock says %s", id, want)
	}
	if missed := r.succeed(t, "status", "--missed", "-m", masters); missed != "" {
		t.Errorf("missed: %s", missed)
	}
	// What is not in the image is asked for and recorded in the form that an imageList takes.
	r.kubectl(t, "run absent --image=example.com/not/embedded:v9 --restart=Never")
	eventually(t, time.Minute, func() error {
		if missed := r.succeed(t, "status", "--missed", "-m", masters); missed != "example.com/not/embedded:v9\n" {
			return fmt.Errorf("missed: %q", missed)
		}
		return nil
	})
	table := regexp.MustCompile(` +`).ReplaceAllString(r.succeed(t, "images", r.source, "--from-cluster", "-m", masters), " ")
	for _, line := range []string{"docker.io/kubernetesui/dashboard:v2.2.0 1 yes\n", "registry.k8s.io/kube-proxy:v1.34.4 3 yes\n", "example.com/not/embedded:v9 1 no\n"} {
		if !strings.Contains(table, line) {
			t.Errorf("images --from-cluster has no %q:\n%s", line, table)
		}
	}
	r.kubectl(t, "delete pod absent --now")
}

func contains(list []string, want string) bool {
	for _, item := range list {
		if item == want {
			return true
		}
	}
	return false
}

// exactBytes copies every image out of the embedded registry, and expects the digests of the source.
func (r *road) exactBytes(t *testing.T) {
	oras := filepath.Join(r.env.Bin, "oras")
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, []byte(r.ssh(t, 1, "cat "+dataDir+"/pki/authority.crt")), 0o600); err != nil {
		t.Fatal(err)
	}
	images := r.lock(t).Images
	if len(images) < 10 {
		t.Fatalf("%d images", len(images))
	}
	for _, image := range images {
		embedded := masters + ":5000/" + image.Reference
		out, err := r.lab.Command(t.Context(), oras, "manifest", "fetch", "--descriptor", "--ca-file", ca, embedded).Output()
		if err != nil {
			t.Errorf("%s: %v", embedded, err)
			continue
		}
		source := r.local(t, oras, "manifest", "fetch", "--descriptor", "--plain-http", r.env.Upstream+"/"+image.Reference)
		if got, want := digestOf(t, out), digestOf(t, []byte(source)); got != want || got != image.Digest.String() {
			t.Errorf("%s: embedded %s, source %s, lock %s", image.Reference, got, want, image.Digest)
		}
		r.copyOut(t, oras, ca, image)
	}
}

// copyOut copies the platform's image with oras, which checks every blob.
func (r *road) copyOut(t *testing.T, oras, ca string, image imagespec.LockedImage) {
	t.Helper()
	ref, err := imagespec.ParseReference(image.Reference)
	if err != nil {
		t.Fatal(err)
	}
	from := masters + ":5000/" + reference.TrimNamed(ref).Name() + "@" + image.Platforms[0].Digest.String()
	layout := t.TempDir()
	out, err := r.lab.Command(t.Context(), oras, "cp", "--from-ca-file", ca, from, "--to-oci-layout", layout+":copied").CombinedOutput()
	if err != nil {
		t.Errorf("copying %s: %v: %s", from, err, out)
		return
	}
	if got := digestOf(t, []byte(r.local(t, oras, "manifest", "fetch", "--descriptor", "--oci-layout", layout+":copied"))); got != image.Platforms[0].Digest.String() {
		t.Errorf("%s was copied as %s", from, got)
	}
}

func digestOf(t *testing.T, descriptor []byte) string {
	t.Helper()
	var d struct{ Digest string }
	if err := json.Unmarshal(descriptor, &d); err != nil || d.Digest == "" {
		t.Fatalf("no descriptor: %v: %s", err, descriptor)
	}
	return d.Digest
}

func (r *road) workerHasNoImages(t *testing.T) {
	if got := r.ssh(t, 1, "ls "+dataDir+"/registry/blobs/sha256 | wc -l"); got < "2" {
		t.Errorf("the master has %s blobs", got)
	}
	for _, worker := range []int{2, 3} {
		if got := r.ssh(t, worker, "cd "+dataDir+"; ls -d registry layers 2>/dev/null || :"); got != "" {
			t.Errorf("h%d has %s", worker, got)
		}
	}
}

func (r *road) again(t *testing.T) {
	before := map[int]string{}
	const state = "cd " + dataDir + " && find . /etc/kubernetes /etc/containerd /usr/local/bin /etc/systemd/system -type f ! -path './records/*' -printf '%p %T@ %s\\n' | sort"
	for i := range r.lab.Hosts {
		before[i+1] = r.ssh(t, i+1, state)
	}
	if out := r.succeed(t, r.bringUp()...); !strings.Contains(out, "nothing to do") {
		t.Errorf("it said %q\n%s", out, r.told())
	}
	if out := r.succeed(t, r.bringUp("--dry-run")...); strings.TrimSpace(out) != "nothing to do" {
		t.Errorf("the plan is %q", out)
	}
	for i, want := range before {
		if got := r.ssh(t, i, state); got != want {
			t.Errorf("h%d was changed:\n%s\nbefore:\n%s", i, got, want)
		}
	}
}

// generated applies the Clusterfile that gen makes of the flags.
func (r *road) generated(t *testing.T) {
	file := filepath.Join(t.TempDir(), "Clusterfile")
	out := r.asRoot(t, append([]string{"gen"}, r.bringUp()...)...)
	if strings.Contains(out, r.lab.Passwords["root"]) || !strings.Contains(out, "passwd: prompt") {
		t.Errorf("gen wrote:\n%s", out)
	}
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := r.asRoot(t, "apply", "-f", file); !strings.Contains(out, "nothing to do") {
		t.Errorf("it said %q\n%s", out, r.told())
	}
}

// kubeconfig is used on the delivery machine, which knows no name of the cluster.
func (r *road) kubeconfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "admin.conf")
	if err := os.WriteFile(file, []byte(r.succeed(t, "kubeconfig", "-m", masters)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := r.lab.Command(t.Context(), filepath.Join(r.env.Bin, "kubectl"), "--kubeconfig", file, "get", "nodes", "-o", "name").CombinedOutput()
	if err != nil || len(strings.Fields(string(out))) != 3 {
		t.Errorf("%v: %s", err, out)
	}
}

// developing runs the commands of docs/developing.md that run sealer-run on the hosts, with the names of this lab.
func (r *road) developing(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(r.top, "docs/developing.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := strings.NewReplacer("$PWD/_out/demo", t.TempDir(), "bin/sealer-run", r.runner, "_out/hosts/id_lab", r.lab.Key,
		"_out/demo/dashboard.tar", filepath.Join(r.home, "oci.tar"))
	lines := regexp.MustCompile(`(?m)^    ((?:export XDG_|integration/hosts/lan bin/sealer-run ).*)$`).FindAllStringSubmatch(string(page), -1)
	if len(lines) != 3 {
		t.Fatalf("got %d commands, want 3: the pattern does not fit the page", len(lines))
	}
	variables := lines[0][1]
	for i, want := range map[int]string{1: "h3", 2: "10.77.0.11"} {
		script := names.Replace(variables + "\n" + lines[i][1])
		cmd := exec.CommandContext(t.Context(), "bash", "-ec", script)
		cmd.Dir, cmd.Env = r.top, append(os.Environ(), "LAB_NAME="+r.lab.Name())
		out, err := cmd.CombinedOutput()
		if code := exitCode(err); (code != 0 && code != pending) || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, want %q in:\n%s", script, err, want, out)
		}
	}
}

// powerCut takes the master's power away and gives it back: everything comes up again by itself.
func (r *road) powerCut(t *testing.T) {
	if err := r.lab.Kill(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := r.lab.Start(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, 3*time.Minute, func() error {
		_, err := r.lab.SSH(t.Context(), 1, nil, "KUBECACHEDIR=/tmp/kubectl-cache kubectl get --raw /readyz && systemctl is-active kubefile-registry")
		return err
	})
	if out := r.succeed(t, r.bringUp()...); !strings.Contains(out, "nothing to do") {
		t.Errorf("it said %q\n%s", out, r.told())
	}
}
