package client

import (
	"bytes"
	"context"
	"fmt"

	"github.com/kubefile/kubefile/runner/agent/wire"
)

// WriteKubeconfig is [Client.WriteFile] for a kubeconfig of the cluster, with mode 0600. When others have added clusters of their own to it
// by the time the cluster is removed, these stay; and so do their parts of kubectl's cache.
func (c Client) WriteKubeconfig(ctx context.Context, path string, content []byte) (bool, error) {
	var answer wire.Changed
	request := wire.FileRequest{Dir: c.Dir, Path: path, Mode: 0o600, Kubeconfig: true}
	if err := c.call(ctx, c.agent(), wire.VerbWrite, request, bytes.NewReader(content), &answer); err != nil {
		return false, fmt.Errorf("writing %s: %w", path, err)
	}
	return answer.Changed, nil
}

// Observe reads all files of some patterns on the host at once, and changes nothing.
func (c Client) Observe(ctx context.Context, files wire.Files) (*wire.Observed, error) {
	var answer wire.Observed
	if err := c.call(ctx, c.agent(), wire.VerbObserve, files, nil, &answer); err != nil {
		return nil, fmt.Errorf("reading the cluster's files: %w", err)
	}
	answer.Asked = files
	return &answer, nil
}

// WriteBlock makes the cluster's lines be in a file that others write too, between two marks. All other lines stay, also those that somebody
// put between the marks; so do the file's mode and owner. It reports whether that changed anything.
func (c Client) WriteBlock(ctx context.Context, path, cluster string, lines []string) (bool, error) {
	var answer wire.Changed
	request := wire.BlockRequest{Dir: c.Dir, Path: path, Cluster: cluster, Lines: lines}
	if err := c.call(ctx, c.agent(), wire.VerbBlock, request, nil, &answer); err != nil {
		return false, fmt.Errorf("writing the cluster's lines to %s: %w", path, err)
	}
	return answer.Changed, nil
}
