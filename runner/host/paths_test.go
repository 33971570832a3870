package host

import (
	"context"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// machine is this machine.
type machine struct{}

func (machine) Host() Host   { return Host{Local: true} }
func (machine) Close() error { return nil }

func (machine) Run(ctx context.Context, cmd Command) error {
	process := exec.CommandContext(ctx, cmd.Argv[0], cmd.Argv[1:]...)
	process.Stdout = cmd.Stdout
	return process.Run()
}

// TestTryPaths connects from this machine to ports of its own: one that is open, and one that was until just now.
func TestTryPaths(t *testing.T) {
	listen := func() (net.Listener, netip.AddrPort) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l, netip.MustParseAddrPort(l.Addr().String())
	}
	_, open := listen()
	closed, refused := listen()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	want := []Path{{To: open, State: Open}, {To: refused, State: Refused}}
	paths, err := TryPaths(t.Context(), machine{}, []netip.AddrPort{open, refused})
	if err != nil || !slices.Equal(paths, want) {
		t.Errorf("got %v, %v, want %v", paths, err, want)
	}
	if paths, err := TryPaths(t.Context(), nil, nil); err != nil || paths != nil {
		t.Errorf("without targets: %v, %v", paths, err)
	}
	// Many are tried in batches, and each is answered.
	many := slices.Repeat([]string{refused.Addr().String() + "," + strconv.Itoa(int(refused.Port()))}, 2*pathBatch+1)
	out, err := exec.Command("sh", append([]string{"-c", pathsScript, "sh"}, many...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	if n := countLines(out); n != len(many) {
		t.Errorf("%d answers, want %d", n, len(many))
	}
}

func countLines(text []byte) (n int) {
	for _, c := range text {
		if c == '\n' {
			n++
		}
	}
	return n
}

// TestTryPathsWithout: on the barest of hosts nothing is known.
func TestTryPathsWithout(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", pathsScript, "sh", "127.0.0.1,1")
	cmd.Env = []string{"PATH=" + filepath.Join(t.TempDir(), "nothing")}
	out, err := cmd.Output()
	target := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}
	if err != nil || !slices.Equal(parsePaths(out, target), []Path{{To: target[0], State: Unknown}}) {
		t.Errorf("got %q, %v", out, err)
	}
}

func FuzzParsePaths(f *testing.F) {
	f.Add([]byte("path\t127.0.0.1 1 open\npath\t::1 99999 open\npath\tx 1 refused\npath\t\n"))
	targets := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("[::1]:6443")}
	f.Fuzz(func(t *testing.T, data []byte) {
		paths := parsePaths(data, targets)
		if len(paths) != len(targets) {
			t.Fatalf("%d paths", len(paths))
		}
		for i, p := range paths {
			if p.To != targets[i] || !slices.Contains([]PathState{Open, Refused, Timeout, Unreachable, Unknown}, p.State) {
				t.Fatalf("path %v", p)
			}
		}
	})
}
