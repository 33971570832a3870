package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// answers is a host on which each command has the next of these ends; the last is that of all further ones.
type answers struct {
	host Host
	ends []answerOf
}

type answerOf struct {
	stdout string
	err    error
}

func (a *answers) Host() Host   { return a.host }
func (a *answers) Close() error { return nil }

func (a *answers) Run(_ context.Context, cmd Command) error {
	end := a.ends[0]
	if len(a.ends) > 1 {
		a.ends = a.ends[1:]
	}
	if cmd.Stdout != nil {
		if _, err := io.WriteString(cmd.Stdout, end.stdout); err != nil {
			return err
		}
	}
	var exit *ExitError
	if end.err == nil || errors.As(end.err, &exit) {
		return end.err
	}
	return fmt.Errorf("%s: %s: %w", a.host, cmd.name(), end.err)
}

func unprivileged(ends ...answerOf) *answers {
	return &answers{Host{Address: netip.MustParseAddr("10.0.0.9"), Auth: Auth{User: "admin", Password: "correct horse"}}, ends}
}

// The ends that a question can have.
func noAnswers() map[string]error {
	return map[string]error{
		"it hangs":               &LimitError{Host: "10.0.0.9", Name: "id", After: 2 * time.Minute},
		"the connection is lost": ErrConnectionLost,
		"it is interrupted":      context.Canceled,
		"it fails":               &ExitError{Host: "10.0.0.9", Name: "id", Code: 3, Stderr: "id: what?"},
	}
}

// TestProblemsNameTheHostOnce: the address is in front of every problem, and nowhere else in it.
func TestProblemsNameTheHostOnce(t *testing.T) {
	user := answerOf{stdout: "1000\n"}
	refused := answerOf{err: &ExitError{Host: "10.0.0.9", Name: "sudo", Code: 1, Stderr: "sudo: a password is required"}}
	questions := map[string]func(end answerOf) error{
		"id": func(end answerOf) error {
			_, err := findPrivilege(t.Context(), unprivileged(end))
			return err
		},
		"sudo": func(end answerOf) error {
			_, err := findPrivilege(t.Context(), unprivileged(user, end, end))
			return err
		},
		"sudo with a password": func(end answerOf) error {
			_, err := findPrivilege(t.Context(), unprivileged(user, refused, end))
			return err
		},
		"facts": func(end answerOf) error {
			_, err := Gather(t.Context(), unprivileged(end), "/")
			return err
		},
		"facts that break off": func(answerOf) error {
			_, err := Gather(t.Context(), unprivileged(answerOf{stdout: "facts\t1\nhostname\tx\n"}), "/")
			return err
		},
		"too many facts": func(answerOf) error {
			_, err := Gather(t.Context(), unprivileged(answerOf{stdout: string(bytes.Repeat([]byte("x"), maxOutput+1))}), "/")
			return err
		},
	}
	for question, ask := range questions {
		for name, end := range noAnswers() {
			t.Run(question+"/"+name, func(t *testing.T) {
				err := ask(answerOf{err: end})
				var problem *Problem
				if !errors.As(err, &problem) {
					t.Fatalf("got %v, want a problem", err)
				}
				if n := strings.Count(err.Error(), "10.0.0.9"); n != 1 || !strings.HasPrefix(err.Error(), "10.0.0.9: ") {
					t.Errorf("%q names the host %d times, want once and first", err, n)
				}
			})
		}
	}
}

// TestHintsAreAboutWhatHappened: a host that hangs has a shell, and a password that sudo never read is not wrong.
func TestHintsAreAboutWhatHappened(t *testing.T) {
	const load = "check the disk and the load of the host, then run the same command again"
	ends := noAnswers()
	user, refused := answerOf{stdout: "1000\n"}, answerOf{err: ends["it fails"]}
	for _, test := range []struct {
		name       string
		conn       *answers
		what, mend string
		noSudo     bool
	}{
		{"id hangs", unprivileged(answerOf{err: ends["it hangs"]}), "the login works, but the host does not answer: id: did not end within 2m0s", load, false},
		{"id fails", unprivileged(answerOf{err: ends["it fails"]}), "id failed with exit code 3: id: what?", "the login needs a POSIX shell that runs commands", false},
		{"id is lost", unprivileged(answerOf{err: ErrConnectionLost}), "id: connection lost", "", false},
		{"id says something else", unprivileged(answerOf{stdout: "Welcome\n"}), "id -u printed no number", "the login needs a POSIX shell that runs commands", false},
		{"sudo hangs", unprivileged(user, answerOf{err: ends["it hangs"]}), "does not answer", load, false},
		{"sudo hangs with the password", unprivileged(user, refused, answerOf{err: ends["it hangs"]}), "does not answer", load, false},
		{"the connection is lost with the password", unprivileged(user, refused, answerOf{err: ErrConnectionLost}), "connection lost", "", false},
		{"sudo refuses the password", unprivileged(user, refused, refused), "sudo refused the password (id failed with exit code 3: id: what?)",
			"check -p, and that the host's sudoers lets this user run every command", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := findPrivilege(t.Context(), test.conn)
			var problem *Problem
			if !errors.As(err, &problem) || !strings.Contains(problem.What, test.what) || problem.Mend != test.mend || errors.Is(err, ErrNoSudo) != test.noSudo {
				t.Errorf("got %#v, want %q and the hint %q", err, test.what, test.mend)
			}
		})
	}
	root, err := findPrivilege(t.Context(), unprivileged(answerOf{stdout: "Welcome to this host\n0\n"}))
	if err != nil || root.needed {
		t.Errorf("with a greeting of the profile: %+v, %v, want root", root, err)
	}
}

// TestPathsOfAHostThatHangs are not known, with the reason; the host is one that was reached.
func TestPathsOfAHostThatHangs(t *testing.T) {
	to := netip.MustParseAddrPort("10.0.0.1:6443")
	ends := noAnswers()
	for _, test := range []struct {
		end answerOf
		why string
	}{
		{answerOf{err: ends["it hangs"]}, "the attempt did not end within 2m0s"},
		{answerOf{err: ends["it fails"]}, "id failed with exit code 3: id: what?"},
		{answerOf{stdout: "path\t10.0.0.1 6443 unknown\n"}, "the answer of its system is not understood"},
		{answerOf{stdout: "path\t10.0.0.1 6443 untried\n"}, ""},
		{answerOf{stdout: ""}, "its answer breaks off"},
	} {
		paths, err := TryPaths(t.Context(), unprivileged(test.end), []netip.AddrPort{to})
		if err != nil || len(paths) != 1 || paths[0] != (Path{To: to, State: Unknown, Why: test.why}) {
			t.Errorf("got %+v, %v, want one that is not known because of %q", paths, err, test.why)
		}
	}
	for _, end := range []error{ErrConnectionLost, context.Canceled} {
		if _, err := TryPaths(t.Context(), unprivileged(answerOf{err: end}), []netip.AddrPort{to}); !errors.Is(err, end) {
			t.Errorf("got %v, want %v", err, end)
		}
	}
}

func TestWithoutAddress(t *testing.T) {
	for address, texts := range map[string][][2]string{
		"10.0.0.1": {
			{"10.0.0.1: id: lost", "id: lost"}, {"asking: 10.0.0.1: id: lost", "asking: id: lost"}, {"10.0.0.11: id", "10.0.0.11: id"},
			{"110.0.0.1: id", "110.0.0.1: id"}, {"the route to 10.0.0.1 is missing", "the route to 10.0.0.1 is missing"}, {"", ""},
		},
		"fd00::1": {{"fd00::1: id: lost", "id: lost"}, {"fd00::11: id", "fd00::11: id"}},
	} {
		for _, text := range texts {
			if got := WithoutAddress(Host{Address: netip.MustParseAddr(address)}, text[0]); got != text[1] {
				t.Errorf("%q without %s is %q, want %q", text[0], address, got, text[1])
			}
		}
	}
}
