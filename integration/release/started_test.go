//go:build release

package release

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kubefile/kubefile/integration/hosts"
	"github.com/kubefile/kubefile/integration/lab/environment"
)

// labName separates these hosts from those of end-to-end tests, which may run at the same time.
const labName = hosts.DefaultName + "3"

// TestGettingStarted runs every command of docs/getting-started.md, with the names of the lab in place of those of the reader.
func TestGettingStarted(t *testing.T) {
	root, env := top(t), readLab(t)
	succeed(t, root, nil, "integration/lab/examples.sh", "binaries")
	source := clone(t)
	lab, err := hosts.UpAs(t.Context(), root, hosts.Spec{Name: labName, Hosts: make([]hosts.HostSpec, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := lab.Fresh(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	serveRegistry(t, root, env, lab)

	page := string(read(t, filepath.Join(source, "docs/getting-started.md")))
	fenced := regexp.MustCompile("(?s)```sh\n(.*?)```\n")
	blocks := fenced.FindAllStringSubmatch(page, -1)
	if rest := fenced.ReplaceAllString(page, ""); len(blocks) < 8 || strings.Contains(rest, "```") || strings.Contains(rest, "\n    ") {
		t.Fatalf("got %d blocks of commands, and maybe others: the pattern does not fit the page", len(blocks))
	}
	var script strings.Builder
	script.WriteString("set -eux -o pipefail\n")
	for _, block := range blocks {
		script.WriteString(block[1])
	}
	home := t.TempDir() // known hosts and logs
	cmd := exec.CommandContext(t.Context(), "bash", "-c", inLab(script.String(), env, lab, root, source))
	work := t.TempDir()
	cmd.Dir = work
	cmd.Env = append(append(os.Environ(), env.Lines()...), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_STATE_HOME="+home,
		"GOPATH="+goEnv(t, "GOPATH"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"), "GOCACHE="+goEnv(t, "GOCACHE"), "GOENV="+goEnv(t, "GOENV"),
		"KUBEFILE_CACHE="+cache(t), "LAB_NAME="+labName)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		"published " + regexp.QuoteMeta(env.Registry) + "/started/frontend:1\n", "cluster default runs", "no problems found", `docker\.io/library/busybox:1\.35`,
		`warning +masters-only +no host takes pods of applications`, `(?m)^1 host: 0 errors, \d+ warnings?$`, `(?m)^hello-\S+ +1/1 +Running `,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("%q is missing in:\n%s", want, out.String())
		}
	}
	if changed := succeed(t, filepath.Join(work, "kubefile"), nil, "git", "status", "--porcelain"); changed != "" {
		t.Errorf("the page changes the clone, from which make release then makes no release:\n%s", changed)
	}
}

// inLab replaces the names of the page. What differs in the lab besides names is added: it has no route to the release servers and
// registries, and logs in with a key of its own.
func inLab(script string, env *environment.Environment, lab *hosts.Lab, root, source string) string {
	replaced := strings.NewReplacer(
		"https://github.com/kubefile/kubefile", source,
		"registry.example.com/kubefile", env.Registry+"/started",
		"make publish", fmt.Sprintf("make publish BASE_FLAGS='--build-context binaries=%s/_out/examples/binaries --build-arg KUBEFILE_MIRRORS'", root),
		"docker buildx build -f", "docker buildx build --build-arg KUBEFILE_MIRRORS -f",
		"ssh root@192.168.0.2", filepath.Join(root, "integration/hosts/on")+" 1",
		"./sealer-run", filepath.Join(root, "integration/hosts/lan")+" ./sealer-run",
	).Replace(script)
	login := fmt.Sprintf("-m %s --pk %s", lab.Hosts[0].Address, lab.Key)
	replaced = strings.ReplaceAll(replaced, "-m 192.168.0.2", login)
	// A plan with changes ends with status 2.
	replaced = regexp.MustCompile(`(?m)^(.*\./sealer-run plan .*)$`).ReplaceAllString(replaced, "$1 || [ $$? = 2 ]")
	// Only plan and run take variables.
	return regexp.MustCompile(`(?m)^(.*started/hello:v1 -m [^|\n]*[^|\s])`).ReplaceAllString(replaced, "$1 -e CONTAINERD_RESTRICT_OOM_SCORE_ADJ=true")
}

// serveRegistry serves the lab's registry at its own address in the namespace of the hosts, too.
func serveRegistry(t *testing.T, root string, env *environment.Environment, lab *hosts.Lab) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "registry.yml")
	text := fmt.Sprintf("version: 0.1\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q}\nlog: {level: error, accesslog: {disabled: true}}\n",
		filepath.Join(root, "_out", "registry"), env.Registry)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := lab.Command(context.Background(), filepath.Join(env.Bin, "registry"), "serve", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	deadline := time.Now().Add(time.Minute)
	for {
		err := lab.Command(t.Context(), "curl", "-sf", "http://"+env.Registry+"/v2/").Run()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the registry does not answer in the namespace of the hosts: %v", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(succeed(t, "", nil, "go", "env", name))
}

// cache is the directory of compiled tools, which does not depend on the home directory.
func cache(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("KUBEFILE_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "kubefile")
}
