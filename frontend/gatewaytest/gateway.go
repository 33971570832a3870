// Package gatewaytest is BuildKit's gateway for frontend tests, inside the test's process. It
// evaluates the build graphs of a frontend in temporary directories, with the code that BuildKit
// itself uses to copy files and to read and write layers.
//
// It evaluates local directories, images and blobs of a [Registry], file operations, merges, diffs,
// and the programs that a test gives it. As a daemon does, it reads no more layers of an image than
// a step needs, keeps every result, and refuses an operation whose capability it does not have.
//
// It has no containers: a [Program] is a Go function that can read and write everything. Files have
// no owners, and the user who runs the test can read them all. Nothing is cached from one gateway to
// the next. Sources, attributes and mounts that it does not know are errors, and never ignored.
package gatewaytest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/gateway/client"
	gwpb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/apicaps"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Config describes a BuildKit daemon and one build request to it.
type Config struct {
	// Opts are the options of the request, as a client sends them: "filename", "platform", "build-arg:NAME", "context:NAME".
	Opts map[string]string
	// Locals are directories of the client by name. A build has "context" and "dockerfile".
	Locals map[string]string
	// Inputs are the inputs of the request by name.
	Inputs map[string]llb.State
	// Secrets are the client's secrets, by id.
	Secrets map[string]string
	// Registry has every image, regardless of the name of its registry.
	Registry *Registry
	// Programs are the programs of exec operations, by the name given to [Executable].
	Programs map[string]Program
	// Without are capabilities that this daemon does not have.
	Without []apicaps.CapID
	// Frontend is the image that the daemon started as frontend. It is empty for a daemon that does not say.
	Frontend string
}

// Warning is a warning of a frontend.
type Warning struct {
	Message string
	client.WarnOpts
}

// Gateway is a [client.Client] for one build request.
type Gateway struct {
	config Config
	caps   apicaps.CapSet
	root   string // of all directories
	caches directories

	mu       sync.Mutex
	warnings []Warning
	results  map[string]*evaluation // by digest of the operation

	running sync.RWMutex // held for reading by requests
	ended   bool         // with the test
}

var _ client.Client = (*Gateway)(nil)

// buildPlatform is the platform of the daemon.
var buildPlatform = ocispec.Platform{OS: "linux", Architecture: "amd64"}

// New returns a gateway whose directories are removed at the end of the test.
func New(tb testing.TB, config Config) *Gateway {
	tb.Helper()
	if config.Registry == nil {
		config.Registry = NewRegistry(tb)
	}
	all := pb.Caps.All()
	for _, c := range all {
		if slices.Contains(config.Without, apicaps.CapID(c.ID)) {
			c.Enabled = false
		}
	}
	g := &Gateway{config: config, caps: pb.Caps.CapSet(all), root: tb.TempDir(), results: map[string]*evaluation{}}
	tb.Cleanup(g.end)
	return g
}

// end waits for what a frontend has left running when its build failed. A daemon ends with the session.
func (g *Gateway) end() {
	g.running.Lock()
	defer g.running.Unlock()
	g.ended = true
}

// BuildOpts returns the options of the request and the capabilities of the daemon.
func (g *Gateway) BuildOpts() client.BuildOpts {
	return client.BuildOpts{
		Opts:      maps.Clone(g.config.Opts),
		SessionID: "session",
		Workers:   []client.WorkerInfo{{ID: "worker", Platforms: []ocispec.Platform{buildPlatform}}},
		Product:   "buildkit",
		LLBCaps:   g.caps,
		Caps:      gwpb.Caps.CapSet(gwpb.Caps.All()),
	}
}

// CurrentFrontend returns the image that the daemon started as frontend, or nil if it does not say.
func (g *Gateway) CurrentFrontend() (*llb.State, error) {
	if g.config.Frontend == "" {
		return nil, nil
	}
	st := llb.Image(g.config.Frontend, llb.Platform(buildPlatform))
	return &st, nil
}

// Inputs returns the inputs of the request.
func (g *Gateway) Inputs(context.Context) (map[string]llb.State, error) {
	return maps.Clone(g.config.Inputs), nil
}

// NewContainer returns an error, because there are no containers.
func (g *Gateway) NewContainer(context.Context, client.NewContainerRequest) (client.Container, error) {
	return nil, errors.New("gatewaytest has no containers")
}

// Warn records a warning.
func (g *Gateway) Warn(_ context.Context, _ digest.Digest, message string, opts client.WarnOpts) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.warnings = append(g.warnings, Warning{message, opts})
	return nil
}

// Warnings returns the messages of all warnings so far.
func (g *Gateway) Warnings() []Warning {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.warnings)
}

// refused is the error for what a daemon can do and this gateway cannot.
func refused(format string, args ...any) error {
	return fmt.Errorf("gatewaytest does not know "+format, args...)
}
