//go:build e2e

package e2e

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/kubefile/kubefile/integration/hosts"
	"github.com/kubefile/kubefile/integration/lab/environment"
)

// scenario is a test on hosts of its own. Its parts are subtests, each of which begins where the one before it ended.
type scenario struct {
	name  string
	hosts []hosts.HostSpec
	run   func(*testing.T, *road)
}

// scenarios are in the order in which they begin, the longest first. A new one belongs where its time puts it; a new assertion belongs
// into one that has a cluster already.
var scenarios = []scenario{
	{"site", with(hosts.DualStack, harsh(4)), wholeSite},
	{"high availability", harsh(6), highAvailability},
	{"guards", occupied(harsh(4)), guards},
	{"road", harsh(3), wholeRoad},
	{"default plugins", harsh(1), defaultPlugins},
}

// harsh returns the specs of hosts as sites have them: no two neighbours are alike, any three have three releases of Debian, and each
// lacks something that a friendly host has. No scenario is on friendly hosts; the test of docs/getting-started.md is.
func harsh(count int) []hosts.HostSpec {
	kinds := []hosts.HostSpec{
		{Harsh: []hosts.Property{hosts.NoDefaultRoute, hosts.LoopbackNameserver, hosts.Umask077}},
		{Harsh: []hosts.Property{hosts.NoNameserver, hosts.NoConntrack}, System: "bullseye"},
		{Harsh: []hosts.Property{hosts.LoopbackNameserver, hosts.TwoNICs}, System: "trixie"},
		{Harsh: []hosts.Property{hosts.NoNameserver, hosts.TwoNICs, hosts.NoDefaultRoute, hosts.Umask077}},
		{Harsh: []hosts.Property{hosts.LoopbackNameserver, hosts.NoConntrack, hosts.DualStack}, System: "bullseye"},
		{Harsh: []hosts.Property{hosts.NoNameserver, hosts.NoDefaultRoute, hosts.DualStack}, System: "trixie"},
	}
	specs := make([]hosts.HostSpec, count)
	for i := range specs {
		kind := kinds[i%len(kinds)]
		specs[i] = hosts.HostSpec{System: kind.System, Harsh: append([]hosts.Property{hosts.NoexecTmp, hosts.SecurePath}, kind.Harsh...)}
	}
	return specs
}

// with gives hosts one more property.
func with(property hosts.Property, specs []hosts.HostSpec) []hosts.HostSpec {
	for i := range specs {
		specs[i].Harsh = append(specs[i].Harsh, property)
	}
	return specs
}

// occupied gives the last host programs of somebody else.
func occupied(specs []hosts.HostSpec) []hosts.HostSpec {
	last := &specs[len(specs)-1]
	last.Harsh = append(last.Harsh, hosts.ForeignContainerd, hosts.ForeignEtcd)
	return specs
}

// TestClusters runs the scenarios in two labs side by side, since most of the time of each is waiting. One alone:
//
//	make e2e RUN=TestClusters/road
func TestClusters(t *testing.T) {
	w := newWorkshop(t)
	chosen := scenarios
	switch {
	case *disturbed != "":
		chosen = []scenario{matrixRow(*disturbed)}
	case *rareName != "":
		chosen = []scenario{rareScenario(t, *rareName)}
	}
	queue := make(chan scenario, len(chosen))
	for _, s := range chosen {
		queue <- s
	}
	close(queue)
	first := cmp.Or(os.Getenv("LAB_NAME"), hosts.DefaultName)
	var labs sync.WaitGroup
	names := []string{first, first + "2"}
	for _, name := range names[:min(len(names), len(chosen))] {
		labs.Go(func() {
			for s := range queue {
				t.Run(s.name, func(t *testing.T) { s.run(t, prepare(t, w, name, s.hosts)) })
			}
		})
	}
	labs.Wait()
}

// workshop is where images are built, once for all scenarios.
type workshop struct {
	top    string
	env    *environment.Environment
	runner string // sealer-run, as make up puts it into the frontend image
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	w := &workshop{top: top, runner: filepath.Join(top, "_out/frontend/linux-"+runtime.GOARCH, "sealer-run")}
	if w.env, err = environment.Read(filepath.Join(top, "_out")); err != nil {
		t.Fatal(err)
	}
	w.local(t, filepath.Join(top, "integration/lab/examples.sh"))
	w.build(t, "site:v1", "integration/e2e/testdata/site")
	w.build(t, "default-plugins:v1", filepath.Join(cases, "default-plugins"))
	return w
}

// local runs a command on this machine, in the repository, with the lab's environment.
func (w *workshop) local(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = w.top
	cmd.Env = append(os.Environ(), "BUILDKIT_HOST="+w.env.BuildKitHost, "DOCKER_CONFIG="+w.env.DockerConfig,
		"KUBEFILE_MIRRORS="+w.env.Mirrors, "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// build makes a test's image on the base and pushes it.
func (w *workshop) build(t *testing.T, tag, dir string) {
	t.Helper()
	base := "docker-image://" + w.env.Registry + "/kubernetes:v1.34.4"
	w.local(t, "docker", "buildx", "build", "--builder", w.env.BuildxBuilder, "-f", filepath.Join(dir, "Kubefile"),
		"--build-arg", "BUILDKIT_SYNTAX="+w.env.Frontend, "--build-arg", "KUBEFILE_MIRRORS",
		"--build-context", "kubernetes:v1.34.4="+base, "--build-context", "kubernetes:v1.19.8="+base,
		"--output", "type=image,name="+w.env.Registry+"/"+tag+",push=true,compression=zstd", dir)
}
