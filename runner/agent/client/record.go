package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/host"
)

// Survey reads the host's journal and record; nil when there is no journal. It changes nothing and needs no agent on the host.
func (c Client) Survey(ctx context.Context) (*hostrecord.Survey, error) {
	data, err := host.Output(ctx, c.Conn, host.Command{
		Argv: []string{"sh", "-c", `[ ! -e "$1" ] || cat "$1"`, "sh", c.Dir + "/" + hostrecord.JournalFile},
		Root: true,
	})
	if err != nil {
		return nil, fmt.Errorf("reading the host's journal: %w", err)
	}
	if len(data) == 0 {
		empty, err := c.isFile(ctx, c.Dir+"/"+hostrecord.JournalFile)
		if err != nil || !empty {
			return nil, err
		}
	}
	var listed hostrecord.Journal
	if err := listed.Parse(data, c.Dir); err != nil {
		return nil, fmt.Errorf("%s: %s/%s: %w; nothing was removed: restore the file, or clean the host by hand", c.Conn.Host(), c.Dir, hostrecord.JournalFile, err)
	}
	remembered, err := c.Record(ctx)
	return hostrecord.NewSurvey(c.Dir, &listed, remembered), err
}

func (c Client) isFile(ctx context.Context, path string) (bool, error) {
	err := c.Conn.Run(ctx, host.Command{Argv: []string{"test", "-f", path}, Root: true})
	var exit *host.ExitError
	if errors.As(err, &exit) {
		return false, nil
	}
	return err == nil, err
}

// Record returns the host's record; nil when there is none. It needs no agent on the host.
func (c Client) Record(ctx context.Context) (*hostrecord.Record, error) {
	data, err := host.Output(ctx, c.Conn, host.Command{
		Argv: []string{"sh", "-c", `[ ! -e "$1" ] || cat "$1"`, "sh", c.Dir + "/" + hostrecord.RecordFile},
		Root: true, ReadOnly: true,
	})
	if err != nil {
		return nil, fmt.Errorf("reading the host's record: %w", err)
	}
	return c.ParseRecord(data)
}

// ParseRecord reads the content of the host's record; nil when there is none.
func (c Client) ParseRecord(data []byte) (*hostrecord.Record, error) {
	if len(data) == 0 {
		return nil, nil
	}
	r, err := hostrecord.ParseRecord(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %s/%s: %w", c.Conn.Host(), c.Dir, hostrecord.RecordFile, err)
	}
	return r, nil
}

// Begin records, before it happens, that what is begun on the host for a cluster. It survives a power cut once Begin has returned. A host
// whose record names another cluster gets an [*OtherClusterError]. The agent has to be installed.
func (c Client) Begin(ctx context.Context, cluster, id, what string) error {
	var answer hostrecord.BeginAnswer
	request := hostrecord.BeginRequest{Dir: c.Dir, Cluster: cluster, ID: id, What: what}
	if err := c.call(ctx, c.agent(), wire.VerbBegin, request, nil, &answer); err != nil {
		return fmt.Errorf("recording %s: %w", what, err)
	}
	if !answer.Record.Of(cluster, id) {
		return &hostrecord.OtherClusterError{Host: c.Conn.Host().String(), Dir: c.Dir, Have: answer.Record}
	}
	return nil
}
