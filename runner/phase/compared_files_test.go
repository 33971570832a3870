package phase

import (
	"context"
	"encoding/json"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/registry"
	"github.com/kubefile/kubefile/runner/unit"
)

// observe is what the agent of a machine observes.
func (f *machine) observe(raw string) string {
	var asked wire.Files
	if err := json.Unmarshal([]byte(raw), &asked); err != nil {
		f.t.Error(err)
	}
	matches := func(patterns []string, name string) bool {
		return slices.ContainsFunc(patterns, func(pattern string) bool {
			matched, err := path.Match(pattern, name)
			if err != nil {
				f.t.Error(err)
			}
			return matched
		})
	}
	answer := wire.Observed{Files: map[string]wire.File{}}
	for name, content := range f.files {
		switch file := (wire.File{Digest: digest.FromString(content)}); {
		case matches(asked.Contents, name):
			file.Content, file.Whole = []byte(content), true
			answer.Files[name] = file
		case matches(asked.Digests, name):
			answer.Files[name] = file
		}
	}
	return encode(answer)
}

// A run that changes nothing asks a node for all its files at once, then only whether its units work: the number of commands depends neither on
// files nor on hosts. The master is also asked for the state,
// the key of the registry, the nodes, and whether its API answers.
func TestCommandsOfARunThatChangesNothing(t *testing.T) {
	image, certificate := artifact(t), authority(t)
	for _, nodes := range []int{2, 20} {
		site := untouched(t, image, certificate, 1, nodes)
		for range 2 { // labels are not kept by these machines' API, so that only the questions count
			p, _ := site.again(t, 1<<40, func() {})
			for _, f := range site.machines {
				f.argvs = nil
			}
			if err := p.perform(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for i, f := range site.machines {
			// The phase that stands for the installation of the agent asks for the journal, too.
			asked := slices.DeleteFunc(slices.Clone(f.argvs), func(line string) bool {
				return strings.Contains(line, hostrecord.JournalFile) || strings.Contains(line, " patch node ")
			})
			want := 3
			if i == 0 {
				want = 7
			}
			if len(asked) != want {
				t.Errorf("%s of %d hosts is asked %d times, want %d:\n%s", f.host, nodes+1, len(asked), want, strings.Join(asked, "\n"))
			}
		}
	}
}

// What was read of a host ends with the next command that may change it, and with no other.
func TestWhatWasReadEnds(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(t *testing.T, p *park) error
		ends bool
	}{
		"a question": {func(t *testing.T, p *park) error { _, err := p.Members[0].Fetch(t.Context(), "/etc/motd"); return err }, false},
		"a look at a unit": {func(t *testing.T, p *park) error {
			_, err := p.Members[0].WatchUnit(t.Context(), wire.Unit{Name: "x"})
			return err
		}, false},
		"what it is like": {func(t *testing.T, p *park) error {
			_, err := host.Gather(t.Context(), p.Members[0].Conn, p.DataRoot)
			return err
		}, false},
		"a file": {func(t *testing.T, p *park) error { return p.Members[0].Mark(t.Context(), "x.done", execute.Finished) }, true},
		"a file of an image": {func(t *testing.T, p *park) error {
			return p.Members[0].OfImage().Mark(t.Context(), "x.done", execute.Finished)
		}, true},
		"a script": {func(t *testing.T, p *park) error {
			return p.Exec(t.Context(), p.Members[0], host.Command{Argv: []string{"x"}, Limit: execute.ScriptLimit})
		}, true},
		"any command": {func(t *testing.T, p *park) error { _, err := p.Members[0].Ask(t.Context(), "x"); return err }, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPark(t, 1, 1).joined(2)
			if err := p.ReadFiles(t.Context(), comparedFiles); err != nil {
				t.Fatal(err)
			}
			if err := test.do(t, p); err != nil {
				t.Fatal(err)
			}
			if p.Members[0].Unchanged() == test.ends || !p.Members[1].Unchanged() {
				t.Errorf("what was read of the hosts is still used: %v and %v, want %v and true",
					p.Members[0].Unchanged(), p.Members[1].Unchanged(), !test.ends)
			}
		})
	}
}

// What was read says the same of every file as a question about it, also of one that is not there.
func TestWhatWasReadIsWhatIsThere(t *testing.T) {
	p := newPark(t, 1, 0).joined(1)
	m, f := p.Members[0], p.machines[0]
	names := []string{m.Path("a.done"), m.Path("none.done"), m.Path(registry.ConfigFile), m.Path("pki", "authority.key"), wire.Path, rootConfig, execute.HostsFile,
		unit.Dir + "kubefile-registry.service", unit.Dir + "other.service", "/etc/motd", path.Join(registry.ContainerdDir, "quay.io", "hosts.toml")}
	for i, name := range names {
		if i != 1 {
			f.files[name] = name
		}
	}
	say := func() (said []string) {
		for _, name := range names {
			content, err := m.Fetch(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range []unit.File{{Path: name, Content: []byte(name)}, {Path: name, Content: []byte(name), Mode: unit.SecretMode}, {Path: name, Content: []byte("other")}} {
				same, err := f.IsOn(t.Context(), m)
				if err != nil {
					t.Fatal(err)
				}
				content = append(content, encode(same)...)
			}
			there, err := m.Test(t.Context(), "-s", name)
			if err != nil {
				t.Fatal(err)
			}
			said = append(said, string(content)+" "+encode(there))
		}
		return said
	}
	want := say()
	if err := p.ReadFiles(t.Context(), comparedFiles); err != nil {
		t.Fatal(err)
	}
	if got := say(); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// failingVerb is a host whose agent does not know a verb.
type failingVerb struct {
	host.Conn
	verb string
}

func (c failingVerb) Run(ctx context.Context, cmd host.Command) error {
	if slices.Contains(cmd.Argv, c.verb) {
		return &host.ExitError{Host: c.Host().String(), Name: "agent", Code: 1, Stderr: "unknown agent verb"}
	}
	return c.Conn.Run(ctx, cmd)
}

// An agent of an earlier version does not know the question: each file is asked for.
func TestAnAgentThatCannotObserve(t *testing.T) {
	p := newPark(t, 1, 0).joined(1)
	p.Members[0].Conn = failingVerb{p.Members[0].Conn, "observe"}
	if err := p.ReadFiles(t.Context(), comparedFiles); err != nil {
		t.Fatal(err)
	}
	if content, err := p.Members[0].Fetch(t.Context(), execute.HostsFile); err != nil || string(content) != p.machines[0].files[execute.HostsFile] {
		t.Errorf("got %q and %v, want %q", content, err, p.machines[0].files[execute.HostsFile])
	}
}
