package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kubefile/kubefile/runner/host"
)

// answers is a host on which each command has the next of these ends; the last is that of all further ones.
type answers struct {
	host host.Host
	ends []answerOf
}

type answerOf struct {
	stdout string
	err    error
}

func (a *answers) Host() host.Host { return a.host }
func (a *answers) Close() error    { return nil }

func (a *answers) Run(_ context.Context, cmd host.Command) error {
	end := a.ends[0]
	if len(a.ends) > 1 {
		a.ends = a.ends[1:]
	}
	if cmd.Stdout != nil {
		if _, err := io.WriteString(cmd.Stdout, end.stdout); err != nil {
			return err
		}
	}
	var exit *host.ExitError
	if end.err == nil || errors.As(end.err, &exit) {
		return end.err
	}
	return fmt.Errorf("%s: %s: %w", a.host, cmd.Called(), end.err)
}

func unprivileged(ends ...answerOf) *answers {
	return &answers{host.Host{Address: netip.MustParseAddr("10.0.0.9"), Auth: host.Auth{User: "admin", Password: "correct horse"}}, ends}
}

// The ends that a question can have.
func noAnswers() map[string]error {
	return map[string]error{
		"it hangs":               &host.LimitError{Host: "10.0.0.9", Name: "id", After: 2 * time.Minute},
		"the connection is lost": host.ErrConnectionLost,
		"it is interrupted":      context.Canceled,
		"it fails":               &host.ExitError{Host: "10.0.0.9", Name: "id", Code: 3, Stderr: "id: what?"},
	}
}

// TestProblemsNameTheHostOnce: the address is in front of every problem, and nowhere else in it.
func TestProblemsNameTheHostOnce(t *testing.T) {
	user := answerOf{stdout: "1000\n"}
	refused := answerOf{err: &host.ExitError{Host: "10.0.0.9", Name: "sudo", Code: 1, Stderr: "sudo: a password is required"}}
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
	}
	for question, ask := range questions {
		for name, end := range noAnswers() {
			t.Run(question+"/"+name, func(t *testing.T) {
				err := ask(answerOf{err: end})
				var problem *host.Problem
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
		{"id is lost", unprivileged(answerOf{err: host.ErrConnectionLost}), "id: connection lost", "", false},
		{"id says something else", unprivileged(answerOf{stdout: "Welcome\n"}), "id -u printed no number", "the login needs a POSIX shell that runs commands", false},
		{"sudo hangs", unprivileged(user, answerOf{err: ends["it hangs"]}), "does not answer", load, false},
		{"sudo hangs with the password", unprivileged(user, refused, answerOf{err: ends["it hangs"]}), "does not answer", load, false},
		{"the connection is lost with the password", unprivileged(user, refused, answerOf{err: host.ErrConnectionLost}), "connection lost", "", false},
		{"sudo refuses the password", unprivileged(user, refused, refused), "sudo refused the password (id failed with exit code 3: id: what?)",
			"check -p, and that the host's sudoers lets this user run every command", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := findPrivilege(t.Context(), test.conn)
			var problem *host.Problem
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

func TestAPrivilegeDoesNotLeak(t *testing.T) {
	root := privilege{needed: true, Password: "correct horse"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if text := fmt.Sprintf(format, root); strings.Contains(text, "horse") || strings.Contains(text, "686f727365") {
			t.Errorf("%s: %s", format, text)
		}
	}
}
