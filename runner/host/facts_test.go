package host

import (
	"errors"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/kubefile/kubefile/runner/host/hosttest"
)

const someFacts = "Welcome to this host\nfacts\t1\nhostname\tnode1\nmachine-id\tabc\nboot-id\tdef\narch\taarch64\nkernel\t6.1.0\ntime\t1700000000\ninit\tsystemd\n" +
	"os-ID\tdebian\nos-VERSION_ID\t\"12\"\nos-PRETTY_NAME\t\"Debian GNU/Linux 12 (bookworm)\"\ncpus\t4\nMemTotal\t4096\nSwapTotal\t0\nfree-kib\t1048576\ncgroup\t2\n" +
	"address\t10.0.0.1/24\naddress\tfe80::1/64\nlisten\t192B\nlisten\t192B\nowner\t6443 kube-apiserver\nowner\t22 sshd\nunit-kubelet\tactive\n" +
	"command\ttar\ncluster\t/etc/kubernetes/admin.conf\nnews\tfrom a later version\nmachine-id\t\n"

func TestParseFacts(t *testing.T) {
	f, err := parseFacts([]byte(someFacts))
	if err != nil {
		t.Fatal(err)
	}
	if f.Hostname != "node1" || f.MachineID != "abc" || f.BootID != "def" || f.Architecture != "arm64" || f.Kernel != "6.1.0" || f.Init != "systemd" ||
		f.OSID != "debian" || f.OSVersion != "12" || f.OS != "Debian GNU/Linux 12 (bookworm)" || f.CPUs != 4 || f.Cgroup != 2 ||
		f.MemoryBytes != 4<<20 || f.SwapBytes != 0 || f.FreeBytes != 1<<30 || f.Time.Unix() != 1700000000 {
		t.Errorf("%+v", f)
	}
	if join(f.Addresses) != "10.0.0.1, fe80::1" || len(f.Listening) != 1 || f.Listening[0] != (Listener{6443, "kube-apiserver"}) ||
		f.Units["kubelet"] != "active" || strings.Join(f.Commands, " ") != "tar" || len(f.Cluster) != 1 {
		t.Errorf("%+v", f)
	}
	for answer, says := range map[string]string{
		"":                       "must run commands",
		"-bash: sh: no\n":        "must run commands",
		"facts\t1\ncpus\tmany\n": "cpus: ",
		"facts\t1\naddress\tx\n": "address: ",
		"facts\t1\nlisten\tZZ\n": "listen: ",
		"facts\t1\nMemTotal\t-1": "MemTotal: ",
		"facts\t1\nx\t" + strings.Repeat("y", maxFactLine):            "too long",
		"facts\t1\n" + strings.Repeat("command\tx\n", maxFactItems+1): "more than",
	} {
		if _, err := parseFacts([]byte(answer)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.40q: %v", answer, err)
		}
	}
}

func FuzzParseFacts(f *testing.F) {
	f.Add([]byte(someFacts))
	f.Add([]byte("facts\t1\naddress\tfe80::1%eth0/64\nlisten\tFFFFF\nowner\t\nunit-\t\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		facts, err := parseFacts(data)
		if err != nil {
			return
		}
		for _, text := range append(facts.Commands, facts.Hostname, facts.OS, facts.Kernel, facts.MachineID) {
			if printable(text) != text {
				t.Fatalf("%q would reach a terminal", text)
			}
		}
		if len(facts.Addresses)+len(facts.Listening)+len(facts.Commands)+len(facts.Units) > 5*maxFactItems {
			t.Fatal("too much is kept")
		}
	})
}

func testFactsScript(t *testing.T, shell ...string) {
	out, err := exec.Command(shell[0], append(shell[1:], "-c", factsScript, "sh", "/nowhere/at/all")...).Output()
	if err != nil {
		t.Fatal(shell, err)
	}
	if f, err := parseFacts(out); err != nil || f.FreeBytes == 0 || f.Hostname == "" {
		t.Fatalf("%v: %+v, %v", shell, f, err)
	}
}

// TestFactsScript runs the script under the machine's shell, and on a host that has nothing else.
func TestFactsScript(t *testing.T) {
	testFactsScript(t, "sh")
	// On the barest of hosts only the shell's own commands are there.
	cmd := exec.Command("/bin/sh", "-c", factsScript, "sh", "/var/lib")
	cmd.Env = []string{"PATH=/nowhere"}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if f, err := parseFacts(out); err != nil || f.Hostname == "" || len(f.Commands) != 0 {
		t.Fatalf("%+v, %v", f, err)
	}
}

func TestSkew(t *testing.T) {
	at := func(seconds float64) time.Time { return time.UnixMilli(int64(seconds * 1000)) }
	for _, test := range []struct{ read, before, after, want float64 }{
		{10, 10.5, 10.7, 0},
		{10, 9.9, 10.1, 0},
		{10, 11.5, 11.7, -0.5},
		{10, 3, 4, 6},
	} {
		if got := skew(at(test.read), at(test.before), at(test.after)); got.Seconds() != test.want && -got.Seconds() != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

func report(address, name string) Report {
	a := netip.MustParseAddr(address)
	return Report{Host: Host{Address: a, Role: RoleNode}, Facts: &Facts{
		Hostname: name, MachineID: name, BootID: name, Architecture: "amd64", Init: "systemd", CPUs: 4,
		MemoryBytes: 4 << 30, FreeBytes: 50 << 30, Addresses: []netip.Addr{a}, Commands: []string{"tar"},
	}}
}

var needs = Needs{
	Architecture: "amd64", FreeBytes: 10 << 30, MemoryBytes: 2 << 30, CPUs: 2, Ports: []uint16{6443, 10250}, Commands: []string{"tar"},
	NoSwap: true, NoCluster: true, Systemd: true, MaxClockSkew: time.Minute,
}

func TestPreflightFindsEverythingAtOnce(t *testing.T) {
	good, bad := report("10.0.0.1", "one"), report("10.0.0.2", "ONE")
	*bad.Facts = Facts{
		Hostname: "ONE", Architecture: "arm64", Init: "init", CPUs: 1, MemoryBytes: 1 << 30, SwapBytes: 1 << 30, FreeBytes: 1 << 20,
		Addresses: []netip.Addr{netip.MustParseAddr("172.16.0.2")}, Listening: []Listener{{6443, "nginx"}, {10250, ""}},
		ClockSkew: -2 * time.Hour, Cluster: []string{"/etc/kubernetes/admin.conf"},
	}
	down := Report{Host: Host{Address: netip.MustParseAddr("10.0.0.3")}, Err: unreachable(Host{Address: netip.MustParseAddr("10.0.0.3")}, errors.New("no route"))}
	odd := Report{Host: Host{Address: netip.MustParseAddr("10.0.0.4")}, Err: errors.New("something else")}
	var lines []string
	problems := Preflight([]Report{good, bad, down, odd}, func(Host) Needs { return needs })
	for _, p := range problems {
		lines = append(lines, p.Error())
		if p.Mend == "" && !p.Warning && p.Host != "10.0.0.4" {
			t.Errorf("no mend: %s", p.Error())
		}
	}
	for _, want := range []string{
		"10.0.0.2: its architecture is arm64, the image is for amd64",
		"10.0.0.2: the machine that answers has no interface with this address (it has 172.16.0.2)",
		"10.0.0.2: 1.0 MiB free where 10.0 GiB are needed",
		`10.0.0.2: process 1 is "init", not systemd`,
		"10.0.0.2: its clock is 2h0m0s behind this machine's",
		"10.0.0.2: a Kubernetes is or was on it: /etc/kubernetes/admin.conf",
		"10.0.0.2: the command tar is missing",
		"10.0.0.2: port 6443 is in use by nginx",
		"10.0.0.2: port 10250 is in use;",
		"10.0.0.2: 1 CPU where 2 are recommended",
		"10.0.0.2: 1.0 GiB of memory where 2.0 GiB are recommended",
		"10.0.0.2: 1.0 GiB of swap are on",
		"10.0.0.3: not reachable: no route",
		"10.0.0.4: something else",
		`10.0.0.2: its host name "ONE" is also that of 10.0.0.1`,
	} {
		found := 0
		for _, line := range lines {
			if strings.HasPrefix(line, want) {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%d times %q in:\n%s", found, want, strings.Join(lines, "\n"))
		}
	}
	if len(lines) != 15 {
		t.Errorf("%d problems:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	err := problems.Err()
	if err == nil || strings.Count(err.Error(), "\n") != 11 || strings.Contains(err.Error(), "swap") {
		t.Errorf("%v", err)
	}
}

func TestPreflightOfGoodHosts(t *testing.T) {
	one, two := report("10.0.0.1", "one"), report("10.0.0.2", "two")
	two.Facts.SwapBytes = 1 // a warning alone is no error
	problems := Preflight([]Report{one, two}, func(Host) Needs { return needs })
	if len(problems) != 1 || problems.Err() != nil {
		t.Fatal(problems)
	}
}

func TestOneMachineUnderTwoAddresses(t *testing.T) {
	one, two := report("10.0.0.1", "one"), report("10.0.0.2", "one")
	one.Facts.Addresses = append(one.Facts.Addresses, two.Host.Address)
	two.Facts.Addresses = one.Facts.Addresses
	problems := Preflight([]Report{one, two}, func(Host) Needs { return Needs{} })
	if len(problems) != 1 || !strings.Contains(problems[0].What, "the same machine as 10.0.0.1") {
		t.Fatal(problems)
	}
}

func testConnectReachesAllHosts(t *testing.T, s *sshServer) {
	hosttest.Sudo(t)
	s.Start(t, hosttest.Config{})
	var contacts []string
	gone := s.host("key")
	gone.Auth.Port = 1
	reports := Connect(t.Context(), s.dialer(&contacts), []Host{s.host("key"), gone, {Address: s.Address.Addr(), Local: true}}, "/var/lib")
	for i, ok := range []bool{true, false, true} {
		r := reports[i]
		if (r.Err == nil) != ok || (r.Facts != nil) != ok || (r.Conn != nil) != ok {
			t.Errorf("host %d: %+v", i, r)
		}
		if r.Conn != nil {
			r.Conn.Close()
		}
	}
}

// TestAnArchitectureIsAWord: it is compared with the image's, and shown.
func TestAnArchitectureIsAWord(t *testing.T) {
	for machine, want := range map[string]string{"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64", "i686": "i686"} {
		f, err := parseFacts([]byte("facts\t1\narch\t" + machine + "\n"))
		if err != nil || f.Architecture != want {
			t.Errorf("%s: %+v, %v", machine, f, err)
		}
	}
	for _, machine := range []string{"x/../../f", "../f", "/f", "..", "a b", "x86_64;reboot", "$(reboot)", "-x", "X86", "a:b"} {
		if f, err := parseFacts([]byte("facts\t1\narch\t" + machine + "\n")); err == nil {
			t.Errorf("%q was taken: %+v", machine, f)
		}
	}
}
