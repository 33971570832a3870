package phase

import (
	"context"
	"errors"
	"fmt"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/state"
)

const (
	stateFile   = "state.json"
	stateSecret = "kubefile-state"
	// secretNamespace is where it is.
	secretNamespace = "kube-system"
	secretPlace     = "the Secret " + secretNamespace + "/" + stateSecret
	// saveTries is how often a state is merged with what other runs write to the Secret at the same time.
	saveTries = 5
)

// recall reads the state from all masters and from the Secret: one of them may have been away when it was written last, damaged, or changed
// by a run that named other masters. Without any it is a new one, with the ID that the masters' records have.
func (c *Cluster) recall(ctx context.Context) error {
	copies := make([]state.Copy, len(c.Members))
	err := c.Each(ctx, c.Masters(), func(ctx context.Context, m *execute.Member) error {
		data, err := m.Read(ctx, m.Path(stateFile))
		copies[m.Index] = state.Copy{Where: m.String(), Data: data}
		return err
	})
	if err != nil {
		return err
	}
	var all []state.Copy
	for _, m := range c.Masters() {
		if !m.IsNew {
			all = append(all, copies[m.Index])
		}
	}
	c.secret = nil
	if c.Running() {
		if err := c.readSecret(ctx); err == nil {
			all = append(all, state.Copy{Where: secretPlace, Data: c.secret.Data[stateFile]})
		} else if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	found, err := state.Reconcile(c.Name, all)
	if err != nil {
		return err
	}
	for _, note := range found.Notes {
		c.Report.Printf("warning: %s\n", note)
	}
	c.state, c.stored, c.unsaved = found.State, found.Fingerprint, found.Stale
	if c.stateless = found.State == nil; c.stateless {
		c.state = state.New(c.Name)
	}
	c.adoptID()
	c.settleNames()
	return nil
}

// adoptID takes over the ID that the records of the masters have, where the state has none: it is of version 1, or was lost. A node's record
// does not count: it may be of another master's cluster.
func (c *Cluster) adoptID() {
	if !c.stateless && c.state.ID != "" {
		return
	}
	id := state.NewID()
	for _, m := range c.Masters() {
		if m.Owner != nil && m.Owner.Cluster == c.Name {
			id = m.Owner.ID
			break
		}
	}
	c.state.ID, c.unsaved = id, c.unsaved || !c.stateless
}

// save writes the state, which changed, to the Secret and to all masters that were reached. A run that changed it meanwhile is not
// overwritten: what both say is merged. As long as there is no API that answers, the masters have to do.
func (c *Cluster) save(ctx context.Context) error {
	data, err := c.state.Next(c.stored)
	if err != nil {
		return err
	}
	c.unsaved = true
	if c.Running() {
		data, err = c.publish(ctx, data)
		var exit *host.ExitError
		switch {
		case err == nil:
			c.unsaved = false
		case errors.As(err, &exit):
			c.Report.Line(c.First().String(), fmt.Sprintf("warning: the state could not be written to %s: %s", secretPlace, exit.Stderr))
		default:
			return err
		}
	}
	c.stored = state.Fingerprint(data)
	return c.Each(ctx, c.Masters(), func(ctx context.Context, m *execute.Member) error {
		_, err := m.WriteFile(ctx, m.Path(stateFile), 0o600, data)
		return err
	})
}

// publish writes the state to the Secret, and returns it as it was written: merged with what another run wrote meanwhile.
func (c *Cluster) publish(ctx context.Context, data []byte) ([]byte, error) {
	for range saveTries {
		if c.secret == nil {
			if err := c.readSecret(ctx); err != nil {
				return data, err
			}
			found, err := state.Reconcile(c.Name, []state.Copy{{Where: "this run", Data: data}, {Where: secretPlace, Data: c.secret.Data[stateFile]}})
			if err != nil {
				return data, err
			}
			for _, note := range found.Notes {
				c.Report.Printf("warning: %s\n", note)
			}
			if found.Fingerprint != state.Fingerprint(data) {
				c.state = found.State
				if data, err = c.state.Next(found.Fingerprint); err != nil {
					return data, err
				}
			}
		}
		err := c.writeSecret(ctx, data)
		if !errors.Is(err, kube.ErrChanged) {
			return data, err
		}
		c.secret = nil
	}
	return data, fmt.Errorf("other runs changed %s %d times; run the same command again", secretPlace, saveTries)
}

// readSecret reads the state that is in the cluster.
func (c *Cluster) readSecret(ctx context.Context) error {
	found, err := c.Kube().Secret(ctx, secretNamespace, stateSecret)
	if err == nil {
		c.secret = &found
	}
	return err
}

// writeSecret replaces the Secret that was read, or makes the one that was missing.
func (c *Cluster) writeSecret(ctx context.Context, data []byte) error {
	next := *c.secret
	next.Data = map[string][]byte{stateFile: data}
	version, err := c.Kube().WriteSecret(ctx, next)
	if err == nil {
		next.Metadata.ResourceVersion = version
		c.secret = &next
	}
	return err
}
