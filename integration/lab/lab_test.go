//go:build lab

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubefile/kubefile/integration/lab/environment"
)

// testLab is a separate lab next to the one that `make up` starts, controlled through its command line.
type testLab struct {
	program string
	lab
}

func newTestLab(t *testing.T) *testLab {
	t.Helper()
	t.Chdir("../..")
	tools, err := filepath.Abs("_out/bin")
	if err != nil {
		t.Fatal(err)
	}
	l := &testLab{program: filepath.Join(t.TempDir(), "lab"), lab: lab{out: filepath.Join(t.TempDir(), "out")}}
	if err := os.Mkdir(l.out, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(tools, l.path("bin")); err != nil {
		t.Fatal(err)
	}
	if err := run(exec.CommandContext(t.Context(), "go", "build", "-o", l.program, "./integration/lab")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := run(exec.CommandContext(context.Background(), l.program, "--out", l.out, "down")); err != nil {
			t.Error(err)
		}
	})
	return l
}

func (l *testLab) do(t *testing.T, args ...string) {
	t.Helper()
	if err := run(exec.CommandContext(t.Context(), l.program, append([]string{"--out", l.out}, args...)...)); err != nil {
		t.Fatal(err)
	}
}

func (l *testLab) environment(t *testing.T) *environment.Environment {
	t.Helper()
	env, err := environment.Read(l.out)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// pids returns the process numbers of the services.
func (l *testLab) pids(t *testing.T) map[string]int {
	t.Helper()
	pids := make(map[string]int)
	for _, name := range []string{"registry", "upstream", buildkitd, oldBuildkitd} {
		data, err := os.ReadFile(l.path("lab", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var record struct{ PID int }
		if err := json.Unmarshal(data, &record); err != nil {
			t.Fatal(err)
		}
		pids[name] = record.PID
	}
	return pids
}

// build builds and pushes an image from a Dockerfile with plain `buildx build`.
func (l *testLab) build(t *testing.T, dockerfile, name string) {
	t.Helper()
	env := l.environment(t)
	cmd := exec.CommandContext(t.Context(), l.tool("buildx"), "build", "--tag", env.Registry+"/"+name, "--push", "-")
	cmd.Stdin = strings.NewReader(dockerfile)
	cmd.Env = append(os.Environ(), env.Lines()...)
	if err := run(cmd); err != nil {
		t.Fatal(err)
	}
}

func TestUpBuildDown(t *testing.T) {
	l := newTestLab(t)
	l.do(t, "images", "cluster")
	l.do(t, "up")
	env, pids := l.environment(t), l.pids(t)

	// A real image, generated ones, and a program of a real one that runs.
	l.build(t, `FROM registry.k8s.io/pause:3.10.1 AS pause
RUN ["/pause", "-v"]
FROM nginx:1.27
COPY --from=quay.io/example/lab-single/app:v1 /usr/share/generated/ /single/
COPY --from=pause /pause /pause
`, "test/image:v1")
	for log, want := range map[string]string{
		env.RegistryAccessLog: "PUT /v2/test/image/manifests/v1",
		env.UpstreamAccessLog: "/v2/docker.io/library/nginx/manifests/1.27",
	} {
		if data, err := os.ReadFile(log); err != nil || !bytes.Contains(data, []byte(want)) {
			t.Errorf("%s does not mention %s: %v", log, want, err)
		}
	}
	manifest, err := http.Get("http://" + env.Upstream + "/files/dashboard/recommended.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer manifest.Body.Close()
	if body, err := io.ReadAll(manifest.Body); err != nil || !bytes.Contains(body, []byte("kubernetesui/dashboard:v2.2.0")) {
		t.Errorf("the dashboard's manifest is %d bytes, %v", len(body), err)
	}

	for name := range pids {
		if strings.HasPrefix(name, buildkitd) {
			// Another lab's daemon would remove the usual one, and no step of a build starts without it.
			if info, err := os.Stat(l.traceSocket(name)); err != nil || info.Mode().Type() != os.ModeSocket {
				t.Errorf("the socket of %s for traces: %v, %v", name, info, err)
			}
		}
	}

	l.do(t, "up")
	if again := l.pids(t); !samePIDs(pids, again) || *l.environment(t) != *env {
		t.Errorf("a second up changed processes %v to %v", pids, again)
	}
	l.do(t, "down")
	if _, err := environment.Read(l.out); err == nil {
		t.Error("lab.env is still there")
	}
	for name := range pids {
		if l.service(name).Running() {
			t.Errorf("%s still runs", name)
		}
	}
}

func samePIDs(a, b map[string]int) bool {
	for name, pid := range a {
		if b[name] != pid {
			return false
		}
	}
	return true
}

func TestUpAfterBuildKitWasKilledInABuild(t *testing.T) {
	l := newTestLab(t)
	l.do(t, "images")
	l.do(t, "up")
	env := l.environment(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	endless := exec.CommandContext(ctx, l.tool("buildx"), "build", "-")
	endless.Stdin = strings.NewReader("FROM busybox\nRUN sleep 100000\n")
	endless.Env = append(os.Environ(), env.Lines()...)
	if err := endless.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- endless.Wait() }()
	step := await(t, l.buildStep)
	if err := syscall.Kill(l.pids(t)["buildkitd"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-ended

	l.do(t, "up")
	if _, ok := cmdline(step); ok {
		t.Errorf("process %d of the killed build still runs", step)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(mounts, []byte(l.path("buildkit")+"/")) {
		t.Error("mounts of the killed build are left")
	}
	l.build(t, "FROM busybox\nRUN true\n", "test/after:v1")
}

// buildStep finds the process of a running build step: runc's child.
func (l *testLab) buildStep() (pid int, ok bool) {
	states, _ := filepath.Glob("/run/runc/*/state.json")
	for _, name := range states {
		data, err := os.ReadFile(name)
		if err != nil || !bytes.Contains(data, []byte(l.path("buildkit")+"/")) {
			continue
		}
		var state struct {
			PID int `json:"init_process_pid"`
		}
		if err := json.Unmarshal(data, &state); err != nil {
			continue
		}
		if line, ok := cmdline(state.PID); ok && strings.Contains(line, "100000") {
			return state.PID, true
		}
	}
	return 0, false
}

func cmdline(pid int) (string, bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	return string(data), err == nil && len(data) > 0
}

func await(t *testing.T, found func() (int, bool)) int {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if pid, ok := found(); ok {
			return pid
		}
	}
	t.Fatal("the build step did not start")
	return 0
}

func TestRefusals(t *testing.T) {
	out := filepath.Join(t.TempDir(), "with space")
	if _, _, err := open(t.Context(), out); err == nil {
		t.Error("a directory that cannot be written into lab.env was taken")
	}
	l, unlock, err := open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if err := l.up(t.Context()); err == nil || !strings.Contains(err.Error(), "make tools") {
		t.Errorf("up without tools: %v", err)
	}
	if err := l.publish(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "make up") {
		t.Errorf("publish without up: %v", err)
	}
	if err := l.down(t.Context()); err != nil {
		t.Errorf("down without up: %v", err)
	}
}
