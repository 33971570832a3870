package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/unit"
)

// answers is a host that answers commands from a function.
type answers struct {
	host   host.Host
	answer func(cmd host.Command) (stdout string, code int)
}

func (a *answers) Host() host.Host { return a.host }
func (a *answers) Close() error    { return nil }

func (a *answers) Run(ctx context.Context, cmd host.Command) error {
	stdout, code := a.answer(cmd)
	if code != 0 {
		return &host.ExitError{Host: a.host.String(), Name: cmd.Argv[0], Code: code, Stderr: "as the test wants it"}
	}
	if cmd.Stdout == nil {
		return ctx.Err()
	}
	_, err := io.WriteString(cmd.Stdout, stdout)
	return errors.Join(err, ctx.Err())
}

// isolatedHost is the phase on one host, which answers so to the question of its network.
func isolatedHost(t *testing.T, subnets, answer string, active bool) (*Adapt, *[]string) {
	t.Helper()
	var called []string
	h := host.Host{Address: netip.MustParseAddr("10.0.0.1"), Role: host.RoleMaster}
	m := &execute.Member{Host: h, Facts: &host.Facts{Hostname: "h1"}, IsNew: true, Absent: true}
	m.Conn = &answers{host: h, answer: func(cmd host.Command) (string, int) {
		if cmd.Argv[0] == "sh" && strings.Contains(cmd.Argv[2], "# Prints what the host is like") { // [host.Gather]
			return answer + "end\tfacts\n", 0
		}
		called = append(called, strings.Join(cmd.Argv, " "))
		if cmd.Argv[0] == "systemctl" && cmd.Argv[1] == "is-active" {
			return "", map[bool]int{true: 0, false: 3}[active]
		}
		return "", 1 // no file is there
	}}
	s := &execute.Session{Name: "default", DataRoot: execute.DefaultDataRoot, Report: report.New(io.Discard), DryRun: true, Members: []*execute.Member{m}}
	m.Dir, m.Image.Dir = s.Dir(), s.Dir()
	documents, err := kubeadm.Parse([]byte("apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworking: " + subnets + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return &Adapt{Session: s, Kubeadm: &documents}, &called
}

const (
	fourSubnets = "{podSubnet: 10.244.0.0/16, serviceSubnet: 10.96.0.0/16}"
	dualSubnets = "{podSubnet: '10.244.0.0/16,fd00:10::/56', serviceSubnet: '10.96.0.0/16,fd00:20::/112'}"
	eth0        = "facts\t1\nroutes\tknown\naddress\t10.0.0.1/24 eth0\naddress\tfd77::9/64 eth0 passing\naddress\tfd77::1/64 eth0\nresolv-conf\t/etc/resolv.conf\n"
	four        = "route\t4 default eth0\n"
	six         = "route\t6 default eth0\n"
	routes      = "routes\tknown\n" + four + six
)

func TestHostNetworkOfIsolatedHosts(t *testing.T) {
	const write, start = "write " + unit.Dir + RouteUnit, "start " + RouteUnit
	for _, tt := range []struct {
		name, subnets, answer string
		plan                  []string // beginnings
		nodeIP, resolv        string   // resolv: what the kubelet's file ends with
	}{
		{"usual", fourSubnets, eth0 + routes + "resolv\tnameserver 10.0.0.9\n", nil, "10.0.0.1", ""},
		{"usual, dual stack", dualSubnets, eth0 + routes + "resolv\tnameserver 10.0.0.9\n", nil, "10.0.0.1,fd77::1", ""},
		{"no default route", fourSubnets, eth0 + six + "resolv\tnameserver 10.0.0.9\n", []string{"write ", write, start}, "10.0.0.1", ""},
		{"no default route of IPv6, which is not used", fourSubnets, eth0 + four + "resolv\tnameserver 10.0.0.9\n", nil, "10.0.0.1", ""},
		{"no default route of the second family", dualSubnets, eth0 + four + "resolv\tnameserver 10.0.0.9\n", []string{"write ", write, start}, "10.0.0.1,fd77::1", ""},
		{"no nameserver", fourSubnets, eth0 + routes, []string{"write "}, "10.0.0.1", "or none.\nnameserver 10.0.0.1\n"},
		{"loopback only", fourSubnets, eth0 + routes + "resolv\tsearch a b\nresolv\tnameserver 127.0.0.53\n", []string{"write "}, "10.0.0.1", "search a b\nnameserver 10.0.0.1\n"},
		{"loopback, and one that pods can ask", fourSubnets, eth0 + routes + "resolv\tnameserver ::1\nresolv\tnameserver 10.0.0.9\n", []string{"write "}, "10.0.0.1", "\nnameserver 10.0.0.9\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, _ := isolatedHost(t, tt.subnets, tt.answer, false)
			if err := p.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			m := p.First()
			if got := m.Kubelet(*p.Kubeadm).NodeIP; got != tt.nodeIP {
				t.Errorf("node-ip %q, want %q", got, tt.nodeIP)
			}
			var plan []string
			for _, a := range p.Report.Changes() {
				plan = append(plan, a.What)
			}
			if len(plan) != len(tt.plan) || slices.ContainsFunc(tt.plan, func(want string) bool {
				return !slices.ContainsFunc(plan, func(what string) bool { return strings.HasPrefix(what, want) })
			}) {
				t.Errorf("plan %q, want %q", plan, tt.plan)
			}
			if (m.ResolvConf != "") != (tt.resolv != "") {
				t.Errorf("the kubelet's file is %q", m.ResolvConf)
			}
			if got := string(p.resolv(m)); tt.resolv != "" && !strings.HasSuffix(got, tt.resolv) {
				t.Errorf("%q, want %q at its end", got, tt.resolv)
			}
		})
	}
}

// Both families without a default route get a route each.
func TestRoutesOfBothFamilies(t *testing.T) {
	p, _ := isolatedHost(t, dualSubnets, eth0, false)
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := p.missingRoutes(p.First()), []string{"10.0.0.1", "10.96.0.0/16", "fd77::1", "fd00:20::/112"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A host that is in the cluster keeps its kubelet's file, and one whose documents name a file has that.
func TestNameserversThatAreDecided(t *testing.T) {
	for _, joined := range []bool{true, false} {
		p, _ := isolatedHost(t, fourSubnets, eth0+routes, false)
		p.First().Joined = joined
		if !joined {
			own, err := kubeadm.Parse([]byte("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nresolvConf: /own\n"))
			if err != nil {
				t.Fatal(err)
			}
			*p.Kubeadm = own.Over(*p.Kubeadm)
		}
		if err := p.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(p.Report.Changes()) > 0 || p.First().ResolvConf != "" {
			t.Errorf("joined %t: plan %v, file %q, want none", joined, p.Report.Changes(), p.First().ResolvConf)
		}
	}
}

// The machine that the program runs on may be reached by its loopback address, which is no node's.
func TestNoNodeIPOnLoopback(t *testing.T) {
	p, _ := isolatedHost(t, fourSubnets, eth0+routes, false)
	p.First().Host.Address = netip.MustParseAddr("127.0.0.1")
	if got := p.First().Kubelet(*p.Kubeadm); got != (kubeadm.Kubelet{}) {
		t.Errorf("got %v, want nothing", got)
	}
}

func TestHostNetworkThatIsNotUnderstood(t *testing.T) {
	p, _ := isolatedHost(t, fourSubnets, "who are you?", false)
	if err := p.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "10.0.0.1") {
		t.Errorf("got %v, want an error that names the host", err)
	}
}

// TestServiceRouteScript runs the script with an ip(8) that does so often what a host does whose network is not there yet.
func TestServiceRouteScript(t *testing.T) {
	for _, tt := range []struct {
		name, action   string
		without, early int // how often there is no address, and then how often the address cannot be used yet
		waited         int // seconds
		last, says     string
	}{
		{"the network is there", "replace", 0, 0, 0, "route replace 10.96.0.0/16 dev eth0 src 10.0.0.1 metric 4096", ""},
		{"the address comes late", "replace", 3, 0, 3, "route replace 10.96.0.0/16 dev eth0 src 10.0.0.1 metric 4096", ""},
		{"duplicates are looked for", "replace", 1, 2, 3, "route replace 10.96.0.0/16 dev eth0 src 10.0.0.1 metric 4096", ""},
		{"the address never comes", "replace", 100, 0, 60, "-o addr show to 10.0.0.1", "no interface has the address 10.0.0.1"},
		{"the address is never good", "replace", 0, 100, 60, "route replace 10.96.0.0/16 dev eth0 src 10.0.0.1 metric 4096", "Invalid argument"},
		{"a removal", "delete", 0, 0, 0, "route delete 10.96.0.0/16 dev eth0 metric 4096", ""},
		{"a removal without network", "delete", 100, 0, 0, "-o addr show to 10.0.0.1", ""},
		{"a removal of what is gone", "delete", 0, 100, 0, "route delete 10.96.0.0/16 dev eth0 metric 4096", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, script := range map[string]string{
				"ip": fmt.Sprintf(`echo "$*" >> called
case "$*" in
*show*) [ "$(grep -c show called)" -le %d ] || echo '2: eth0 inet 10.0.0.1/24 scope global eth0' ;;
*) [ "$(grep -c route called)" -gt %d ] || { echo 'RTNETLINK answers: Invalid argument' >&2; exit 2; } ;;
esac
`, tt.without, tt.early),
				"sleep": `echo "$*" >> slept
`,
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\ncd "+dir+"\n"+script), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-s", tt.action, "10.0.0.1", "10.96.0.0/16")
			cmd.Stdin, cmd.Env = bytes.NewReader(serviceRouteScript), []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
			out, err := cmd.CombinedOutput()
			if failed := err != nil; failed != (tt.says != "") || !strings.Contains(string(out), tt.says) {
				t.Errorf("it ends with %v and says %q, want %q", err, out, tt.says)
			}
			called, _ := os.ReadFile(filepath.Join(dir, "called"))
			if lines := strings.Split(strings.TrimSpace(string(called)), "\n"); lines[len(lines)-1] != tt.last {
				t.Errorf("the last call was %q, want %q", lines[len(lines)-1], tt.last)
			}
			slept, _ := os.ReadFile(filepath.Join(dir, "slept"))
			if got := strings.Count(string(slept), "1\n"); got != tt.waited {
				t.Errorf("it waited %d s, want %d", got, tt.waited)
			}
		})
	}
}

// TestChecksRecognizeTheServiceRoute by its unit and its metric.
func TestChecksRecognizeTheServiceRoute(t *testing.T) {
	if want := fmt.Sprintf(" metric %d\n", host.ServiceMetric); !strings.Contains(string(serviceRouteScript), want) {
		t.Errorf("the script does not set %q", want)
	}
	if RouteUnit != "kubefile-service-route.service" || !strings.Contains(routeUnitText, "ExecStart=/bin/sh %[1]s replace %[2]s\n") || RouteScript != "service-route.sh" {
		t.Error("facts.sh of package host looks for another unit")
	}
}
