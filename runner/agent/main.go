package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/kubefile/kubefile/runner/agent/journal"
	"github.com/kubefile/kubefile/runner/agent/layers"
	"github.com/kubefile/kubefile/runner/agent/wire"
)

const (
	maxRequest   = 1 << 20
	requestUsage = "usage: sealer-run agent VERB REQUEST"
)

// Main serves one request on the host: args are VERB and REQUEST. It is not for
// people; see package client. When ctx ends it returns at once, and the process is
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
	case wire.VerbInstall:
		return serve(stdout, request, journal.Install)
	case wire.VerbHave:
		return serve(stdout, request, layers.Have)
	case wire.VerbBlob:
		return serve(stdout, request, func(r wire.BlobRequest) (struct{}, error) { return layers.PutBlob(r, stdin) })
	case wire.VerbLayer:
		return serve(stdout, request, func(r wire.LayerRequest) (struct{}, error) { return layers.PutLayer(r, stdin) })
	case wire.VerbCommit:
		return serve(stdout, request, layers.CommitImages)
	case wire.VerbUnpack:
		return serve(stdout, request, func(r wire.UnpackRequest) (wire.Changed, error) { return layers.UnpackRootfs(ctx, r) })
	case wire.VerbWrite:
		return serve(stdout, request, func(r wire.FileRequest) (wire.Changed, error) { return journal.WriteFile(r, stdin) })
	case wire.VerbBlock:
		return serve(stdout, request, journal.WriteBlock)
	case wire.VerbProtocol:
		return serve(stdout, request, func(struct{}) (wire.InstallAnswer, error) { return wire.InstallAnswer{Protocol: wire.Protocol}, nil })
	case wire.VerbBegin:
		return serve(stdout, request, journal.Begin)
	case wire.VerbProbe:
		return serve(stdout, request, func(p wire.Probe) (wire.Probed, error) { return probe(ctx, p, "/") })
	case wire.VerbUnit:
		return serve(stdout, request, func(u wire.Unit) (wire.UnitState, error) { return watchUnit(ctx, hostSystemd{}, u) })
	case wire.VerbRemove:
		return serve(stdout, request, journal.RemoveCreated)
	case wire.VerbRemoveLayers:
		return serve(stdout, request, func(r wire.RemoveLayersRequest) (wire.RemoveLayersAnswer, error) { return layers.RemoveLayers(ctx, r) })
	case wire.VerbObserve:
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
