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
	hosts int
	run   func(*testing.T, *road)
}

// scenarios are in the order in which they begin, the longest first. A new one belongs where its time puts it; a new assertion belongs
// into one that has a cluster already.
var scenarios = []scenario{
	{"site", 4, wholeSite},
	{"high availability", 5, highAvailability},
	{"clusterfile with plugins", 6, casePlugins},
	{"road", 3, wholeRoad},
	{"guards", 3, guards},
	{"clusterfiles", 4, clusterfileCases},
	{"isolated hosts", 3, isolatedHosts},
}

// TestClusters runs the scenarios in two labs side by side, since most of the time of each is waiting. One alone:
//
//	make e2e RUN=TestClusters/road
func TestClusters(t *testing.T) {
	w := newWorkshop(t)
	queue := make(chan scenario, len(scenarios))
	for _, s := range scenarios {
		queue <- s
	}
	close(queue)
	first := cmp.Or(os.Getenv("LAB_NAME"), hosts.DefaultName)
	var labs sync.WaitGroup
	for _, name := range []string{first, first + "2"} {
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
