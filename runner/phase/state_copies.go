package phase

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/state"
)

const (
	stateFile   = "state.json"
	stateSecret = "kubefile-state"
	secretPlace = "the Secret kube-system/" + stateSecret
	// saveTries is how often a state is merged with what other runs write to the Secret at the same time.
	saveTries = 5
)

// secretCopy is what is known of the state in the cluster.
type secretCopy struct {
	read    bool   // whether version and data are known
	version string // resourceVersion; empty when there is none
	data    []byte
}

// errSecretChanged says that the Secret is not what it was when it was read.
var errSecretChanged = errors.New("another run changed the Secret")

// recall reads the state from all masters and from the Secret: one of them may have been away when it was written last, damaged, or changed
// by a run that named other masters. Without any it is a new one, with the ID that the masters' records have.
func (c *Cluster) recall(ctx context.Context) error {
	copies := make([]state.Copy, len(c.members))
	err := c.each(ctx, c.masters(), func(ctx context.Context, m *member) error {
		data, err := m.read(ctx, m.path(stateFile))
		copies[m.index] = state.Copy{Where: m.String(), Data: data}
		return err
	})
	if err != nil {
		return err
	}
	var all []state.Copy
	for _, m := range c.masters() {
		if !m.isNew {
			all = append(all, copies[m.index])
		}
	}
	c.secret = secretCopy{}
	if c.running() {
		if err := c.readSecret(ctx, c.first()); err == nil {
			all = append(all, state.Copy{Where: secretPlace, Data: c.secret.data})
		} else if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	found, err := state.Reconcile(c.Name, all)
	if err != nil {
		return err
	}
	for _, note := range found.Notes {
		c.Report.printf("warning: %s\n", note)
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
	for _, m := range c.masters() {
		if m.record != nil && m.record.Cluster == c.Name {
			id = m.record.ID
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
	if c.running() {
		data, err = c.publish(ctx, data)
		var exit *host.ExitError
		switch {
		case err == nil:
			c.unsaved = false
		case errors.As(err, &exit):
			c.Report.Line(c.first().String(), fmt.Sprintf("warning: the state could not be written to %s: %s", secretPlace, exit.Stderr))
		default:
			return err
		}
	}
	c.stored = state.Fingerprint(data)
	return c.each(ctx, c.masters(), func(ctx context.Context, m *member) error {
		_, err := m.WriteFile(ctx, m.path(stateFile), 0o600, data)
		return err
	})
}

// publish writes the state to the Secret, and returns it as it was written: merged with what another run wrote meanwhile.
func (c *Cluster) publish(ctx context.Context, data []byte) ([]byte, error) {
	for range saveTries {
		if !c.secret.read {
			if err := c.readSecret(ctx, c.first()); err != nil {
				return data, err
			}
			found, err := state.Reconcile(c.Name, []state.Copy{{Where: "this run", Data: data}, {Where: secretPlace, Data: c.secret.data}})
			if err != nil {
				return data, err
			}
			for _, note := range found.Notes {
				c.Report.printf("warning: %s\n", note)
			}
			if found.Fingerprint != state.Fingerprint(data) {
				c.state = found.State
				if data, err = c.state.Next(found.Fingerprint); err != nil {
					return data, err
				}
			}
		}
		err := c.writeSecret(ctx, data)
		if !errors.Is(err, errSecretChanged) {
			return data, err
		}
		c.secret.read = false
	}
	return data, fmt.Errorf("%w %d times; run the same command again", errSecretChanged, saveTries)
}

// secretObject is a Secret of the API.
type secretObject struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   secretMetadata    `json:"metadata"`
	Data       map[string][]byte `json:"data"`
}

type secretMetadata struct {
	Name            string `json:"name"`
	Namespace       string `json:"namespace"`
	ResourceVersion string `json:"resourceVersion,omitempty"`
}

// readSecret reads the state that is in the cluster.
func (c *Cluster) readSecret(ctx context.Context, m *member) error {
	out, err := c.kubectlOn(ctx, m, nil, "get", "secret", stateSecret, "--namespace", "kube-system", "-o", "json", "--ignore-not-found", "--request-timeout=10s")
	if err != nil {
		return err
	}
	var found secretObject
	if len(strings.TrimSpace(string(out))) > 0 {
		if err := json.Unmarshal(out, &found); err != nil {
			return fmt.Errorf("reading %s: %w", secretPlace, err)
		}
	}
	c.secret = secretCopy{read: true, version: found.Metadata.ResourceVersion, data: found.Data[stateFile]}
	return nil
}

// writeSecret replaces the Secret that was read, or makes the one that was missing.
func (c *Cluster) writeSecret(ctx context.Context, data []byte) error {
	manifest, err := json.Marshal(secretObject{
		APIVersion: "v1", Kind: "Secret",
		Metadata: secretMetadata{Name: stateSecret, Namespace: "kube-system", ResourceVersion: c.secret.version},
		Data:     map[string][]byte{stateFile: data},
	})
	if err != nil {
		return err
	}
	verb := "replace"
	if c.secret.version == "" {
		verb = "create"
	}
	out, err := c.kubectlInput(ctx, manifest, verb, "-f", "-", "-o", "jsonpath={.metadata.resourceVersion}")
	if conflicts(err) {
		return errSecretChanged
	}
	if err == nil {
		c.secret.version, c.secret.data = strings.TrimSpace(string(out)), data
	}
	return err
}

// conflicts reports whether kubectl says that an object was changed, made or removed by somebody else: the API's reasons Conflict, AlreadyExists
// and NotFound, which kubectl has in its error text only.
func conflicts(err error) bool {
	var exit *host.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	for _, reason := range []string{conflict, "(Conflict)", "(AlreadyExists)", "(NotFound)"} {
		if strings.Contains(exit.Stderr, reason) {
			return true
		}
	}
	return false
}
