//go:build e2e

package e2e

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

//go:embed settled.sh
var settledScript []byte

// undisturbed is what a bring-up does and leaves that nothing disturbs. Disturbed ones are compared with it.
type undisturbed struct {
	Key     string              // of the programs and the image that it is of
	Changes []change            // in the order in which they were made
	Layers  map[string][]string // the layers of the image that a host has, by its address
	Hosts   map[string]string   // what is on a host, by its address
}

// change is one change to a host, as a plan has it.
type change struct{ Phase, Host, What string }

// undisturbedRun reads what an earlier row has written, or brings the cluster up on these hosts and reinstalls them. It is only valid for the
// same programs and images.
func (m *matrix) undisturbedRun(t *testing.T) *undisturbed {
	t.Helper()
	key := m.inspect(t, m.source).Digest
	for _, program := range []string{m.runner, "/proc/self/exe"} {
		content, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		key += " " + digest.FromBytes(content).String()
	}
	file := filepath.Join(m.top, "_out/soak/undisturbed.json")
	u := &undisturbed{}
	if data, err := os.ReadFile(file); err == nil {
		if err := json.Unmarshal(data, u); err != nil {
			t.Fatal(err)
		}
		if u.Key == key {
			return u
		}
	}
	var document struct{ Actions []change }
	if err := json.Unmarshal([]byte(m.succeed(t, m.args("--output", "json")...)), &document); err != nil {
		t.Fatal(err)
	}
	u = m.found(t)
	u.Key, u.Changes = key, document.Actions
	data, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range m.lab.Hosts {
		m.reinstall(t, i+1)
	}
	return u
}

// found returns what is on the hosts.
func (m *matrix) found(t *testing.T) *undisturbed {
	t.Helper()
	u := &undisturbed{Layers: map[string][]string{}, Hosts: map[string]string{}}
	for i, h := range m.lab.Hosts {
		u.Hosts[h.Address] = m.settled(t, i+1)
		u.Layers[h.Address] = m.layers(t, i+1)
	}
	return u
}

// settled waits until what the image has started runs, and returns what is on a host then.
func (m *matrix) settled(t *testing.T, i int) string {
	t.Helper()
	m.kubectl(t, "wait --for=condition=Ready nodes --all --timeout=60s")
	out, err := m.lab.SSH(t.Context(), i, settledScript, "sh -s "+dataDir)
	if err != nil {
		t.Fatal(err)
	}
	text := string(out)
	for _, one := range []struct {
		file    string
		differs []string // the fields that differ with each cluster
	}{{"state.json", []string{"id", "revision", "history", "wanted.site"}}, {"record.json", []string{"id"}}} {
		text += "== " + one.file + "\n" + m.document(t, i, one.file, one.differs)
	}
	return text + "== created.json\n" + m.journal(t, i)
}

// document returns a JSON file of the cluster's directory without some of its fields; nothing where there is none.
func (m *matrix) document(t *testing.T, i int, name string, without []string) string {
	t.Helper()
	data := m.ssh(t, i, "cat "+dataDir+"/"+name+" || :")
	if data == "" {
		return ""
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(data), &fields); err != nil {
		t.Fatalf("h%d: %s: %v", i, name, err)
	}
	for _, field := range without {
		outer, inner, nested := strings.Cut(field, ".")
		if object, ok := fields[outer].(map[string]any); ok && nested {
			delete(object, inner)
			continue
		}
		delete(fields, field)
	}
	text, err := json.MarshalIndent(fields, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

// journal returns what the journal of a host says about each file: whether there was one before, and whether others have changed it.
func (m *matrix) journal(t *testing.T, i int) string {
	t.Helper()
	var journal struct {
		Entries []struct {
			Path     string
			Dir      bool
			Previous *struct{}
			Aside    []string
		}
	}
	if err := json.Unmarshal([]byte(m.ssh(t, i, "cat "+dataDir+"/created.json")), &journal); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range journal.Entries {
		lines = append(lines, fmt.Sprintf("%s directory=%t before=%t aside=%d\n", e.Path, e.Dir, e.Previous != nil, len(e.Aside)))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// layers returns the digests of the image's layers that a host has, whole, once no agent receives one any more.
func (m *matrix) layers(t *testing.T, i int) []string {
	t.Helper()
	const list = `for _ in $(seq 60); do pgrep -f 'sealer-run agent pu[t]' > /dev/null || break; sleep .5; done
		cd ` + dataDir + ` 2> /dev/null && find blobs layers -type f 2> /dev/null | sed 's/\.json$//; s/.*\///' | sort || :`
	return strings.Fields(m.ssh(t, i, list))
}

// layerSizes returns the sizes of the image's layers, by the hexadecimal part of their digests.
func (m *matrix) layerSizes(t *testing.T) map[string]int64 {
	t.Helper()
	var manifest struct {
		Layers []struct {
			Digest digest.Digest
			Size   int64
		}
	}
	out := m.local(t, filepath.Join(m.env.Bin, "oras"), "manifest", "fetch", "--plain-http", "--platform", "linux/"+runtime.GOARCH, m.env.Registry+"/"+image)
	if err := json.Unmarshal([]byte(out), &manifest); err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int64{}
	for _, layer := range manifest.Layers {
		sizes[layer.Digest.Encoded()] = layer.Size
	}
	return sizes
}
