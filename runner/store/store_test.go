package store

import (
	"context"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/client"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/state"
)

// disk is a master without an API that keeps one file.
type disk struct {
	host host.Host
	file string
}

func (d *disk) Host() host.Host { return d.host }
func (d *disk) Close() error    { return nil }

func (d *disk) Run(_ context.Context, cmd host.Command) error {
	answer := d.file
	if slices.Contains(cmd.Argv, "write-file") {
		content, err := io.ReadAll(cmd.Stdin)
		if err != nil {
			return err
		}
		d.file, answer = string(content), `{"changed":true}`
	}
	if cmd.Stdout == nil {
		return nil
	}
	_, err := io.WriteString(cmd.Stdout, answer)
	return err
}

// masters is a session with so many masters.
func masters(n int) (*execute.Session, []*disk) {
	s := &execute.Session{Name: "default", DataRoot: "/data", Report: report.New(io.Discard)}
	var disks []*disk
	for i := range n {
		d := &disk{host: host.Host{Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), Role: host.RoleMaster}}
		disks = append(disks, d)
		s.Members = append(s.Members, &execute.Member{Client: client.Client{Conn: d, Dir: s.Dir()}, Host: d.host, Facts: &host.Facts{}, Index: i})
	}
	return s, disks
}

// Without an API the masters keep the state, which is not complete then; one that lacks it gets it with the next change.
func TestMastersKeepTheState(t *testing.T) {
	s, disks := masters(2)
	var first, second Store
	if err := first.Load(t.Context(), s); err != nil || !first.Lost || !first.Incomplete() {
		t.Fatalf("of nothing: %+v, %v", first, err)
	}
	first.State.Put(state.Host{Address: disks[0].host.Address, Name: "h1", Role: "master", Phase: state.Joining})
	if err := first.Save(t.Context(), s); err != nil || disks[0].file == "" || disks[0].file != disks[1].file {
		t.Fatalf("the masters have %q and %q, %v", disks[0].file, disks[1].file, err)
	}
	if changed, err := first.Changed(); !changed || !first.Incomplete() || err != nil {
		t.Errorf("without the Secret: changed %v, incomplete %v, %v", changed, first.Incomplete(), err)
	}
	if err := first.SaveWhole(t.Context(), s); err == nil || !strings.Contains(err.Error(), place) {
		t.Errorf("the whole state was saved without an API: %v", err)
	}
	disks[1].file = ""
	if err := second.Load(t.Context(), s); err != nil || second.Lost || second.State.Host(disks[0].host.Address) == nil {
		t.Fatalf("read %+v, %v", second.State, err)
	}
	if err := second.Save(t.Context(), s); err != nil || disks[1].file != disks[0].file {
		t.Errorf("the masters have %q and %q, %v", disks[0].file, disks[1].file, err)
	}
}
