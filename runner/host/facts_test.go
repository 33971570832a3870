package host

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const someFacts = "Welcome to this host\nfacts\t1\nhostname\tnode1\nmachine-id\tabc\nboot-id\tdef\narch\taarch64\nkernel\t6.1.0\ntime\t1700000000\ninit\tsystemd\n" +
	"os-ID\tdebian\nos-VERSION_ID\t\"12\"\nos-PRETTY_NAME\t\"Debian GNU/Linux 12 (bookworm)\"\ncpus\t4\nMemTotal\t4096\nSwapTotal\t0\ncgroup\t2\n" +
	"address\t10.0.0.1/24 eth0\naddress\tfe80::1/64\nlisten\t192B\nlisten\t192B\nowner\t6443 kube-apiserver\nowner\t22 sshd\nunit-kubelet\tactive\n" +
	"command\ttar\ncluster\t/etc/kubernetes/admin.conf\nnews\tfrom a later version\nmachine-id\t\n" +
	"file-system\tdata-root|1048576|77|nfs4|rw,noexec|server:/x|/srv/a b\nfile-system\t/var/lib/etcd|1||tmpfs|rw|tmpfs|/run\nroute\t4 default eth0\nroute\t6 default eth0\n" +
	"route\t4 10.96.0.0/12 blackhole\nroute\t4 10.9.9.9 eth1\nroute\t4 odd eth1\nroutes\tknown\nsysctl\tfs.nr_open 1048576\nmodule\toverlay loaded\n" +
	"hosts-file\t10.0.0.9\nhosts-file\todd\nresolv\tnameserver 10.0.0.53\nresolv-conf\t/etc/resolv.conf\ncontrollers\tcpu memory\nselinux\t1\nproxy\tHTTP_PROXY\n" + wholeAnswer

// wholeAnswer ends an answer that is not cut off.
const wholeAnswer = "end\tfacts\n"

func TestParseFacts(t *testing.T) {
	f, err := parseFacts([]byte(someFacts))
	if err != nil {
		t.Fatal(err)
	}
	if f.Hostname != "node1" || f.MachineID != "abc" || f.BootID != "def" || f.Architecture != "arm64" || f.Kernel != "6.1.0" || f.Init != "systemd" ||
		f.OSID != "debian" || f.OSVersion != "12" || f.OS != "Debian GNU/Linux 12 (bookworm)" || f.CPUs != 4 || f.Cgroup != 2 ||
		f.MemoryBytes != 4<<20 || f.SwapBytes != 0 || f.Time.Unix() != 1700000000 {
		t.Errorf("%+v", f)
	}
	root, _ := f.FileSystem(DataRoot)
	if root.FreeBytes != 1<<30 || root.FreeInodes != 77 || root.Type != "nfs4" || !slices.Contains(root.Options, "noexec") || root.ID() != "/srv/a b" || f.FileSystems[1].HasInodes {
		t.Errorf("file systems are %+v", f.FileSystems)
	}
	if got := fmt.Sprint(f.Networks, f.Routes, f.Knows(TopicRoutes), f.HostsFile); got !=
		"[{10.0.0.1/24 eth0 false}] [{0.0.0.0/0 eth0 0} {::/0 eth0 0} {10.96.0.0/12 blackhole 0} {10.9.9.9/32 eth1 0}] true [10.0.0.9]" {
		t.Errorf("networks are %s", got)
	}
	if got := fmt.Sprint(f.Sysctls, f.Modules, f.Nameservers(), f.ResolvConf, f.Controllers, f.SELinux, f.Proxies); got !=
		"map[fs.nr_open:1048576] map[overlay:loaded] [10.0.0.53]/etc/resolv.conf[cpu memory]1[HTTP_PROXY]" &&
		got != "map[fs.nr_open:1048576] map[overlay:loaded] [10.0.0.53] /etc/resolv.conf [cpu memory] 1 [HTTP_PROXY]" {
		t.Errorf("facts are %s", got)
	}
	if join(f.Addresses) != "10.0.0.1, fe80::1" || len(f.Listening) != 1 || f.Listening[0] != (Listener{6443, "kube-apiserver"}) ||
		f.Units["kubelet"] != "active" || strings.Join(f.Commands, " ") != "tar" || len(f.Cluster) != 1 {
		t.Errorf("%+v", f)
	}
	for answer, says := range map[string]string{
		"":                                   "must run commands",
		"-bash: sh: no\n":                    "must run commands",
		"facts\t1\ncpus\tmany\n":             "cpus: ",
		"facts\t1\naddress\tx\n":             "address: ",
		"facts\t1\nlisten\tZZ\n":             "listen: ",
		"facts\t1\nMemTotal\t-1":             "MemTotal: ",
		"facts\t1\nfile-system\tdata-root|1": "file-system: ",
		"facts\t1\nfile-system\tdata-root|-1||||||x\n":                "file-system: ",
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
	f.Add([]byte("facts\t1\naddress\t10.0.0.1 tun0\nresolv\tnameserver 127.0.0.1\nresolv\tnameserver\nroute\t\nroute\t4 default\nfile-system\t||||||\nsysctl\t\nhosts-file\tfe80::1%x\naddress\t1.1.1.1/99 x\nunknown\tarch \nunknown\tinit \x1b[31mx\nend\tfacts\n"))
	f.Add([]byte("facts\t1\naddress\tfe80::1%eth0/64\nlisten\tFFFFF\nowner\t\nunit-\t\nservice-route\t10.0.0.1 10.96.0.0/12 x\nend\tfacts\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		facts, err := parseFacts(data)
		if err != nil {
			return
		}
		texts := slices.Concat(facts.Commands, facts.Resolv, facts.CNI, facts.NoForwarding, facts.Symlinks, facts.CloudHosts, facts.Proxies)
		for _, s := range facts.FileSystems {
			texts = append(texts, s.Mount, s.Type, s.Device)
		}
		for _, r := range facts.Routes {
			texts = append(texts, r.Interface)
		}
		for _, reason := range facts.Unknown {
			texts = append(texts, reason)
		}
		if len(facts.ServiceRoutes) > maxServiceRoutes || len(facts.Unknown) > len(Topics()) {
			t.Fatalf("too much is kept: %v, %v", facts.ServiceRoutes, facts.Unknown)
		}
		for _, text := range append(texts, facts.Hostname, facts.OS, facts.Kernel, facts.MachineID, facts.Path, facts.ResolvConf) {
			if printable(text) != text {
				t.Fatalf("%q would reach a terminal", text)
			}
		}
		for _, server := range facts.PodNameservers() {
			if a, err := netip.ParseAddr(server); err != nil || a.IsLoopback() {
				t.Fatalf("%q is not for pods", server)
			}
		}
		if len(texts)+len(facts.Addresses)+len(facts.Listening)+len(facts.Units)+len(facts.Routes)+len(facts.Sysctls) > 5*maxFactItems {
			t.Fatal("too much is kept")
		}
	})
}

func testFactsScript(t *testing.T, shell ...string) {
	out, err := exec.Command(shell[0], append(shell[1:], "-c", factsScript, "sh", "/nowhere/at/all")...).Output()
	if err != nil {
		t.Fatal(shell, err)
	}
	_, noIP := exec.LookPath("ip") // a machine may be without iproute2, and its routes are not known then
	if f, err := parseFacts(out); err != nil || len(f.FileSystems) != 8 || f.FileSystems[0].FreeBytes == 0 || f.Hostname == "" || f.Path == "" ||
		f.Knows(TopicRoutes) != (noIP == nil) || f.Knows(TopicCgroup) && len(f.Controllers) == 0 {
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
	if f, err := parseFacts(out); err != nil || f.Hostname == "" || len(f.Commands) != 0 || f.Unknown[TopicArchitecture] != "the command uname is missing" {
		t.Fatalf("%+v, %v", f, err)
	}
}

// TestFileSystemsOfOddHosts runs the script with a df of its own.
func TestFileSystemsOfOddHosts(t *testing.T) {
	const space = "Filesystem 1024-blocks Used Available Capacity Mounted on\n"
	const inodes = "Filesystem Inodes IUsed IFree IUse% Mounted on\n"
	for name, test := range map[string]struct{ blocks, inodes, want string }{
		"plain":                {space + "/dev/sda1 400 100 300 25% /nowhere", inodes + "/dev/sda1 40 10 30 25% /nowhere", "data-root|300|30|||/dev/sda1|/nowhere"},
		"device with a space":  {space + "tank/my data 400 100 300 25% /nowhere", inodes + "tank/my data 40 10 30 25% /nowhere", "data-root|300|30|||tank/my data|/nowhere"},
		"mounted with a space": {space + "tank 400 100 300 25% /nowhere/a 7% b", inodes + "tank 40 10 30 25% /nowhere/a 7% b", "data-root|300|30|||tank|/nowhere/a 7% b"},
		"without inodes":       {space + "tank 400 100 300 25% /nowhere", inodes + "tank 0 0 0 - /nowhere", "data-root|300||||tank|/nowhere"},
		"no answer":            {"", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			script := "#!/bin/sh\ncase $1 in -Pk) echo '" + test.blocks + "' ;; -Pi) echo '" + test.inodes + "' ;; esac\n"
			if test.blocks == "" {
				script = "#!/bin/sh\nexit 1\n"
			}
			if err := os.WriteFile(filepath.Join(dir, "df"), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("sh", "-c", factsScript, "sh", "/nowhere")
			cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parseFacts(out); err != nil {
				t.Error(err)
			}
			_, got, _ := strings.Cut(string(out), "\nfile-system\t")
			got, _, _ = strings.Cut(got, "\n")
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
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

// TestAnArchitectureIsAWord: it is compared with the image's, and shown.
func TestAnArchitectureIsAWord(t *testing.T) {
	for machine, want := range map[string]string{"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64", "i686": "i686"} {
		f, err := parseFacts([]byte("facts\t1\narch\t" + machine + "\n" + wholeAnswer))
		if err != nil || f.Architecture != want {
			t.Errorf("%s: %+v, %v", machine, f, err)
		}
	}
	for _, machine := range []string{"x/../../f", "../f", "/f", "..", "a b", "x86_64;reboot", "$(reboot)", "-x", "X86", "a:b"} {
		if f, err := parseFacts([]byte("facts\t1\narch\t" + machine + "\n" + wholeAnswer)); err == nil {
			t.Errorf("%q was taken: %+v", machine, f)
		}
	}
}

func join[T fmt.Stringer](items []T) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = item.String()
	}
	return strings.Join(texts, ", ")
}
