package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubefile/kubefile/integration/lab/daemon"
	"github.com/kubefile/kubefile/integration/lab/environment"
)

// up starts the services that do not run, or not with this configuration, and writes lab.env.
func (l *lab) up(ctx context.Context) error {
	if longest := 107; len(l.socket(oldBuildkitd)) > longest {
		return fmt.Errorf("the socket's path %s is longer than the %d bytes that Linux allows; use a clone with a shorter path", l.socket(oldBuildkitd), longest)
	}
	for _, name := range []string{"registry", buildkitd, "buildctl", "buildx", "runc"} {
		if _, err := os.Stat(l.tool(name)); err != nil {
			return fmt.Errorf("a tool is not compiled; run: make tools: %w", err)
		}
	}
	env, err := l.environment()
	if err != nil {
		return err
	}
	services := []func(*environment.Environment) (daemon.Daemon, error){l.registry, l.upstream, l.buildkit}
	if _, err := os.Stat(l.tool(oldBuildkitd)); err == nil { // few targets use it
		services = append(services, l.oldBuildkit)
	}
	for _, describe := range services {
		d, err := describe(env)
		if err != nil {
			return err
		}
		if err := l.start(ctx, d); err != nil {
			return err
		}
	}
	if err := l.dockerConfig(ctx, env); err != nil {
		return err
	}
	if err := env.Write(l.out); err != nil {
		return err
	}
	fmt.Printf("BuildKit %s\nregistry %s\nupstream %s\nin a shell: set -a; . %s; set +a\n",
		env.BuildKitHost, env.Registry, env.Upstream, l.path(environment.File))
	return nil
}

func (l *lab) start(ctx context.Context, d daemon.Daemon) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if strings.HasPrefix(d.Name, buildkitd) && !d.Running() {
		if err := l.sweepBuildKit(ctx, l.buildRoot(d.Name)); err != nil {
			return err
		}
	}
	started, err := d.Start(ctx)
	if started {
		fmt.Println("started", d.Name)
	}
	return err
}

// environment returns the addresses. It keeps the previous ones that are free or in use by this lab.
func (l *lab) environment() (*environment.Environment, error) {
	env, _ := environment.Read(l.out) // missing values are chosen again
	if env == nil {
		env = new(environment.Environment)
	}
	for _, a := range []struct {
		service string
		address *string
	}{{"registry", &env.Registry}, {"upstream", &env.Upstream}} {
		if l.service(a.service).Running() && *a.address != "" {
			continue
		}
		address, err := l.freeAddress(a.service)
		if err != nil {
			return nil, err
		}
		*a.address = address
	}
	env.BuildKitHost, env.OldBuildKitHost = l.address(buildkitd), l.address(oldBuildkitd)
	env.Frontend = env.Registry + "/kubefile/frontend:dev"
	env.RegistryAccessLog = l.path("log", "registry-access.log")
	env.UpstreamAccessLog = l.path("log", "upstream-access.jsonl")
	var mirrors []string
	for _, host := range mirrored {
		mirrors = append(mirrors, host+"=http://"+env.Upstream+"/"+host)
	}
	env.Mirrors = strings.Join(mirrors, ",")
	env.DockerConfig = l.path("docker")
	env.BuildxBuilder, env.OldBuildxBuilder = "kubefile-lab", "kubefile-lab-old"
	env.Bin = l.path("bin")
	return env, nil
}

// dockerConfig makes a configuration directory in which `docker buildx build` and `buildx build` use the lab's BuildKit.
func (l *lab) dockerConfig(ctx context.Context, env *environment.Environment) error {
	plugin := filepath.Join(env.DockerConfig, "cli-plugins", "docker-buildx")
	if err := os.MkdirAll(filepath.Dir(plugin), 0o755); err != nil {
		return err
	}
	if err := os.Symlink(l.tool("buildx"), plugin); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for builder, host := range map[string]string{env.BuildxBuilder: env.BuildKitHost, env.OldBuildxBuilder: env.OldBuildKitHost} {
		if _, err := os.Stat(filepath.Join(env.DockerConfig, "buildx", "instances", builder)); err == nil {
			continue
		}
		create := exec.CommandContext(ctx, plugin, "create", "--name", builder, "--driver", "remote", host)
		create.Env = append(os.Environ(), "DOCKER_CONFIG="+env.DockerConfig)
		if err := run(create); err != nil {
			return err
		}
	}
	use := exec.CommandContext(ctx, plugin, "use", env.BuildxBuilder)
	use.Env = append(os.Environ(), "DOCKER_CONFIG="+env.DockerConfig)
	return run(use)
}

// publish builds the frontend image for the architectures from what `make frontend` compiled, and pushes it.
func (l *lab) publish(ctx context.Context, architectures []string) error {
	env, err := environment.Read(l.out)
	if err != nil {
		return err
	}
	if len(architectures) == 0 {
		return errors.New("publish needs the architectures of the frontend image")
	}
	var platforms []string
	for _, arch := range architectures {
		if _, err := os.Stat(l.path("frontend", "linux-"+arch)); err != nil {
			return fmt.Errorf("the frontend is not compiled; run: make frontend: %w", err)
		}
		platforms = append(platforms, "linux/"+arch)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	version, err := exec.CommandContext(ctx, "version/version.sh", "env").Output()
	if err != nil {
		return fmt.Errorf("reading the version of this clone: %w", err)
	}
	args := []string{"--addr", env.BuildKitHost, "build", "--progress", "plain",
		"--frontend", "dockerfile.v0", "--opt", "filename=Dockerfile.frontend", "--opt", "platform=" + strings.Join(platforms, ","),
		"--local", "context=.", "--local", "dockerfile=.",
		"--output", "type=image,push=true,compression-level=1,name=" + env.Frontend} // it does not go far
	for line := range strings.Lines(string(version)) {
		args = append(args, "--opt", "build-arg:"+strings.TrimSpace(line))
	}
	if err := run(exec.CommandContext(ctx, l.tool("buildctl"), args...)); err != nil {
		return fmt.Errorf("publishing the frontend image: %w", err)
	}
	fmt.Println("frontend", env.Frontend)
	return nil
}

// down stops what up started. What was built and pushed stays.
func (l *lab) down(ctx context.Context) error {
	var failures []error
	for _, name := range []string{oldBuildkitd, buildkitd, "upstream", "registry"} {
		failures = append(failures, l.service(name).Stop(ctx))
	}
	if err := errors.Join(failures...); err != nil {
		return err
	}
	if err := os.Remove(l.path(environment.File)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range []string{oldBuildkitd, buildkitd} {
		failures = append(failures, l.sweepBuildKit(ctx, l.buildRoot(name)))
	}
	return errors.Join(failures...)
}
