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

// answer is a host on which each command ends so.
type answer struct {
	stdout string
	err    error
}

func (a answer) Host() Host   { return Host{Address: netip.MustParseAddr("10.0.0.9")} }
func (a answer) Close() error { return nil }

func (a answer) Run(_ context.Context, cmd Command) error {
	if _, err := io.WriteString(cmd.Stdout, a.stdout); err != nil {
		return err
	}
	var exit *ExitError
	if a.err == nil || errors.As(a.err, &exit) {
		return a.err
	}
	return fmt.Errorf("%s: %s: %w", a.Host(), cmd.Called(), a.err)
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
	questions := map[string]func(end answer) error{
		"facts": func(end answer) error {
			_, err := Gather(t.Context(), end, "/")
			return err
		},
		"facts that break off": func(answer) error {
			_, err := Gather(t.Context(), answer{stdout: "facts\t1\nhostname\tx\n"}, "/")
			return err
		},
		"too many facts": func(answer) error {
			_, err := Gather(t.Context(), answer{stdout: string(bytes.Repeat([]byte("x"), maxOutput+1))}, "/")
			return err
		},
	}
	for question, ask := range questions {
		for name, end := range noAnswers() {
			t.Run(question+"/"+name, func(t *testing.T) {
				err := ask(answer{err: end})
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

// TestPathsOfAHostThatHangs are not known, with the reason; the host is one that was reached.
func TestPathsOfAHostThatHangs(t *testing.T) {
	to := netip.MustParseAddrPort("10.0.0.1:6443")
	ends := noAnswers()
	for _, test := range []struct {
		end answer
		why string
	}{
		{answer{err: ends["it hangs"]}, "the attempt did not end within 2m0s"},
		{answer{err: ends["it fails"]}, "id failed with exit code 3: id: what?"},
		{answer{stdout: "path\t10.0.0.1 6443 unknown\n"}, "the answer of its system is not understood"},
		{answer{stdout: "path\t10.0.0.1 6443 untried\n"}, ""},
		{answer{stdout: ""}, "its answer breaks off"},
	} {
		paths, err := TryPaths(t.Context(), test.end, []netip.AddrPort{to})
		if err != nil || len(paths) != 1 || paths[0] != (Path{To: to, State: Unknown, Why: test.why}) {
			t.Errorf("got %+v, %v, want one that is not known because of %q", paths, err, test.why)
		}
	}
	for _, end := range []error{ErrConnectionLost, context.Canceled} {
		if _, err := TryPaths(t.Context(), answer{err: end}, []netip.AddrPort{to}); !errors.Is(err, end) {
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
