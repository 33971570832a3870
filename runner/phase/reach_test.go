package phase

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/host/hosttest"
	"github.com/kubefile/kubefile/runner/host/login"
	"github.com/kubefile/kubefile/runner/reach"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/state"
	"github.com/kubefile/kubefile/runner/store"
)

// noMore is a connection to a host that is not to be asked any more.
type noMore struct {
	host.Conn
	t *testing.T
}

func (n noMore) Run(_ context.Context, cmd host.Command) error {
	n.t.Errorf("asked again: %q", cmd.Argv)
	return errors.New("asked again")
}

// One command says what a host is like and what of us is on it.
func TestAHostIsReachedWithOneQuestion(t *testing.T) {
	hosttest.Sudo(t)
	here := host.Host{Address: netip.MustParseAddr("127.0.0.1"), Role: host.RoleNode, Local: true}
	for name, files := range map[string]map[string]string{
		"a host of the cluster": {hostrecord.JournalFile: "{}", hostrecord.RecordFile: `{"version":1,"cluster":"default","id":"7","begun":["install"]}`, execute.JoinMarker: execute.Finished},
		"no record":             {hostrecord.JournalFile: "{}", execute.InitMarker: execute.Finished},
		"an empty host":         {},
	} {
		t.Run(name, func(t *testing.T) {
			c := &Cluster{Session: execute.Session{Name: "default", DataRoot: hosttest.DataRoot(t), Report: report.New(io.Discard)}, Site: bareSite(), Store: store.Store{State: state.New("default")}}
			for file, content := range files {
				if err := errors.Join(os.MkdirAll(c.Dir(), 0o755), os.WriteFile(filepath.Join(c.Dir(), file), []byte(content+"\n"), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			c.Dial = func(ctx context.Context, hosts []host.Host) []host.Report {
				reports := host.Connect(ctx, new(login.Dialer).Dial, hosts, c.DataRoot, reach.Question(&c.Session))
				for i := range reports {
					reports[i].Conn = noMore{reports[i].Conn, t}
				}
				return reports
			}
			if unreached := c.Connect(t.Context(), &c.Session, []host.Host{here}); len(unreached) > 0 {
				t.Fatal(unreached[0].Err)
			}
			m := c.Members[0]
			if m.IsNew != (len(files) == 0) || (m.Owner != nil) != (files[hostrecord.RecordFile] != "") || m.Owner != nil && !m.Owner.Of("default", "7") ||
				files[m.Marker] == "" && m.Marker != "" || m.Marker == "" && len(files) > 0 {
				t.Errorf("found IsNew=%v, record %+v and marker %q, want %q", m.IsNew, m.Owner, m.Marker, files)
			}
		})
	}
}

// Of an answer without its end nothing is concluded: a host whose record is cut off is not taken for an empty one.
func TestAnAnswerThatBreaksOff(t *testing.T) {
	p := newPark(t, 1, 0)
	whole := p.machines[0].look(reach.Question(&p.Session).Args)
	for cut := range len(whole) - 1 {
		if err := p.Members[0].Look(t.Context(), []byte(whole[:cut])); !errors.Is(err, execute.ErrCutOff) {
			t.Errorf("%q: got %v, want %v", whole[:cut], err, execute.ErrCutOff)
		}
	}
	if err := p.Members[0].Look(t.Context(), []byte(whole)); err != nil {
		t.Error(err)
	}
}
