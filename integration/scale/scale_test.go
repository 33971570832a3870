//go:build scale

package scale

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
)

const (
	// mostMemory is how much memory a run may take, in bytes.
	mostMemory = 150e6
	// mostCommands is how many commands a run that changes nothing may run on a node.
	mostCommands = 12
)

// measure is what a run of sealer-run took.
type measure struct {
	took   time.Duration
	memory int64 // bytes
	said   string
}

// TestHosts brings up a master and a node, makes the other nodes of the node's disk, and measures what a run takes that observes all hosts and
// changes nothing: its memory and its commands do not depend on luck, and are limited; its time is printed.
func TestHosts(t *testing.T) {
	counts := hostCounts(t)
	s := newSite(t)
	image := s.image()
	s.grow(2, filepath.Join(mounted, "base"))
	s.apply(image)
	disk := s.copyOf(1)
	first := map[string]measure{}
	for _, n := range counts {
		s.grow(n, disk)
		s.apply(image)
		for _, name := range []string{"status", "plan", "apply"} {
			before := s.commands(n - 1)
			m := s.unchanged(name, image)
			commands := s.commands(n-1) - before
			if m.memory > mostMemory {
				t.Errorf("%s of %d hosts takes %d MB of memory, want at most %d", name, n, m.memory/1e6, int(mostMemory/1e6))
			}
			if commands > mostCommands {
				t.Errorf("%s of %d hosts runs %d commands on a node, want at most %d", name, n, commands, mostCommands)
			}
			if _, there := first[name]; !there {
				first[name] = m
			}
			fmt.Printf("%-7s %4d hosts %8.2f s %5.1f x %4d MB %3d commands on a node\n",
				name, n, m.took.Seconds(), m.took.Seconds()/first[name].took.Seconds(), m.memory/1e6, commands)
		}
	}
}

// image is a cluster image of the programs that the hosts can run.
func (s *site) image() string {
	s.t.Helper()
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(mounted, "bin", name))
		if err != nil {
			s.t.Fatal(err)
		}
		return string(data)
	}
	dir := filepath.Join(mounted, "image")
	sourcetest.Layout(s.t, dir, []string{runtime.GOARCH},
		sourcetest.Layer{Compression: "zstd", Tar: sourcetest.Tar(s.t,
			sourcetest.Entry{Name: imagespec.RunnerPath, Content: read("sealer-run"), Mode: 0o755},
			sourcetest.Entry{Name: "bin/kubeadm", Content: read("standin"), Mode: 0o755},
			sourcetest.Entry{Name: "bin/kubectl", Content: read("standin"), Mode: 0o755},
			sourcetest.Entry{Name: "scripts/init.sh", Content: "#!/bin/sh\necho prepared\n", Mode: 0o755},
		)},
		sourcetest.Layer{Images: true, Tar: sourcetest.Tar(s.t, sourcetest.Embedded(s.t, map[string]string{
			"quay.io/a/b:1": "content", "docker.io/library/c:1": "other content",
		})...)},
	)
	return dir
}

// sealerRun runs it on all hosts.
func (s *site) sealerRun(args ...string) (measure, error) {
	var out bytes.Buffer
	cmd := exec.Command(filepath.Join(mounted, "bin/sealer-run"), args...)
	cmd.Args = append(cmd.Args, "-m", s.hosts[0].String(), "--pk", filepath.Join(mounted, "key"))
	for _, address := range s.hosts[1:] {
		cmd.Args = append(cmd.Args, "-n", address.String())
	}
	cmd.Env = append(os.Environ(), "HOME="+mounted, "XDG_CONFIG_HOME="+mounted+"/config", "XDG_STATE_HOME="+mounted+"/state")
	cmd.Stdout, cmd.Stderr = &out, &out
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return measure{}, err
	}
	ended, memory := make(chan struct{}), make(chan int64)
	go func() { memory <- highWater(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	close(ended)
	return measure{took: time.Since(begin), said: out.String(), memory: <-memory}, err
}

// highWater is the most memory that a process had in use, in bytes. The kernel's own account at its end would begin with the memory of this test.
func highWater(pid int, ended <-chan struct{}) (most int64) {
	for {
		select {
		case <-ended:
			return most
		case <-time.After(20 * time.Millisecond):
		}
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		if _, text, found := strings.Cut(string(data), "\nVmHWM:"); found {
			var kilobytes int64
			fmt.Sscan(text, &kilobytes)
			most = max(most, kilobytes<<10)
		}
	}
}

// apply makes all hosts what they have to be.
func (s *site) apply(image string) {
	s.t.Helper()
	m, err := s.sealerRun(image)
	if err != nil {
		s.t.Fatalf("apply: %v\n%s", err, m.said)
	}
	fmt.Printf("bring up %4d hosts %6.2f s %4d MB\n", len(s.hosts), m.took.Seconds(), m.memory/1e6)
}

// unchanged runs a command that has nothing to do.
func (s *site) unchanged(name, image string) measure {
	s.t.Helper()
	args := map[string][]string{"status": {"status"}, "plan": {"plan", image}, "apply": {image}}[name]
	m, err := s.sealerRun(args...)
	if err != nil || name != "status" && !strings.Contains(m.said, "nothing to do") {
		s.t.Fatalf("%s of %d hosts: %v\n%s", name, len(s.hosts), err, m.said)
	}
	return m
}

// commands is how many commands were run on a host.
func (s *site) commands(n int) int {
	s.t.Helper()
	info, err := os.Stat(filepath.Join(mounted, "hosts", s.hosts[n].String(), "commands"))
	if os.IsNotExist(err) {
		return 0
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return int(info.Size())
}
