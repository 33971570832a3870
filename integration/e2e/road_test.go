//go:build e2e

// Package e2e goes the whole road for real: from Kubefiles through BuildKit to a cluster on three hosts without a route out, and back to
// bare hosts.
package e2e

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/integration/hosts"
)

//go:embed snapshot.sh
var snapshotScript []byte

const (
	image   = "dashboard:v2.2.0"
	masters = "10.77.0.11"
	nodes   = "10.77.0.12-10.77.0.13"
	// firstNode and secondNode are those of nodes.
	firstNode, secondNode = "10.77.0.12", "10.77.0.13"
	dataDir               = "/var/lib/sealer/data/default"
)

// road is one lab's hosts, with a delivery machine and what it needs.
type road struct {
	*workshop
	lab       *hosts.Lab
	home      string   // of the delivery engineer: known hosts and logs
	variables []string // in sealer-run's environment
	registry  string   // with all images, as the delivery machine reaches it
	source    string   // the image there
}

// wholeRoad takes a cluster from its image to bare hosts again. It is brought up and removed by a login that is not root and has to give sudo a
// password; in between root logs in with a key.
func wholeRoad(t *testing.T, r *road) {
	o := r.othersBefore(t, filepath.Dir(dataDir))
	before := r.snapshots(t)
	t.Run("no route out", r.noRouteOut)
	t.Run("ship", r.ship)
	t.Run("dry run", r.dryRun)
	t.Run("bad input", r.badInput)
	for i, want := range before {
		if t.Failed() {
			return
		}
		same(t, fmt.Sprintf("h%d after bad input", i), want, r.snapshot(t, i))
	}
	if !t.Run("killed and run again", r.killedAndRunAgain) {
		return
	}
	o.meanwhile(t, 1)
	if !t.Run("a node joins, and another run at once", r.twoAtOnce) {
		return
	}
	o.meanwhile(t, 2, 3)
	t.Run("pods", r.pods)
	t.Run("served by the embedded registry", r.served)
	t.Run("bytes are exact", r.exactBytes)
	t.Run("worker has no images", r.workerHasNoImages)
	t.Run("again changes nothing", r.again)
	t.Run("gen says the same", r.generated)
	t.Run("kubeconfig", r.kubeconfig)
	t.Run("docs/developing.md", r.developing)
	t.Run("status with an encrypted key", r.encryptedKey)
	t.Run("power cut of the master", r.powerCut)
	t.Run("delete", func(t *testing.T) {
		r.deleteOfNothing(t)
		if out, stderr, err := r.output(r.sudo(t, "delete", "--all", "--yes", "-m", masters)); err != nil {
			t.Fatalf("%v: %s%s\n%s", err, out, stderr, r.lastLog())
		}
		o.stayed(t, 1, 2, 3)
		r.bare(t, before)
	})
}

// prepare makes bare hosts in the lab of that name, and replaces existing ones.
func prepare(t *testing.T, w *workshop, name string, specs []hosts.HostSpec) *road {
	t.Helper()
	w.local(t, "env", "LAB_NAME="+name, "integration/hosts/hosts.sh", "down")
	lab, err := hosts.UpAs(t.Context(), w.top, hosts.Spec{Name: name, Hosts: specs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lab.Close)
	r := &road{workshop: w, lab: lab, home: t.TempDir()}
	r.registry = r.deliveryRegistry(t)
	r.source = r.registry + "/" + image
	return r
}

// deliveryRegistry serves the lab's registry on the delivery machine, too: the same files, in the namespace of the hosts.
func (r *road) deliveryRegistry(t *testing.T) string {
	t.Helper()
	const address = "127.0.0.1:5001"
	config := filepath.Join(t.TempDir(), "registry.yml")
	content := fmt.Sprintf("version: 0.1\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q}\nlog: {level: error, accesslog: {disabled: true}}\n",
		filepath.Join(r.top, "_out", "registry"), address)
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := r.lab.Command(context.Background(), filepath.Join(r.env.Bin, "registry"), "serve", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	eventually(t, time.Minute, func() error {
		return r.lab.Command(t.Context(), "curl", "-sf", "http://"+address+"/v2/").Run()
	})
	return address
}

// command is sealer-run on the delivery machine.
func (r *road) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := r.lab.Command(ctx, r.runner, args...)
	cmd.Env = append(cmd.Env, "HOME="+r.home, "XDG_CONFIG_HOME=", "XDG_STATE_HOME=", "SSH_AUTH_SOCK=")
	cmd.Env = append(cmd.Env, r.variables...)
	return cmd
}

// run runs sealer-run with the lab's key and returns standard output and standard error.
func (r *road) run(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	return r.output(r.command(t.Context(), append(args, "--pk", r.lab.Key)...))
}

func (r *road) output(cmd *exec.Cmd) (string, string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	return stdout.String(), stderr.String(), err
}

func (r *road) succeed(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, err := r.run(t, args...)
	if err != nil {
		t.Fatalf("sealer-run %s: %v\n%s\n%s", strings.Join(args, " "), err, stderr, r.lastLog())
	}
	return stdout
}

// log is the newest log.
func (r *road) log() string {
	logs, _ := filepath.Glob(filepath.Join(r.home, ".local/state/sealer-run/*.log"))
	if len(logs) == 0 {
		return ""
	}
	data, _ := os.ReadFile(logs[len(logs)-1])
	return string(data)
}

// lastLog is the end of the newest log, for the message of a test that failed.
func (r *road) lastLog() string {
	text := r.log()
	return text[max(0, len(text)-4000):]
}

// aboutHost finds the lines of a log that are about a host, without what the host printed.
var aboutHost = regexp.MustCompile(`(?m)^\S+Z   \S+: .*$`)

// told is what the last run said about hosts, one line for each change that it made.
func (r *road) told() string {
	return strings.Join(aboutHost.FindAllString(r.log(), -1), "\n")
}

// bringUp are the arguments that make the cluster of all hosts.
func (r *road) bringUp(args ...string) []string {
	return append([]string{r.source, "-m", masters, "-n", nodes, "-e", oomScore}, args...)
}

// small are the arguments that make the cluster of a master and a node.
func (r *road) small(args ...string) []string {
	return append([]string{r.source, "-m", masters, "-n", firstNode, "-e", oomScore}, args...)
}

func (r *road) ssh(t *testing.T, i int, command string) string {
	t.Helper()
	out, err := r.lab.SSH(t.Context(), i, nil, command)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func (r *road) snapshot(t *testing.T, i int) string {
	t.Helper()
	out, err := r.lab.SSH(t.Context(), i, snapshotScript, "sh -s")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := r.lab.Rules(t.Context(), i)
	if err != nil {
		t.Fatal(err)
	}
	return string(out) + "== rules, also on a host without nft\n" + rules
}

// snapshots returns the snapshots of all hosts, by their numbers.
func (r *road) snapshots(t *testing.T) map[int]string {
	t.Helper()
	all := map[int]string{}
	for i := range r.lab.Hosts {
		all[i+1] = r.snapshot(t, i+1)
	}
	return all
}

// bare checks that all hosts are as they were.
func (r *road) bare(t *testing.T, before map[int]string) {
	t.Helper()
	for i, want := range before {
		same(t, fmt.Sprintf("h%d after delete", i), want, r.snapshot(t, i))
	}
}

// deleteOfNothing removes a cluster that does not exist, whose name and data root lead to a foreign directory.
func (r *road) deleteOfNothing(t *testing.T) {
	t.Helper()
	r.ssh(t, 1, "mkdir -p /home/alice && echo precious > /home/alice/precious")
	_, stderr, err := r.run(t, "delete", "--all", "--yes", "-m", masters, "--data-root", "/home", "--cluster-name", "alice")
	if err == nil || !strings.Contains(stderr, "no cluster alice") {
		t.Errorf("got %v, %s", err, stderr)
	}
	if got := r.ssh(t, 1, "cat /home/alice/precious && rm -r /home/alice"); got != "precious" {
		t.Errorf("got %q", got)
	}
}

// lock reads the image's lock with sealer-run itself.
func (r *road) lock(t *testing.T) *imagespec.Lock {
	t.Helper()
	stdout, stderr, err := r.output(r.command(t.Context(), "images", r.source, "--output", "json"))
	if err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	var lock imagespec.Lock
	if err := json.Unmarshal([]byte(stdout), &lock); err != nil {
		t.Fatal(err)
	}
	if err := lock.Validate(); err != nil {
		t.Fatal(err)
	}
	return &lock
}

// same reports the lines in which two snapshots differ.
func same(t *testing.T, what, want, got string) {
	t.Helper()
	lines := func(text string) map[string]bool {
		set := map[string]bool{}
		for line := range strings.Lines(text) {
			set[line] = true
		}
		return set
	}
	if strings.Count(want, "\n") < 1000 {
		t.Errorf("%s: the snapshot has only %d lines", what, strings.Count(want, "\n"))
	}
	before, after := lines(want), lines(got)
	for line := range before {
		if !after[line] {
			t.Errorf("%s: gone: %s", what, line)
		}
	}
	for line := range after {
		if !before[line] {
			t.Errorf("%s: new: %s", what, line)
		}
	}
}

func eventually(t *testing.T, limit time.Duration, check func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s: %v", limit, err)
		}
		time.Sleep(time.Second)
	}
}
