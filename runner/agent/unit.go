package agent

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubefile/kubefile/runner/agent/wire"
)

const (
	// steadyTime is how long a unit has to run before it counts as running: one that ends at once is active between two starts, too.
	steadyTime = time.Second
	// answerTime is how much longer a unit that runs may take to answer, even when nothing is waited for: right after a boot all programs of a
	// host start at once, and one that is slow does not have to be started again.
	answerTime = 10 * time.Second
	unitEvery  = 100 * time.Millisecond
	askTimeout = 5 * time.Second
	// maxRestarts is how often a unit may be started again until waiting for it is given up.
	maxRestarts = 2
	// journalLines and journalWidth bound what is repeated of a journal.
	journalLines = 15
	journalWidth = 300
	// maxUnitOutput bounds what is read of systemctl and journalctl.
	maxUnitOutput = 64 << 10
)

// systemd is the service manager of the host.
type systemd interface {
	// show returns properties of a unit.
	show(ctx context.Context, unit string) (map[string]string, error)
	// journal returns the end of what the unit wrote.
	journal(ctx context.Context, unit string) ([]byte, error)
	// now is the clock of the properties whose names end in TimestampMonotonic.
	now() (time.Duration, error)
	// program is the file that a process runs.
	program(pid string) string
}

// watchUnit asks until the unit is in its condition, has failed for good, or the patience is over.
func watchUnit(ctx context.Context, manager systemd, u wire.Unit) (wire.UnitState, error) {
	end := time.Now().Add(u.Patience)
	begin := -1
	for {
		properties, err := manager.show(ctx, u.Name)
		if err != nil {
			return wire.UnitState{}, err
		}
		state, more := examineUnit(ctx, manager, u, properties)
		if begin < 0 {
			begin = state.Restarts
		}
		switch {
		case state.Works:
			return state, nil
		case time.Now().After(end.Add(more)):
		case state.Active == "failed" && u.Patience > 0:
		case state.Restarts-begin > maxRestarts:
			state.Why = fmt.Sprintf("it ends right after each start, %d times by now", state.Restarts)
		default:
			if err := sleep(ctx, unitEvery); err != nil {
				return wire.UnitState{}, err
			}
			continue
		}
		if out, err := manager.journal(ctx, u.Name); err == nil { // a host may have none
			state.Journal = lastLines(out)
		}
		return state, nil
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// examineUnit finds out whether a unit is in its condition now. more is how much longer than the patience lasts it is worth to wait for one that
// runs: not long enough yet, or without an answer.
func examineUnit(ctx context.Context, manager systemd, u wire.Unit, properties map[string]string) (state wire.UnitState, more time.Duration) {
	state = wire.UnitState{
		Active: properties["ActiveState"], Sub: properties["SubState"], Result: properties["Result"], Status: properties["ExecMainStatus"],
	}
	state.Restarts, _ = strconv.Atoi(properties["NRestarts"])
	if properties["LoadState"] == "not-found" {
		state.Why = "there is no such unit"
		return state, 0
	}
	if state.Active != "active" || state.Sub != "running" {
		state.Why = "it does not run"
		return state, 0
	}
	if u.Program != "" {
		same, err := sameProgram(manager.program(properties["MainPID"]), u.Program)
		if err != nil || !same {
			state.Stale, state.Why = true, "it runs another program than "+u.Program
			return state, 0
		}
	}
	now, err := manager.now()
	since, parseErr := strconv.ParseInt(properties["ActiveEnterTimestampMonotonic"], 10, 64)
	if err != nil || parseErr != nil {
		state.Why = "the service manager does not report since when it runs"
		return state, 0
	}
	if now-time.Duration(since)*time.Microsecond < steadyTime {
		state.Why = "it was started again a moment ago"
		return state, steadyTime
	}
	for _, q := range u.Answers {
		if err := ask(ctx, q); err != nil {
			state.Why = fmt.Sprintf("%s: %v", q.URL, err)
			return state, answerTime
		}
	}
	state.Works = true
	return state, 0
}

// sameProgram reports whether a process runs the file that is installed. The kernel keeps a file that was replaced as long as it runs.
func sameProgram(running, installed string) (bool, error) {
	a, err := os.Stat(running)
	if err != nil {
		return false, err
	}
	b, err := os.Stat(installed)
	if err != nil {
		return false, err
	}
	if os.SameFile(a, b) {
		return true, nil
	}
	if a.Size() != b.Size() {
		return false, nil
	}
	first, err := fileSum(running)
	if err != nil {
		return false, err
	}
	second, err := fileSum(installed)
	return bytes.Equal(first, second), err
}

func fileSum(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	hash := sha256.New()
	_, err = io.Copy(hash, f)
	return hash.Sum(nil), err
}

// ask puts the question.
func ask(ctx context.Context, q wire.Question) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	u, err := url.Parse(q.URL)
	if err != nil {
		return err
	}
	if u.Scheme == "tcp" {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
		if err != nil {
			return errors.New(reason(err))
		}
		return conn.Close()
	}
	return fetch(ctx, q)
}

func fetch(ctx context.Context, q wire.Question) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, q.URL, nil)
	if err != nil {
		return err
	}
	for name, value := range q.Header {
		request.Header.Set(name, value)
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if q.Authority != "" {
		if settings.RootCAs, err = trust(q.Authority); err != nil {
			return err
		}
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: settings, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		var bad *tls.CertificateVerificationError
		if errors.As(err, &bad) {
			return bad
		}
		return errors.New(reason(err))
	}
	response.Body.Close()
	good := q.Status
	if len(good) == 0 {
		good = []int{http.StatusOK}
	}
	for _, status := range good {
		if response.StatusCode == status {
			return nil
		}
	}
	return fmt.Errorf("it answers %d %s", response.StatusCode, http.StatusText(response.StatusCode))
}

// trust is what the host trusts, and an authority.
func trust(authority string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(authority)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate", authority)
	}
	return pool, nil
}

// lastLines are the last lines of a journal, without what would control a terminal.
func lastLines(out []byte) (lines []string) {
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(strings.Map(func(r rune) rune {
			if !strconv.IsPrint(r) {
				return -1
			}
			return r
		}, line))
		if runes := []rune(line); len(runes) > journalWidth {
			line = string(runes[:journalWidth]) + "…"
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-journalLines):]
}

// hostSystemd is the service manager of the host that the agent runs on.
type hostSystemd struct{}

func (hostSystemd) show(ctx context.Context, unit string) (map[string]string, error) {
	out, err := output(ctx, "systemctl", "show", "--property",
		"LoadState,ActiveState,SubState,Result,ExecMainStatus,NRestarts,MainPID,ActiveEnterTimestampMonotonic", "--", unit)
	if err != nil {
		return nil, err
	}
	properties := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		properties[name] = value
	}
	return properties, nil
}

func (hostSystemd) journal(ctx context.Context, unit string) ([]byte, error) {
	return output(ctx, "journalctl", "--no-pager", "--quiet", "--output", "cat", "--lines", strconv.Itoa(journalLines), "--unit", unit)
}

func (hostSystemd) now() (time.Duration, error) {
	var now unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return time.Duration(now.Nano()), err
}

func (hostSystemd) program(pid string) string { return filepath.Join("/proc", cmp.Or(pid, "0"), "exe") }

// output is what a command prints, bounded.
func output(ctx context.Context, argv ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit*3)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", argv[0], err)
	}
	return out[max(0, len(out)-maxUnitOutput):], nil
}
