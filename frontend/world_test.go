package frontend_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/util/apicaps"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/frontend"
	"github.com/kubefile/kubefile/frontend/chart"
	"github.com/kubefile/kubefile/frontend/gatewaytest"
	"github.com/kubefile/kubefile/frontend/step"
	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/imagespec/storetest"
	kubellb "github.com/kubefile/kubefile/llb"
)

// frontendImage is the reference of the frontend's image in a world.
const frontendImage = "registry.example.com/kubefile/frontend:1"

// files are a build context by file name.
type files map[string]string

// world is a registry with the frontend's image and a few others, to build with.
type world struct {
	registry *gatewaytest.Registry
	frontend string // by digest
}

// request is a build beside its context.
type request struct {
	opts    map[string]string
	locals  map[string]files // beside the context
	inputs  map[string]llb.State
	secrets map[string]string
	without []apicaps.CapID
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{registry: gatewaytest.NewRegistry(t)}
	var images []gatewaytest.Image
	for _, arch := range []string{"amd64", "arm64"} {
		images = append(images, image(arch, gatewaytest.Layer(t, files{
			"frontend": gatewaytest.Executable("frontend"), "sealer-run": "runner for " + arch, "toolbox/launch": gatewaytest.Executable("shell"),
		})))
	}
	w.frontend = frontendImage + "@" + w.registry.Push(t, frontendImage, images...).String()
	for _, ref := range []string{"docker.io/library/nginx:1.27", "docker.io/library/redis:7", "quay.io/lab/tool:v1"} {
		w.push(t, ref, "amd64", "arm64")
	}
	w.registry.Push(t, "docker.io/library/debian:12", image("amd64", gatewaytest.Layer(t, files{
		"bin/sh": gatewaytest.Executable("shell"), "etc/os-release": "ID=debian\n",
	})))
	return w
}

func image(arch string, layers ...[]byte) gatewaytest.Image {
	i := gatewaytest.Image{Layers: layers}
	i.Config.Platform = ocispec.Platform{OS: "linux", Architecture: arch}
	return i
}

// push adds an image for platforms, each of which has a layer of its own.
func (w *world) push(t *testing.T, ref string, architectures ...string) digest.Digest {
	t.Helper()
	var images []gatewaytest.Image
	for _, arch := range architectures {
		images = append(images, image(arch, gatewaytest.Layer(t, files{"content": ref + " for " + arch})))
	}
	return w.registry.Push(t, ref, images...)
}

// programs are what the frontend's image can run: the same functions as its binary runs.
var _ gatewaytest.Program = runFrontend

func runFrontend(ctx context.Context, p *gatewaytest.Process) error {
	var failed error
	at := func(name string) string {
		path, err := p.Path(name)
		if err != nil && failed == nil {
			failed = err
		}
		return path
	}
	request, in, out, config := at(kubellb.RequestFile), at(kubellb.InputDir), at(kubellb.OutputDir), at(kubellb.DockerConfig)
	if failed != nil {
		return failed
	}
	switch p.Args[1] {
	case "scan":
		return step.Scan(ctx, request, in, out)
	case "list":
		return step.List(ctx, in, out)
	case "fetch":
		return step.Fetch(ctx, request, config, at(kubellb.CacheDir), out)
	case "chart":
		args := slices.Clone(p.Args[2:])
		args[len(args)-1] = at(args[len(args)-1])
		return chart.Fetch(ctx, args, config)
	}
	return fmt.Errorf("the frontend has no step %s", p.Args[1])
}

// gateway is a daemon that is asked to build a context.
func (w *world) gateway(t *testing.T, context files, r request) *gatewaytest.Gateway {
	t.Helper()
	dir := context.write(t)
	config := gatewaytest.Config{
		Opts: map[string]string{
			"filename": "Kubefile", "build-arg:KUBEFILE_MIRRORS": w.registry.Mirrors("docker.io", "quay.io", "registry.example.com"),
		},
		Locals:   map[string]string{"context": dir, "dockerfile": dir},
		Inputs:   r.inputs,
		Secrets:  r.secrets,
		Registry: w.registry,
		Programs: map[string]gatewaytest.Program{"frontend": runFrontend, "shell": gatewaytest.Shell},
		Without:  r.without,
		Frontend: w.frontend,
	}
	for name, context := range r.locals {
		config.Locals[name] = context.write(t)
	}
	maps.Copy(config.Opts, r.opts)
	return gatewaytest.New(t, config)
}

func (f files) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range f {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// built is the result of a build.
type built struct {
	gatewaytest.Image
	gateway *gatewaytest.Gateway
	result  *client.Result
	pulled  []digest.Digest // layers and blobs that the build has read
}

// build builds a context for one platform.
func (w *world) build(t *testing.T, context files, r request) built {
	t.Helper()
	g := w.gateway(t, context, r)
	w.registry.Read()
	res, err := frontend.Build(t.Context(), g)
	if err != nil {
		t.Fatalf("the build failed: %v", err)
	}
	read := w.registry.Read()
	return built{g.ExportOne(t, res), g, res, read}
}

// base builds a context and pushes the result.
func (w *world) base(t *testing.T, ref string, context files) built {
	t.Helper()
	b := w.build(t, context, request{})
	w.registry.Push(t, ref, b.Image)
	return b
}

// fails returns the error of a build that has to fail.
func (w *world) fails(t *testing.T, context files, r request) error {
	t.Helper()
	_, err := frontend.Build(t.Context(), w.gateway(t, context, r))
	if err == nil {
		t.Fatal("the build did not fail")
	}
	return err
}

func (b built) describe(t *testing.T) *imagespec.Description {
	t.Helper()
	config := b.Config.Image
	config.Config = b.Config.Config.ImageConfig
	d, err := imagespec.Describe(config)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (b built) commands(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, c := range b.describe(t).Commands {
		lines = append(lines, c.String())
	}
	return lines
}

// references are the images that are embedded. The store is checked against the lock on the way.
func (b built) references(t *testing.T) []string {
	t.Helper()
	lock := b.describe(t).Lock
	if err := storetest.Validate(t.Context(), os.DirFS(filepath.Join(b.Unpack(t), imagespec.RegistryDir)), lock); err != nil {
		t.Errorf("the embedded store: %v", err)
	}
	var references []string
	for _, locked := range lock.Images {
		references = append(references, locked.Reference)
	}
	return references
}

// warned is the messages of all warnings.
func (b built) warned() string {
	var messages []string
	for _, warning := range b.gateway.Warnings() {
		messages = append(messages, warning.Message)
	}
	return strings.Join(messages, "\n")
}

// read is the content of a file of the image.
func (b built) read(t *testing.T, name string) string {
	t.Helper()
	dt, err := os.ReadFile(filepath.Join(b.Unpack(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(dt)
}

// pod is a manifest that runs an image.
func pod(image string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\nspec:\n  containers:\n  - name: x\n    image: " + image + "\n"
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func contains(t *testing.T, what, text string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("%s does not have %q:\n%s", what, want, text)
		}
	}
}
