// Package state is what the masters remember of a cluster: which artifact made it, which hosts are in it, and which commands ran. It
// holds no password and no key.
package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
)

// version of the state's form.
const version = 1

// State is the memory of one cluster.
type State struct {
	Version           int           `json:"version"`
	Revision          int           `json:"revision"` // one higher each time that it is written
	Cluster           string        `json:"cluster"`
	Image             string        `json:"image"` // as it was given
	Digest            digest.Digest `json:"digest"`
	KubernetesVersion string        `json:"kubernetesVersion"`
	Hosts             []Host        `json:"hosts"`
	// Apps are the application images that came to the cluster, by directory.
	Apps []App `json:"apps,omitempty"`
	// Commands are the commands that have run, see [CommandKey].
	Commands []string `json:"commands"`
}

// Host is one host of the cluster.
type Host struct {
	Address netip.Addr `json:"address"`
	Name    string     `json:"name"`
	Role    string     `json:"role"` // master or node
}

// App is an application image on the cluster.
type App struct {
	Dir    string        `json:"dir"`   // below apps/ of the cluster's directory
	Image  string        `json:"image"` // as it was given
	Digest digest.Digest `json:"digest"`
}

// New returns the state of a cluster that has nothing yet.
func New(cluster string) *State {
	return &State{Version: version, Cluster: cluster}
}

// Parse reads a state.
func Parse(data []byte) (*State, error) {
	var s State
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return nil, fmt.Errorf("reading the cluster's state: %w", err)
	}
	if s.Version != version {
		return nil, fmt.Errorf("reading the cluster's state: version %d, known is %d: use the sealer-run that made the cluster", s.Version, version)
	}
	return &s, nil
}

// Encode returns the state as it is stored.
func (s *State) Encode() ([]byte, error) {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the cluster's state: %w", err)
	}
	return append(data, '\n'), nil
}

// CommandKey identifies a command of an artifact, the nth of those that are equal: that of another artifact runs again, and one that
// only changed its place does not.
func CommandKey(artifact digest.Digest, n int, command imagespec.Command) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%s\x00%q", artifact, n, command.Shell, command.Exec))
	return hex.EncodeToString(sum[:commandKeySize/2])
}

// commandKeySize is the length of what [CommandKey] returns.
const commandKeySize = 32

// Record says that a command has run. What it ran with before, of the same artifact and command, is forgotten: when a site goes back to
// that, it runs again. A key is what [CommandKey] returns, and after it what the site gave the command.
func (s *State) Record(key string) {
	command := key[:min(len(key), commandKeySize)]
	s.Commands = slices.DeleteFunc(s.Commands, func(old string) bool { return strings.HasPrefix(old, command) })
	s.Commands = append(s.Commands, key)
}

// Ran reports whether a command has run.
func (s *State) Ran(key string) bool { return slices.Contains(s.Commands, key) }
