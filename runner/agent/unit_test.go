package agent

import (
	"context"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kubefile/kubefile/runner/agent/wire"
)

// fakeSystemd has a unit that goes through conditions, one each time that it is asked for it; the last one stays.
type fakeSystemd struct {
	conditions []map[string]string
	log        string
	runs       string // the file that the process runs
	asked      int
}

func (f *fakeSystemd) show(context.Context, string) (map[string]string, error) {
	at := min(f.asked, len(f.conditions)-1)
	f.asked++
	return f.conditions[at], nil
}

func (f *fakeSystemd) journal(context.Context, string) ([]byte, error) {
	if f.log == "" {
		return nil, errors.New("no journal")
	}
	return []byte(f.log), nil
}

func (f *fakeSystemd) now() (time.Duration, error) { return time.Hour, nil }
func (f *fakeSystemd) program(string) string       { return f.runs }

// running is a unit that has run for so long.
func running(d time.Duration, restarts int) map[string]string {
	return map[string]string{"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "Result": "success", "ExecMainStatus": "0",
		"NRestarts": strconv.Itoa(restarts), "MainPID": "7", "ActiveEnterTimestampMonotonic": strconv.FormatInt((time.Hour - d).Microseconds(), 10)}
}

// between is a unit between two starts.
func between(restarts int) map[string]string {
	return map[string]string{"LoadState": "loaded", "ActiveState": "activating", "SubState": "auto-restart", "Result": "exit-code",
		"ExecMainStatus": "1", "NRestarts": strconv.Itoa(restarts)}
}

func TestWatchUnit(t *testing.T) {
	const soon, old = 300 * time.Millisecond, time.Minute
	failed := map[string]string{"LoadState": "loaded", "ActiveState": "failed", "SubState": "failed", "Result": "signal", "ExecMainStatus": "9"}
	cases := []struct {
		name       string
		conditions []map[string]string
		patience   time.Duration
		want       string // of what is wrong; empty when it works
	}{
		{"it runs", []map[string]string{running(old, 0)}, 0, ""},
		{"it runs after a while", []map[string]string{between(0), running(0, 0), running(2*time.Second, 0)}, time.Minute, ""},
		// Active at the first look, as a process that ends at once is.
		{"it ends at once", []map[string]string{running(0, 0), between(0), running(0, 1), between(1), running(0, 2), between(2), running(0, 3), between(3)},
			time.Minute, "ends right after each start, 3 times"},
		{"a loop of crashes, without patience", []map[string]string{running(0, 400), between(400)}, 0, "does not run"},
		{"it has been in a loop for days, and comes back", []map[string]string{between(4000), running(2*time.Second, 4001)}, time.Minute, ""},
		{"it failed for good", []map[string]string{running(0, 0), failed}, time.Minute, "does not run"},
		{"it is not installed", []map[string]string{{"LoadState": "not-found", "ActiveState": "inactive"}}, 0, "no such unit"},
		{"it stays young", []map[string]string{running(0, 0)}, soon, "a moment ago"},
		{"no properties", []map[string]string{{}}, soon, "does not run"},
		{"no time", []map[string]string{{"ActiveState": "active", "SubState": "running"}}, soon, "since when"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := &fakeSystemd{conditions: c.conditions, log: "one\n\x1b[31mbind: address already in use\x1b[0m\n\n"}
			state, err := watchUnit(t.Context(), f, wire.Unit{Name: "x.service", Patience: c.patience})
			if err != nil {
				t.Fatal(err)
			}
			if state.Works != (c.want == "") || !strings.Contains(state.Why, c.want) {
				t.Errorf("it works: %v, %q; want %q", state.Works, state.Why, c.want)
			}
			if state.Works {
				return
			}
			if got := strings.Join(state.Journal, "|"); got != "one|[31mbind: address already in use[0m" {
				t.Errorf("the journal is %q", got)
			}
		})
	}
}

func TestWatchUnitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := watchUnit(ctx, &fakeSystemd{conditions: []map[string]string{between(0)}}, wire.Unit{Patience: time.Hour})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// A new runner is installed by a rename: the daemons go on with the file that is no longer there, until they are started again.
func TestWatchUnitKnowsItsProgram(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		return name
	}
	installed := write("installed", "new runner")
	for _, c := range []struct {
		name, runs string
		stale      bool
	}{
		{"the very file", installed, false},
		{"a copy of it", write("copy", "new runner"), false},
		{"another of the same size", write("other", "old runner"), true},
		{"another", write("older", "older runner"), true},
		{"no process", filepath.Join(dir, "gone"), true},
	} {
		f := &fakeSystemd{conditions: []map[string]string{running(time.Minute, 0)}, runs: c.runs}
		state, err := watchUnit(t.Context(), f, wire.Unit{Program: installed})
		if err != nil || state.Stale != c.stale || state.Works == c.stale {
			t.Errorf("%s: %+v, %v", c.name, state, err)
		}
	}
	// The real thing: this process.
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	same, err := sameProgram(hostSystemd{}.program("self"), own)
	if err != nil || !same {
		t.Errorf("this process does not run %s: %v", own, err)
	}
}

func TestQuestions(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/closed":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/own" && r.Header.Get("Own") != "1", r.URL.Path == "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	authority := filepath.Join(t.TempDir(), "ca.crt")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(authority, certificate, 0o644); err != nil {
		t.Fatal(err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	cases := []struct {
		name string
		q    wire.Question
		want string
	}{
		{"HTTP", wire.Question{URL: plain.URL}, ""},
		{"HTTPS", wire.Question{URL: secure.URL, Authority: authority}, ""},
		{"a certificate that is not trusted", wire.Question{URL: secure.URL}, "certificate"},
		{"an authority that is missing", wire.Question{URL: secure.URL, Authority: "/nowhere"}, "/nowhere"},
		{"a password", wire.Question{URL: plain.URL + "/closed", Status: []int{200, 401}}, ""},
		{"a password that was not expected", wire.Question{URL: plain.URL + "/closed"}, "401 Unauthorized"},
		{"a header", wire.Question{URL: plain.URL + "/own", Header: map[string]string{"Own": "1"}}, ""},
		{"a store that cannot be read", wire.Question{URL: plain.URL + "/broken"}, "500 Internal Server Error"},
		{"a connection", wire.Question{URL: "tcp://" + plain.Listener.Addr().String()}, ""},
		{"no one listens", wire.Question{URL: "tcp://" + closed.Addr().String()}, "connection refused"},
		{"no one listens to HTTP", wire.Question{URL: "http://" + closed.Addr().String()}, "connection refused"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := ask(t.Context(), c.q)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}

// A unit that is slow to answer, as right after a boot, works: who asks only wants to know whether it has to be started.
func TestWatchUnitWaitsForAnswers(t *testing.T) {
	asked := 0
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked < 4 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer slow.Close()
	f := &fakeSystemd{conditions: []map[string]string{running(time.Minute, 0)}}
	state, err := watchUnit(t.Context(), f, wire.Unit{Answers: []wire.Question{{URL: slow.URL}}})
	if err != nil || !state.Works || asked != 4 {
		t.Errorf("%+v, %v after %d questions", state, err, asked)
	}
}

func TestWatchUnitWithoutAnswer(t *testing.T) {
	t.Parallel() // it takes as long as a unit may take to answer
	broken := httptest.NewServer(http.NotFoundHandler())
	defer broken.Close()
	f := &fakeSystemd{conditions: []map[string]string{running(time.Minute, 0)}}
	state, err := watchUnit(t.Context(), f, wire.Unit{Answers: []wire.Question{{URL: broken.URL}}})
	if err != nil || state.Works || !strings.Contains(state.Why, "404 Not Found") {
		t.Errorf("%+v, %v", state, err)
	}
}

func TestLastLinesAreBounded(t *testing.T) {
	var log strings.Builder
	for i := range 100 {
		log.WriteString(strconv.Itoa(i) + strings.Repeat("ü", 1000) + "\n")
	}
	lines := lastLines([]byte(log.String()))
	if len(lines) != journalLines || !strings.HasPrefix(lines[len(lines)-1], "99ü") || len([]rune(lines[0])) != journalWidth+1 {
		t.Errorf("%d lines, the last is %.20q", len(lines), lines[len(lines)-1])
	}
}

func FuzzLastLines(f *testing.F) {
	f.Add([]byte("a\n\x1b[0mb\r\n\xff"))
	f.Fuzz(func(t *testing.T, out []byte) {
		for _, line := range lastLines(out) {
			if strings.ContainsFunc(line, func(r rune) bool { return !strconv.IsPrint(r) }) {
				t.Fatalf("%q", line)
			}
		}
	})
}
