package login

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/host/hosttest"
)

// notices collects what Dialer.Waiting is told.
type notices struct {
	mu   sync.Mutex
	all  []host.Waiting
	told func(all []host.Waiting) // may be nil
}

func (n *notices) add(w host.Waiting) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, w)
	if n.told != nil {
		n.told(n.all)
	}
}

// patient connects to a host, with notices after a moment.
func (n *notices) patient(t *testing.T, d *Dialer, h host.Host) host.Conn {
	t.Helper()
	d.Waiting, d.Quiet = n.add, 100*time.Millisecond
	conn, err := d.Dial(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestLimitsOnThisMachine(t *testing.T) {
	hosttest.Sudo(t)
	testLimits(t, new(notices).patient(t, new(Dialer), host.Host{Address: netip.MustParseAddr("10.0.0.9"), Local: true}))
}

func testLimitsOverSSH(t *testing.T, s *sshServer) {
	t.Parallel() // it mostly waits
	s.Start(t, hosttest.Config{})
	var contacts []string
	testLimits(t, new(notices).patient(t, s.dialer(&contacts), s.host("key")))
}

// testLimits checks the limits of every Conn.
func testLimits(t *testing.T, conn host.Conn) {
	for _, test := range []struct {
		kind string
		cmd  host.Command
		says string
	}{
		{"a command that does not end", host.Command{Argv: []string{"sleep", "1000"}, Limit: 300 * time.Millisecond}, "sleep: did not end within 300ms"},
		{"a command without end of output", host.Command{Argv: []string{"yes"}, Limit: 300 * time.Millisecond}, "yes: did not end within 300ms"},
		{"a stopped command", host.Command{Argv: []string{"sh", "-c", "kill -STOP $$"}, Limit: 300 * time.Millisecond}, "did not end within 300ms"},
		{"input that is not read", host.Command{Argv: []string{"sleep", "1000"}, Name: "agent put-blob", Stdin: zeros{}, Stall: 300 * time.Millisecond},
			"agent put-blob: the host took no data for 300ms"},
		{"input that is read and no end", host.Command{Argv: []string{"sh", "-c", "cat >/dev/null; sleep 1000"}, Stdin: strings.NewReader("x"),
			Stall: time.Minute, Limit: 300 * time.Millisecond}, "did not end within 300ms"},
	} {
		t.Run(test.kind, func(t *testing.T) {
			err := conn.Run(t.Context(), test.cmd)
			var limit *host.LimitError
			if !errors.As(err, &limit) || !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(err.Error(), conn.Host().String()+": ") {
				t.Errorf("error is %v, want %q", err, test.says)
			}
		})
	}
	// Data that moves, however slowly, is no stall, and what waits for its input is not to blame.
	slow, feed := io.Pipe()
	go func() {
		for range 6 { // longer than the stall in all, and each time much shorter
			time.Sleep(300 * time.Millisecond)
			io.WriteString(feed, "x")
		}
		feed.Close()
	}()
	out, err := host.Output(t.Context(), conn, host.Command{Argv: []string{"cat"}, Stdin: slow, Stall: 1500 * time.Millisecond})
	if err != nil || string(out) != "xxxxxx" {
		t.Errorf("slow input gives %q, %v", out, err)
	}
	if _, err := host.Output(t.Context(), conn, host.Command{Argv: []string{"yes"}}); err == nil || !strings.Contains(err.Error(), "wrote more than") {
		t.Errorf("an answer without end gives %v", err)
	}
}

// A host whose line is dead returns from every command at its limit, long before the connection is given up.
func testLimitOfSilentHost(t *testing.T, s *sshServer) {
	t.Parallel() // it mostly waits
	conn, relay := s.dialRelayed(t, 0)
	relay.Freeze()
	var limit *host.LimitError
	if err := conn.Run(t.Context(), host.Command{Argv: []string{"true"}, Limit: 200 * time.Millisecond}); !errors.As(err, &limit) {
		t.Fatalf("a session that never opens gives %v", err)
	}
}

func testWaitingIsTold(t *testing.T, s *sshServer) {
	t.Parallel() // it mostly waits
	s.Start(t, hosttest.Config{})
	said := new(notices)
	var contacts []string
	conn := said.patient(t, s.dialer(&contacts), s.host("key"))
	told := func(cmd host.Command) []host.Waiting {
		t.Helper()
		said.all = nil
		if err := conn.Run(host.Doing(t.Context(), "kubeadm join"), cmd); err != nil {
			t.Fatal(err)
		}
		return said.all
	}
	input, end := io.Pipe()
	said.told = func(all []host.Waiting) {
		if len(all) == 2 {
			end.Close()
		}
	}
	all := told(host.Command{Argv: []string{"cat"}, Stdin: input, Said: func() string { return "[preflight]" }})
	if len(all) < 2 || all[0].What != "kubeadm join" || all[0].Said != "[preflight]" || all[0].Host.String() != "127.0.0.1" || all[1].For <= all[0].For {
		t.Errorf("it was told %+v", all)
	}
	// What is seen restarts the clock: the command ends when that was told, and at its limit otherwise.
	input, end = io.Pipe()
	said.told = func(all []host.Waiting) {
		if last := len(all) - 1; last > 0 && all[last].For < all[last-1].For {
			end.Close()
		}
	}
	const prints = `(while sleep 0.5; do echo; done) & read -r line; kill $!`
	told(host.Command{Argv: []string{"sh", "-c", prints}, Shown: true, Stdin: input, Stdout: new(bytes.Buffer)})
	said.told = nil
	if all := told(host.Command{Argv: []string{"sleep", "0.5"}, Limit: host.NoLimit}); len(all) != 0 {
		t.Errorf("of a command that runs as long as we do it was told %+v", all)
	}
	ended, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := conn.Run(ended, host.Command{Argv: []string{"sleep", "1000"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}
