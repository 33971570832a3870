package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/host"
)

// RemoveCreated undoes what the journal remembers: files that were made are
// removed, those that were there before are restored, then the cluster's
// directory and the runner go. What others changed since stays. It returns what
// had to be left, one line each with the reason. A host whose journal and record
// do not say that the directory is this cluster's is not changed. The host's own
// agent does it if it can; else own, a runner that is on this machine, is copied
// there for as long as it takes. It is nil when there is none for the host.
func (c Client) RemoveCreated(ctx context.Context, cluster, id string, own func() (Binary, error)) ([]string, error) {
	runner := c.agent()
	able, err := c.able(ctx)
	if err != nil {
		return nil, err
	}
	if !able {
		if own == nil {
			return nil, fmt.Errorf("%s: its agent is missing or has another version; run the same command on a machine with the host's platform", c.Conn.Host())
		}
		b, err := own()
		if err != nil {
			return nil, err
		}
		runner += ".remove-" + b.Digest.Encoded()[:12]
		if err := c.upload(ctx, b, runner); err != nil {
			return nil, fmt.Errorf("copying the runner: %w", err)
		}
		defer c.Conn.Run(context.WithoutCancel(ctx), host.Command{Argv: []string{"rm", "-f", runner}, Root: true})
	}
	var answer wire.RemoveAnswer
	if err := c.call(ctx, runner, wire.VerbRemove, wire.RemoveRequest{Dir: c.Dir, Cluster: cluster, ID: id}, nil, &answer); err != nil {
		return nil, fmt.Errorf("removing what was created: %w", err)
	}
	for i, line := range answer.Left {
		answer.Left[i] = strings.ToValidUTF8(line, "?")
	}
	return answer.Left, nil
}

// able reports whether the host's agent has the protocol of this one.
func (c Client) able(ctx context.Context) (bool, error) {
	var answer wire.InstallAnswer
	err := c.call(ctx, c.agent(), wire.VerbProtocol, struct{}{}, nil, &answer)
	var exit *host.ExitError
	if errors.As(err, &exit) {
		return false, nil
	}
	return answer.Protocol == wire.Protocol, err
}

// Own is this very program as a runner.
func Own() (Binary, error) {
	file, err := os.Executable()
	if err != nil {
		return Binary{}, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return Binary{}, err
	}
	f, err := os.Open(file)
	if err != nil {
		return Binary{}, err
	}
	defer f.Close()
	sum, err := digest.FromReader(f)
	return Binary{File: file, Digest: sum, Size: info.Size()}, err
}
