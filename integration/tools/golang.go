package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// A program is one `go build`: a row of the table.
type program struct {
	name     string   // name of the tool; of the binary too when there is one package
	dir      string   // directory of the go.mod that pins it, relative to this one
	module   string   // module whose version in that go.mod is the program's version
	packages []string // main packages; several make binaries called after the last path element
	set      []string // string variables set at link time, "path.name=value" with {version}, {major}, {minor}
	tags     string   // build tags, comma separated
	cgo      bool     // linked against C libraries, statically
}

func (p program) binaries() []string {
	if len(p.packages) == 1 {
		return []string{p.name}
	}
	var names []string
	for _, pkg := range p.packages {
		names = append(names, path.Base(pkg))
	}
	return names
}

// tool reads the pinned version and hashes what the result depends on: command line, environment, go.mod, go.sum, the Go
// release, and the sources that belong to this repository.
func (p program) tool(root string) (tool, error) {
	dir := filepath.Join(root, p.dir)
	version, err := pinned(filepath.Join(dir, "go.mod"), p.module)
	if err != nil {
		return tool{}, err
	}
	files := []string{filepath.Join(dir, "go.mod"), filepath.Join(dir, "go.sum")}
	for _, pkg := range p.packages {
		if strings.HasPrefix(pkg, "./") {
			sources, err := filepath.Glob(filepath.Join(dir, pkg, "*.go"))
			if err != nil {
				return tool{}, err
			}
			files = append(files, slices.DeleteFunc(sources, func(f string) bool { return strings.HasSuffix(f, "_test.go") })...)
		}
	}
	args, env := p.command(version), p.environment()
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %s\n", args, env, runtime.Version())
	for _, file := range files {
		if err := hashFile(h, file); err != nil {
			return tool{}, err
		}
	}
	t := tool{name: p.name, version: version, key: hex.EncodeToString(h.Sum(nil))[:12], binaries: p.binaries()}
	run := func(ctx context.Context, args ...string) error {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir, cmd.Env = dir, slices.Concat(collectRarely(), os.Environ(), env, []string{withoutDebug})
		return runCommand(cmd)
	}
	// Loading the packages downloads exactly the modules that they need.
	t.fetch = func(ctx context.Context) error {
		return run(ctx, append([]string{"list", "-deps", "-mod=readonly", "-tags", p.tags}, p.packages...)...)
	}
	t.build = func(ctx context.Context, out string) error {
		if p.cgo {
			if err := installed(ctx, cgoPackages); err != nil {
				return err
			}
		}
		if len(p.packages) == 1 {
			out = filepath.Join(out, p.name)
		}
		return run(ctx, append([]string{"build", "-o", out}, args...)...)
	}
	return t, nil
}

// collectRarely returns variables with which the compiler collects garbage less often, but never uses more than 2 GB as long as it can do
// with less. They do not change the result, so they are not part of a tool's key; settings of the caller's win.
func collectRarely() []string { return []string{"GOGC=800", "GOMEMLIMIT=2GiB"} }

// withoutDebug keeps the compiler from writing debug information, which the linker would leave out: a tenth less CPU time. The program
// does the same, so it is not part of a tool's key.
const withoutDebug = "GOFLAGS=-gcflags=all=-dwarf=false"

// command returns the arguments of go build after -o.
func (p program) command(version string) []string {
	major, minor, _ := strings.Cut(strings.TrimPrefix(semver.MajorMinor(version), "v"), ".")
	fill := strings.NewReplacer("{version}", version, "{major}", major, "{minor}", minor)
	ldflags := "-s -w"
	for _, variable := range p.set {
		ldflags += " -X " + fill.Replace(variable)
	}
	if p.cgo {
		ldflags += " -extldflags -static"
	}
	return append([]string{"-trimpath", "-buildvcs=false", "-mod=readonly", "-tags", p.tags, "-ldflags", ldflags}, p.packages...)
}

// environment returns what is set for go build on top of the caller's environment, so that none of his settings changes the result.
func (p program) environment() []string {
	cgo := "0"
	if p.cgo {
		cgo = "1"
	}
	return []string{"GOOS=linux", "GOARCH=" + runtime.GOARCH, "CGO_ENABLED=" + cgo, "GOFLAGS=", "GOWORK=off"}
}

// pinned returns the version of a module that the go.mod file requires, or replaces the required one by.
func pinned(file, module string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	mod, err := modfile.Parse(file, data, nil)
	if err != nil {
		return "", err
	}
	for _, r := range mod.Replace {
		if r.Old.Path == module && r.New.Path == module {
			return r.New.Version, nil
		}
	}
	for _, r := range mod.Require {
		if r.Mod.Path == module {
			return r.Mod.Version, nil
		}
	}
	return "", fmt.Errorf("%s does not require %s", file, module)
}

func hashFile(h io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	fmt.Fprintf(h, "%s %d\n", filepath.Base(name), info.Size())
	_, err = io.Copy(h, f)
	return err
}

// runCommand runs cmd and puts what it printed into the error. When the context ends the command is interrupted, not killed,
// so that it can remove its temporary files.
func runCommand(cmd *exec.Cmd) error {
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, output)
	}
	return nil
}
