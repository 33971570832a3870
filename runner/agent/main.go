package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/kubefile/kubefile/runner/source"
)

// Path is where the agent is installed on a host.
const Path = "/usr/local/bin/sealer-run"

// Protocol is the version of requests and answers. Both ends must have the same.
const Protocol = 4

var (
	// ErrDamaged says that bytes are not those of their digest.
	ErrDamaged = source.ErrDamaged
	// ErrNoSpace says that something would fill the host's disk.
	ErrNoSpace = errors.New("not enough space")
	// ErrInvalid says that a layer or request holds what it must not.
	ErrInvalid = errors.New("not acceptable")
	// ErrForeign says that a directory is not the cluster's.
	ErrForeign = errors.New("not made for this cluster")
)

// Verbs of the agent.
const (
	verbInstall  = "install"
	verbHave     = "have"
	verbBlob     = "put-blob"
	verbLayer    = "put-layer"
	verbCommit   = "commit-images"
	verbUnpack   = "unpack-rootfs"
	verbWrite    = "write-file"
	verbBlock    = "write-block"
	verbProtocol = "protocol"
	verbBegin    = "begin"
	verbProbe    = "probe"
	verbUnit     = "watch-unit"
	verbRemove   = "remove-created"
	verbObserve  = "observe"

	verbRemoveLayers = "remove-layers"

	maxRequest   = 1 << 20
	requestUsage = "usage: sealer-run agent VERB REQUEST"
)

// Main serves one request on the host: args are VERB and REQUEST. It is not for
// people; see [Client]. When ctx ends it returns at once, and the process is
// expected to end: what is half-done is found by the next request.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) != 2 || len(args[1]) > maxRequest {
		return errors.New(requestUsage)
	}
	syscall.Umask(0o022) // whatever the login has: modes are meant as they are written
	ended := make(chan error, 1)
	go func() { ended <- do(ctx, args[0], []byte(args[1]), stdin, stdout) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func do(ctx context.Context, verb string, request []byte, stdin io.Reader, stdout io.Writer) error {
	switch verb {
	case verbInstall:
		return serve(stdout, request, install)
	case verbHave:
		return serve(stdout, request, have)
	case verbBlob:
		return serve(stdout, request, func(r blobRequest) (struct{}, error) { return putBlob(r, stdin) })
	case verbLayer:
		return serve(stdout, request, func(r layerRequest) (struct{}, error) { return putLayer(r, stdin) })
	case verbCommit:
		return serve(stdout, request, commitImages)
	case verbUnpack:
		return serve(stdout, request, func(r unpackRequest) (changed, error) { return unpackRootfs(ctx, r) })
	case verbWrite:
		return serve(stdout, request, func(r fileRequest) (changed, error) { return writeFile(r, stdin) })
	case verbBlock:
		return serve(stdout, request, writeBlock)
	case verbProtocol:
		return serve(stdout, request, func(struct{}) (installAnswer, error) { return installAnswer{Protocol: Protocol}, nil })
	case verbBegin:
		return serve(stdout, request, begin)
	case verbProbe:
		return serve(stdout, request, func(p Probe) (Probed, error) { return probe(ctx, p, "/") })
	case verbUnit:
		return serve(stdout, request, func(u Unit) (UnitState, error) { return watchUnit(ctx, hostSystemd{}, u) })
	case verbRemove:
		return serve(stdout, request, removeCreated)
	case verbRemoveLayers:
		return serve(stdout, request, func(r removeLayersRequest) (removeLayersAnswer, error) { return removeLayers(ctx, r) })
	case verbObserve:
		return serve(stdout, request, observe)
	}
	return fmt.Errorf("unknown agent verb %q; %s", verb, requestUsage)
}

// serve decodes a request, does it, and encodes the answer.
func serve[Request, Answer any](stdout io.Writer, raw []byte, do func(Request) (Answer, error)) error {
	var request Request
	if err := json.Unmarshal(raw, &request); err != nil {
		return fmt.Errorf("agent request: %w", err)
	}
	answer, err := do(request)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(answer)
}

// changed is the answer of verbs that may find nothing to do.
type changed struct {
	Changed bool `json:"changed"`
}

// checkDir refuses a cluster directory that a mistake could make harmful: it is
// removed as a whole one day.
func checkDir(dir string) error {
	if !filepath.IsAbs(dir) || filepath.Clean(dir) != dir || strings.Count(dir, "/") < 2 {
		return fmt.Errorf("cluster directory %q: %w: it has to be absolute, clean, and not at the top", dir, ErrInvalid)
	}
	return nil
}

// openDir opens the cluster's directory on this host.
func openDir(dir string) (*os.Root, error) {
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	return os.OpenRoot(dir)
}

// reserve is how much of a file system is left free for everything else on the host.
const reserve = 256 << 20

// space returns how many bytes may be written below dir.
func space(dir string) (int64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, fmt.Errorf("free space at %s: %w", dir, err)
	}
	return max(0, int64(fs.Bavail)*int64(fs.Bsize)-reserve), nil
}

// needSpace fails when size bytes would not fit.
func needSpace(dir string, size int64) error {
	free, err := space(dir)
	if err != nil {
		return err
	}
	if size > free {
		return fmt.Errorf("%w at %s: %d MiB are to be written, %d MiB may be used (%d MiB stay reserved); free some, or choose another data root",
			ErrNoSpace, dir, size>>20, free>>20, int64(reserve)>>20)
	}
	return nil
}
