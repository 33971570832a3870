package main

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/kubefile/kubefile/integration/lab/daemon"
	"github.com/kubefile/kubefile/integration/lab/environment"
)

// readyWithin bounds how long a service may take to start.
const readyWithin = time.Minute

// mirrored lists the registries for which BuildKit asks the stand-in. A test that needs another one adds it here.
var mirrored = []string{
	"docker.io", "quay.io", "gcr.io", "ghcr.io", "registry.k8s.io", "mcr.microsoft.com", "public.ecr.aws", "nvcr.io",
	"k8s.gcr.io", "us-docker.pkg.dev", "docker.elastic.co", "registry.gitlab.com",
	"registry.cn-qingdao.aliyuncs.com", "registry.cn-hangzhou.aliyuncs.com",
	"registry.example.com", "custom.registry.io",
}

//go:embed config
var configs embed.FS

// configure writes the configuration file name from a template and returns its path.
func (l *lab) configure(name, from string, values any) (string, error) {
	parsed, err := template.ParseFS(configs, "config/"+from)
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, values); err != nil {
		return "", err
	}
	return l.path("lab", name), os.WriteFile(l.path("lab", name), text.Bytes(), 0o644)
}

// service is what all daemons of the lab have in common.
func (l *lab) service(name string) daemon.Daemon {
	return daemon.Daemon{Name: name, State: l.path("lab"), Log: l.path("log", name+".log"), Env: os.Environ()}
}

func (l *lab) registry(env *environment.Environment) (daemon.Daemon, error) {
	config, err := l.configure("registry.yml", "registry.yml", map[string]string{"Root": l.path("registry"), "Address": env.Registry})
	d := l.service("registry")
	d.Argv = []string{l.tool("registry"), "serve", config}
	d.Config = []string{config}
	d.Output = env.RegistryAccessLog
	// Variables that begin with REGISTRY_ would override the file.
	d.Env = []string{"PATH=" + os.Getenv("PATH"), "OTEL_TRACES_EXPORTER=none"}
	d.Ready = func(ctx context.Context) error { return answers(ctx, env.Registry) }
	return d, err
}

func (l *lab) upstream(env *environment.Environment) (daemon.Daemon, error) {
	program, err := os.Executable()
	if err != nil {
		return daemon.Daemon{}, err
	}
	files, err := filepath.Abs("integration/testdata")
	if err != nil {
		return daemon.Daemon{}, err
	}
	if _, err := os.Stat(files); err != nil {
		return daemon.Daemon{}, fmt.Errorf("run this in the root of the repository: %w", err)
	}
	layout, err := filepath.EvalSymlinks(l.path("images"))
	if err != nil {
		return daemon.Daemon{}, fmt.Errorf("the stand-in's images are not made; run: make up: %w", err)
	}
	d := l.service("upstream")
	d.Argv = []string{program, "upstream", "--listen", env.Upstream, "--layout", layout, "--files", files,
		"--references", l.path("lab", "upstream.references"), "--access-log", env.UpstreamAccessLog}
	d.Ready = func(ctx context.Context) error { return answers(ctx, env.Upstream) }
	return d, nil
}

const (
	buildkitd    = "buildkitd"
	oldBuildkitd = "buildkitd-v0.17" // cannot fetch the blobs of images itself
)

func (l *lab) buildkit(env *environment.Environment) (daemon.Daemon, error) {
	return l.buildkitd(buildkitd, env)
}

func (l *lab) oldBuildkit(env *environment.Environment) (daemon.Daemon, error) {
	return l.buildkitd(oldBuildkitd, env)
}

// buildkitd is the BuildKit whose program has the given name.
func (l *lab) buildkitd(name string, env *environment.Environment) (daemon.Daemon, error) {
	config, err := l.configure(name+".toml", "buildkitd.toml", map[string]any{
		"Root": l.buildRoot(name), "Socket": l.socket(name), "TraceSocket": l.traceSocket(name), "Runc": l.tool("runc"),
		"Registry": env.Registry, "Upstream": env.Upstream, "Mirrored": mirrored,
	})
	d := l.service(name)
	d.Argv = []string{l.tool(name), "--config", config}
	d.Config = []string{config, l.tool("runc")}
	d.Env = append(d.Env, "OTEL_TRACES_EXPORTER=none")
	d.Ready = func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return run(exec.CommandContext(ctx, l.tool("buildctl"), "--addr", l.address(name), "debug", "workers"))
	}
	return d, err
}

// buildRoot is where a BuildKit keeps its state, and socket what it listens on.
func (l *lab) buildRoot(buildkitd string) string {
	return l.path(strings.Replace(buildkitd, "buildkitd", "buildkit", 1))
}
func (l *lab) socket(buildkitd string) string  { return l.path("lab", buildkitd+".sock") }
func (l *lab) address(buildkitd string) string { return "unix://" + l.socket(buildkitd) }

// traceSocket is where a BuildKit takes traces from the steps of builds. It mounts the socket into each.
func (l *lab) traceSocket(buildkitd string) string {
	return l.path("lab", strings.Replace(buildkitd, "buildkitd", "otel", 1)+".sock")
}

// answers reports whether a registry answers at address.
func answers(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/v2/", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultTransport.RoundTrip(request) // as it is: no proxy is meant for loopback
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", address, response.Status)
	}
	return nil
}

// run runs a command and puts what it wrote into the error.
func run(cmd *exec.Cmd) error {
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, bytes.TrimSpace(output))
	}
	return nil
}
