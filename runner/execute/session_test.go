package execute

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/client"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/report"
)

// idle is a host on which every command succeeds.
type idle struct{ host host.Host }

func (c *idle) Host() host.Host { return c.host }
func (c *idle) Close() error    { return nil }

func (c *idle) Run(ctx context.Context, _ host.Command) error { return context.Cause(ctx) }

// reached is a session with a master, 10.0.0.1, and nodes.
func reached(nodes int) *Session {
	s := &Session{Name: "default", DataRoot: "/data", Report: report.New(io.Discard), Abandon: func(error) {}}
	for i := range nodes + 1 {
		h := host.Host{Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), Role: host.RoleNode}
		if i == 0 {
			h.Role = host.RoleMaster
		}
		s.Members = append(s.Members, &Member{Client: client.Client{Conn: &idle{h}, Dir: s.Dir()}, Host: h, Facts: &host.Facts{}, Index: i})
	}
	return s
}

// A line of an error names the host that it is about once, however deep the error comes from.
func TestDoNamesTheHostOnce(t *testing.T) {
	s := reached(0)
	exit := &host.ExitError{Host: "10.0.0.1", Name: "tar", Code: 2}
	for want, err := range map[string]error{
		"10.0.0.1: unpack it: tar failed with exit code 2":                                          exit,
		"10.0.0.1: unpack it: sending: tar failed with exit code 2":                                 fmt.Errorf("sending: %w", exit),
		"10.0.0.1: unpack it: no space":                                                             errors.New("no space"),
		"10.0.0.1: unpack it: 10.0.0.10: no route":                                                  errors.New("10.0.0.10: no route"),
		"10.0.0.1: unpack it: tar failed with exit code 2\n10.0.0.1: tar failed with exit code 2":   errors.Join(exit, exit),
		"10.0.0.1: unpack it: no space\ntar: 10.0.0.1: refused\n10.0.0.2: tar: refused by 10.0.0.1": errors.New("no space\ntar: 10.0.0.1: refused\n10.0.0.2: tar: refused by 10.0.0.1"),
	} {
		got := s.Do(t.Context(), s.First(), "unpack it", func(context.Context) error { return err })
		if got == nil || got.Error() != want {
			t.Errorf("got %v, want %s", got, want)
		}
		if !errors.Is(got, err) {
			t.Errorf("%v is not the error that it is made of", got)
		}
	}
}

// A dry run records the change, and does not make it.
func TestDryRunDoesNothing(t *testing.T) {
	s := reached(1)
	s.DryRun = true
	err := s.Do(t.Context(), s.Members[1], "wipe it", func(context.Context) error { return errors.New("it was done") })
	changes := s.Report.Changes()
	if err != nil || len(changes) != 1 || changes[0].Host != "10.0.0.2" || changes[0].What != "wipe it" {
		t.Errorf("got %v, changes %+v", err, changes)
	}
}
