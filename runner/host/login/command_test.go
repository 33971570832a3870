package login

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/host/hosttest"
	"github.com/kubefile/kubefile/runner/host/stream"
)

// Programs of the cluster are in /usr/local/bin, which the PATH of many logins and sudo's secure_path lack.
func TestCommandsFindProgramsWhateverThePath(t *testing.T) {
	usual := []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}
	for _, test := range []struct{ login, given, first string }{
		{"PATH=/sbin:/bin:/usr/sbin:/usr/bin", "", "/sbin:/bin:/usr/sbin:/usr/bin:"},
		{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/games", "", "/usr/local/bin:/usr/bin:/bin:/usr/games:"},
		{"NONE=", "", "/"},
		{"PATH=/bin", "/opt/own:/bin", "/opt/own:/bin:"},
	} {
		t.Run(test.login+" "+test.given, func(t *testing.T) {
			cmd := host.Command{Argv: []string{"/bin/sh", "-c", `printf %s "$PATH"`}}
			if test.given != "" {
				cmd.Env = map[string]string{"PATH": test.given}
			}
			argv, stdin, err := wrap(cmd, privilege{}, "x")
			if err != nil {
				t.Fatal(err)
			}
			process := exec.Command("/usr/bin/env", argv[1:]...)
			process.Env, process.Stdin = []string{test.login}, stdin
			out, err := process.Output()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(out), test.first) {
				t.Errorf("PATH is %s, want %s first", out, test.first)
			}
			for _, dir := range usual {
				if got := strings.Count(":"+string(out)+":", ":"+dir+":"); got != 1 {
					t.Errorf("PATH %s has %s %d times, want once", out, dir, got)
				}
			}
		})
	}
}

func local(t *testing.T) host.Conn {
	t.Helper()
	hosttest.Sudo(t)
	conn, err := new(Dialer).Dial(t.Context(), host.Host{Address: netip.MustParseAddr("127.0.0.1"), Local: true})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestCommandsOnThisMachine(t *testing.T) { testCommands(t, local(t)) }

// testCommands checks what every Conn has to do.
func testCommands(t *testing.T, conn host.Conn) {
	testArgumentsAndEnvironment(t, conn)
	testInput(t, conn)
	testCommandEnds(t, conn)
	testRefusedCommands(t, conn)
	testFacts(t, conn)
}

// testArgumentsAndEnvironment checks that both reach the process as they are, and the environment no process list.
func testArgumentsAndEnvironment(t *testing.T, conn host.Conn) {
	t.Helper()
	ctx := t.Context()
	t.Run("arguments arrive as they are", func(t *testing.T) {
		out, err := host.Output(ctx, conn, host.Command{Argv: append([]string{"printf", "%s\\0"}, hosttest.Awkward()...)})
		if err != nil || string(out) != strings.Join(hosttest.Awkward(), "\x00")+"\x00" {
			t.Fatalf("%q, %v", out, err)
		}
	})
	t.Run("environment, directory and input arrive as they are", func(t *testing.T) {
		env := map[string]string{"docker-dir": "/var/lib/docker", "with.dot": "line\nline\n"}
		var script strings.Builder
		for i, value := range hosttest.Awkward() {
			key := "V" + strings.Repeat("_", i)
			env[key] = value
			script.WriteString("printf '%s\\0' \"$" + key + "\"; ")
		}
		out, err := host.Output(ctx, conn, host.Command{
			Argv:  []string{"sh", "-c", script.String() + `pwd; cat; env`},
			Env:   env,
			Dir:   "/usr",
			Stdin: strings.NewReader("line 1\nline 2\n.\n\n"),
		})
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Join(hosttest.Awkward(), "\x00") + "\x00/usr\nline 1\nline 2\n.\n\n"
		if !strings.HasPrefix(string(out), want) {
			t.Fatalf("%q\nwant %q", out, want)
		}
	})
	t.Run("names that are no identifiers reach the process", func(t *testing.T) {
		out, err := host.Output(ctx, conn, host.Command{Argv: []string{"env"}, Env: map[string]string{"docker-dir": "a b\nc", "A": "1"}})
		if err != nil || !strings.Contains(string(out), "docker-dir=a b\nc\n") || !strings.Contains(string(out), "\nA=1\n") {
			t.Fatalf("%q, %v", out, err)
		}
	})
	t.Run("environment is in no process list", func(t *testing.T) {
		out, err := host.Output(ctx, conn, host.Command{
			Argv: []string{"sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null; true"}, Env: map[string]string{"TOKEN": "in-no-process-list", "to-ken": "in-no-process-list"}})
		if err != nil && len(out) == 0 {
			t.Fatal(err)
		}
		if bytes.Contains(out, []byte("in-no-process-list")) {
			t.Fatal("a value of the environment is in a command line")
		}
	})
}

// testInput checks that a command reads its input whole, or not at all.
func testInput(t *testing.T, conn host.Conn) {
	t.Helper()
	ctx := t.Context()
	t.Run("big input", func(t *testing.T) {
		const size = 64 << 20
		out, err := host.Output(ctx, conn, host.Command{Argv: []string{"wc", "-c"}, Stdin: io.LimitReader(zeros{}, size)})
		if err != nil || strings.TrimSpace(string(out)) != "67108864" {
			t.Fatalf("%q, %v", out, err)
		}
	})
	t.Run("the input need not be read", func(t *testing.T) {
		blocked, w := io.Pipe()
		defer w.Close()
		if err := conn.Run(ctx, host.Command{Argv: []string{"true"}, Stdin: blocked}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("an input that breaks off is not taken for a whole one", func(t *testing.T) {
		broken := errors.New("broken")
		err := conn.Run(ctx, host.Command{Argv: []string{"cat"}, Stdin: io.MultiReader(strings.NewReader("part"), failing{broken})})
		if !errors.Is(err, broken) {
			t.Fatal(err)
		}
	})
}

// testCommandEnds checks what becomes of a command that fails, runs too long or prints too much.
func testCommandEnds(t *testing.T, conn host.Conn) {
	t.Helper()
	ctx := t.Context()
	t.Run("failure", func(t *testing.T) {
		err := conn.Run(ctx, host.Command{Argv: []string{"sh", "-c", "echo out; seq 1 1000 >&2; printf 'the \\033[31mreason\\n' >&2; exit 3"}})
		var exit *host.ExitError
		if !errors.As(err, &exit) || exit.Code != 3 || exit.Name != "sh" || exit.Host != conn.Host().String() {
			t.Fatalf("%#v", err)
		}
		if !strings.HasSuffix(exit.Stderr, "1000\nthe [31mreason") || strings.Count(exit.Stderr, "\n") != stream.TailLines-1 {
			t.Errorf("stderr %q", exit.Stderr)
		}
	})
	t.Run("its context ends a command", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		seconds := fmt.Sprint(10_000_000 + rand.IntN(10_000_000))
		script := "sleep " + seconds + "; true" // a child, which a signal to the shell alone would leave behind
		if err := conn.Run(ctx, host.Command{Argv: []string{"sh", "-c", script}, Root: true}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if runs := processes(t, seconds); len(runs) > 0 {
			t.Fatalf("it runs on: %q", runs)
		}
	})
	t.Run("too much output", func(t *testing.T) {
		if out, err := host.Output(ctx, conn, host.Command{Argv: []string{"head", "-c", "5000000", "/dev/zero"}}); err == nil {
			t.Fatalf("%d bytes were kept", len(out))
		}
	})
	t.Run("a directory that is missing", func(t *testing.T) {
		err := conn.Run(ctx, host.Command{Argv: []string{"true"}, Dir: "/does/not/exist"})
		var exit *host.ExitError
		if !errors.As(err, &exit) || exit.Code != 127 || !strings.Contains(err.Error(), "/does/not/exist") {
			t.Fatal(err)
		}
	})
}

// testRefusedCommands checks that a command that cannot be passed as it is does not run.
func testRefusedCommands(t *testing.T, conn host.Conn) {
	t.Helper()
	ctx := t.Context()
	t.Run("what can not be passed is refused", func(t *testing.T) {
		for _, cmd := range []host.Command{
			{},
			{Argv: []string{"echo", "a\x00b"}},
			{Argv: []string{"echo"}, Dir: "a\x00b"},
			{Argv: []string{"echo"}, Env: map[string]string{"": "x"}},
			{Argv: []string{"echo"}, Env: map[string]string{"a=b": "secret"}},
			{Argv: []string{"echo"}, Env: map[string]string{"a\nb": "secret"}},
			{Argv: []string{"echo"}, Env: map[string]string{"-u": "secret"}},
			{Argv: []string{"echo"}, Env: map[string]string{"a": "secret\x00"}},
			{Argv: []string{"a=b"}, Dir: "/"},
		} {
			if err := conn.Run(ctx, cmd); err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v: %v", cmd, err)
			}
		}
	})
}

// testFacts checks that the facts of a machine are gathered.
func testFacts(t *testing.T, conn host.Conn) {
	t.Helper()
	ctx := t.Context()
	t.Run("facts", func(t *testing.T) {
		facts, err := host.Gather(ctx, conn, "/var/lib/does/not/exist")
		if err != nil {
			t.Fatal(err)
		}
		if facts.Hostname == "" || facts.Architecture == "" || facts.CPUs == 0 || facts.MemoryBytes == 0 || len(facts.FileSystems) == 0 ||
			facts.Time.IsZero() || facts.OSID == "" || facts.BootID == "" || len(facts.Addresses) == 0 && hasNetwork(t) || len(facts.Commands) == 0 {
			t.Errorf("%+v", facts)
		}
		if facts.ClockSkew.Abs() > 2*time.Second {
			t.Errorf("clock skew %v against itself", facts.ClockSkew)
		}
	})
}

// hasNetwork reports whether this machine has an address other than that of loopback.
func hasNetwork(t *testing.T) bool {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(addresses, func(a net.Addr) bool { return a.(*net.IPNet).IP.IsGlobalUnicast() })
}

// processes returns the command lines of this machine with a text in them.
func processes(t *testing.T, text string) (found []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Fatal(len(files), " processes are seen: ", err)
	}
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && bytes.Contains(line, []byte(text)) { // it may have ended meanwhile
			found = append(found, string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return found
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
