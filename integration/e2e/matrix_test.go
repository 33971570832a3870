//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubefile/kubefile/runner/report"
)

var (
	disturbed = flag.String("disturb", "", "FAULT:PHASE or another row of integration/soak: TestClusters runs only this row of the kill matrix")
	seed      = flag.Uint64("seed", 1, "how long after the beginning of a step the fault of the row happens")
)

// The rows that are not a fault in a phase.
const (
	everyStep   = "every-step"                    // every change is the last one of a run
	emptyNode   = "comes-back-empty:node"         // it is reinstalled when the cluster is there
	emptyMaster = "comes-back-empty:first-master" // the same, in a cluster of three masters
)

// matrix is a bring-up that something disturbs. The same command again has to reach what an undisturbed one reaches.
type matrix struct {
	*road
	row   string
	hosts []string         // the arguments for the hosts of the cluster
	sizes map[string]int64 // of the image's layers
}

// matrixRow returns the scenario of one row.
func matrixRow(row string) scenario {
	return scenario{row, harsh(3), func(t *testing.T, r *road) {
		m := &matrix{road: r, row: row, hosts: []string{"-m", "10.77.0.11-10.77.0.12", "-n", "10.77.0.13"}}
		m.sizes = m.layerSizes(t)
		m.run(t)
	}}
}

// args are those of the command that is disturbed.
func (m *matrix) args(more ...string) []string {
	return slices.Concat([]string{m.source, "-e", oomScore}, m.hosts, more)
}

func (m *matrix) run(t *testing.T) {
	var want *undisturbed
	var before map[int]string
	switch m.row {
	case emptyNode:
		want, before = m.comesBackEmpty(t, 3)
	case emptyMaster:
		m.hosts = []string{"-m", "10.77.0.11-10.77.0.13"}
		want, before = m.comesBackEmpty(t, 1)
	default:
		want = m.undisturbedRun(t)
		before = m.snapshots(t)
		m.disturb(t, want)
	}
	if t.Failed() {
		return
	}
	for i, h := range m.lab.Hosts {
		wanted, got := want.Hosts[h.Address], m.settled(t, i+1)
		if m.row == emptyMaster && i == 0 {
			wanted, got = initOrJoin.ReplaceAllString(wanted, ""), initOrJoin.ReplaceAllString(got, "")
		}
		same(t, fmt.Sprintf("h%d after %s", i+1, m.row), wanted, got)
		if got := m.layers(t, i+1); !slices.Equal(got, want.Layers[h.Address]) {
			t.Errorf("h%d has the layers %v, want %v", i+1, got, want.Layers[h.Address])
		}
	}
	if plan := strings.TrimSpace(m.succeed(t, m.args("--dry-run")...)); plan != "nothing to do" {
		t.Errorf("the plan is %q", plan)
	}
	m.succeed(t, "delete", "--all", "--yes", "-m", masters)
	for i, text := range before {
		same(t, fmt.Sprintf("h%d after delete", i), firstBoot.ReplaceAllString(text, ""), firstBoot.ReplaceAllString(m.snapshot(t, i), ""))
	}
}

// firstBoot finds units that only run when a new host boots for the first time.
var firstBoot = regexp.MustCompile(`(?m)^(ldconfig|systemd-sysusers|systemd-update-done|systemd-journal-catalog-update)\.service loaded .*\n`)

// initOrJoin finds what differs between a master that began the cluster and one that joined it.
var initOrJoin = regexp.MustCompile(`(?m)^.*(/etc/kubernetes/manifests/etcd\.yaml|/kubeadm-(init|join)\.done .*|"kubeadm-(init|join)",?)\n`)

// comesBackEmpty brings the cluster up, reinstalls one of its hosts, and runs the same command again. The cluster is as it was before. It
// returns also what is on the hosts without the cluster.
func (m *matrix) comesBackEmpty(t *testing.T, i int) (want *undisturbed, bare map[int]string) {
	t.Helper()
	bare = m.snapshots(t)
	m.succeed(t, m.args()...)
	want = m.found(t)
	m.reinstall(t, i)
	bare[i] = m.snapshot(t, i)
	m.again(t, want)
	return want, bare
}

// disturb disturbs the run, once for each fault of the row, and runs the same command again.
func (m *matrix) disturb(t *testing.T, want *undisturbed) {
	t.Helper()
	if m.row == everyStep {
		m.everyStep(t, want)
		return
	}
	for fault := range strings.SplitSeq(m.row, "+") {
		m.once(t, fault, want)
	}
	m.again(t, want)
}

// once runs the command, and disturbs it in one of its phases.
func (m *matrix) once(t *testing.T, row string, want *undisturbed) {
	t.Helper()
	name, title, _ := strings.Cut(row, ":")
	f, err := faultOf(name)
	if err != nil {
		t.Fatal(err)
	}
	run, rest, cancel := m.start(t, title)
	defer cancel()
	where := 1
	if f.role != "" {
		where = m.await(t, rest, title, f.role, want)
		time.Sleep(m.delay())
	}
	repair := f.strike(t, m, run, where)
	said, _ := io.ReadAll(rest)
	f.check(t, m, run.Wait(), string(said), where)
	repair()
}

// start starts the command, and returns what it says after the beginning of a phase.
func (m *matrix) start(t *testing.T, title string) (run *exec.Cmd, rest *bufio.Reader, cancel func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), runLimit)
	run = m.command(ctx, m.args("--pk", m.lab.Key)...)
	rest, began := startUntil(t, run, title)
	if !began {
		cancel()
		t.Fatalf("the run did not reach the phase %q: %v\n%s", title, run.Wait(), m.lastLog())
	}
	return run, rest, cancel
}

const (
	// runLimit is how long a run may take that was disturbed.
	runLimit = 20 * time.Minute
	// longestDelay is how long after the beginning of a change a fault may happen.
	longestDelay = 3 * time.Second
)

// delay is a time that seed and row determine.
func (m *matrix) delay() time.Duration {
	hash := fnv.New64a()
	hash.Write([]byte(m.row))
	return time.Duration(rand.New(rand.NewPCG(*seed, hash.Sum64())).Int64N(int64(longestDelay)))
}

// await reads what a run says until it changes a host of a role in the phase, and returns the number of that host.
func (m *matrix) await(t *testing.T, rest *bufio.Reader, title, role string, want *undisturbed) int {
	t.Helper()
	for {
		line, err := rest.ReadString('\n')
		if err != nil || strings.HasPrefix(line, "[") {
			t.Fatalf("in the phase %q no host with the role %s was changed: %v, %q", title, role, err, line)
		}
		if c, ok := want.changeOf(title, line); ok && (role == "any" || m.role(c.Host) == role) {
			return m.number(t, c.Host)
		}
	}
}

// changeOf finds the change that a line of a run's output announces. How much a run sends depends on what is there.
func (u *undisturbed) changeOf(title, line string) (change, bool) {
	for _, c := range u.Changes {
		said := strings.TrimSuffix(line, "\n") == "  "+c.Host+": "+c.What
		if strings.HasPrefix(c.What, "send ") {
			said = strings.HasPrefix(line, "  "+c.Host+": send ")
		}
		if said && c.Phase == title {
			return c, true
		}
	}
	return change{}, false
}

func (m *matrix) role(address string) string {
	if address == m.lab.Hosts[2].Address {
		return "node"
	}
	return "master"
}

func (m *matrix) number(t *testing.T, address string) int {
	t.Helper()
	for i, h := range m.lab.Hosts {
		if h.Address == address {
			return i + 1
		}
	}
	t.Fatalf("no host has the address %s", address)
	return 0
}

// again runs the same command, which has to succeed, and to send each host exactly the layers that it does not have.
func (m *matrix) again(t *testing.T, want *undisturbed) {
	t.Helper()
	lacking := map[string]int64{}
	for i, h := range m.lab.Hosts {
		have := m.layers(t, i+1)
		for _, layer := range want.Layers[h.Address] {
			if !slices.Contains(have, layer) {
				lacking[h.Address] += m.sizes[layer]
			}
		}
	}
	var stderr string
	eventually(t, lockLimit, func() (err error) {
		ctx, cancel := context.WithTimeout(t.Context(), runLimit)
		defer cancel()
		_, stderr, err = m.output(m.command(ctx, m.args("--pk", m.lab.Key)...))
		if err != nil && !strings.Contains(stderr, "another sealer-run is working on this host") {
			t.Fatalf("the same command again: %v\n%s\n%s", err, stderr, m.lastLog())
		}
		return err
	})
	for _, h := range m.lab.Hosts {
		got := sentTo(stderr, h.Address)
		var wanted []string
		if n := lacking[h.Address]; n > 0 {
			wanted = []string{report.Bytes(n)}
		}
		if !slices.Equal(got, wanted) {
			t.Errorf("%s was sent %v, and lacked %v\n%s", h.Address, got, wanted, stderr)
		}
	}
}

// lockLimit is how long a host stays locked that has lost the connection.
const lockLimit = 2 * time.Minute

// sentTo returns how many bytes a run has sent to a host, as it says itself.
func sentTo(said, address string) (all []string) {
	for line := range strings.Lines(said) {
		if bytes, ok := strings.CutPrefix(line, "  "+address+": sent "); ok {
			all = append(all, strings.TrimSpace(bytes))
		}
	}
	return all
}

// everyStep kills the run when it begins a change, again and again: each time at one that has not been the last of a run before.
func (m *matrix) everyStep(t *testing.T, want *undisturbed) {
	t.Helper()
	killedAt := map[change]bool{}
	for range 2 * len(want.Changes) {
		run, rest, cancel := m.start(t, want.Changes[0].Phase)
		last, ended := m.nextChange(rest, want, killedAt)
		if !ended {
			run.Process.Kill()
		}
		said, _ := io.ReadAll(rest)
		err := run.Wait()
		cancel()
		if ended && err != nil {
			t.Fatalf("the run after one that was killed at %+v: %v\n%s\n%s", last, err, said, m.lastLog())
		}
		if ended {
			break
		}
		killedAt[last] = true
	}
	phases := map[string]int{}
	for c := range killedAt {
		phases[c.Phase]++
	}
	for _, c := range want.Changes { // hosts work at the same time: not every change begins a second time
		if phases[c.Phase] == 0 {
			t.Errorf("no run was killed in the phase %q", c.Phase)
		}
	}
	t.Logf("killed %d runs: %v", len(killedAt), phases)
}

// nextChange reads what a run says until a change that none was killed at, or until it ends.
func (m *matrix) nextChange(rest *bufio.Reader, want *undisturbed, killedAt map[change]bool) (c change, ended bool) {
	title := want.Changes[0].Phase
	for {
		line, err := rest.ReadString('\n')
		if err != nil {
			return change{}, true
		}
		if _, next, ok := strings.Cut(line, "] "); ok && strings.HasPrefix(line, "[") {
			title = strings.TrimSpace(next)
			continue
		}
		if found, ok := want.changeOf(title, line); ok && !killedAt[found] {
			return found, false
		}
	}
}
