package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubefile/kubefile/runner/agent/client"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/health/healthtest"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/report"
)

const podNetwork = "kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1beta4\nnetworking: {podSubnet: 10.244.0.0/16}\n"

// problemCase is a cluster, and what a check finds wrong in it.
type problemCase struct {
	name    string
	sick    healthtest.Cluster
	kubeadm string
	whole   bool
	want    []string // each in a problem of its own; nothing: it works
	certain bool
}

func testProblems(t *testing.T, cases []problemCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			s := masterAndNode(func(cmd host.Command, h host.Host) (string, int) {
				out, code := test.sick.Answer(cmd, h.String())
				return healthtest.Formatted(t, cmd.Argv, out), code
			})
			if test.kubeadm == "" {
				test.kubeadm = podNetwork
			}
			docs, err := kubeadm.Parse([]byte(test.kubeadm))
			if err != nil {
				t.Fatal(err)
			}
			problems, err := problems(t.Context(), s, docs, test.whole)
			if err != nil {
				t.Fatal(err)
			}
			certain := slices.ContainsFunc(problems, func(p Problem) bool { return p.certain })
			if len(problems) != len(test.want) || certain != test.certain {
				t.Fatalf("%d problems, certain %v, want %d and %v: %+v", len(problems), certain, len(test.want), test.certain, problems)
			}
			for i, want := range test.want {
				if !strings.Contains(problems[i].Text, want) {
					t.Errorf("problem %q, want %q", problems[i].Text, want)
				}
			}
		})
	}
}

func TestNoProblems(t *testing.T) {
	testProblems(t, []problemCase{
		{name: "all is well", sick: healthtest.Healthy()},
		{name: "no pod address is judged without a pod network", kubeadm: "kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1beta4\n", sick: healthtest.Healthy(func(s *healthtest.Cluster) {
			s.Pod("coredns-1", "10.88.0.2", "True", "")
		})},
		{name: "a network plugin with addresses of its own", sick: healthtest.Healthy(func(s *healthtest.Cluster) { s.Pod("coredns-1", "10.0.9.9", "True", "") })},
		{name: "one pod of the DNS is enough", sick: healthtest.Healthy(func(s *healthtest.Cluster) { s.Pod("coredns-2", "", "False", "ContainerCreating") })},
		{name: "a pod of a host that is not of this run", sick: healthtest.Healthy(func(s *healthtest.Cluster) {
			s.Nodes["other"] = false
			s.Pods = append(s.Pods, healthtest.PodRow("kube-system", "kube-proxy-3", "other", "", "kube-proxy", "", "False", ""))
		})},
		{name: "no DNS is wanted", kubeadm: podNetwork + "---\nkind: InitConfiguration\napiVersion: kubeadm.k8s.io/v1beta4\nskipPhases: [addon/coredns]\n", sick: healthtest.Healthy()},
	})
}

func TestProblemsOfNodesAndPods(t *testing.T) {
	testProblems(t, []problemCase{
		{name: "a node that is missing, and one that is not ready", sick: healthtest.Healthy(func(s *healthtest.Cluster) { s.Nodes = map[string]bool{"h1": false} }),
			want: []string{"node h1 is not ready", "node h2 is not in the cluster"}},
		{name: "no network plugin", sick: healthtest.Healthy(func(s *healthtest.Cluster) {
			s.Nodes["h2"] = false
			s.Sets = s.Sets[:1]
			s.Host("10.0.0.2", func(f *wire.Probed) { f.Networks = nil })
		}), want: []string{"node h2 is not ready", "no network plugin"}},
		{name: "kube-proxy crashes", sick: healthtest.Healthy(func(s *healthtest.Cluster) {
			s.Pod("kube-proxy-2", "10.0.0.2", "False", "CrashLoopBackOff")
			s.Detail = "open /proc/sys/net/netfilter/nf_conntrack_max: permission denied"
			s.Host("10.0.0.2", func(f *wire.Probed) { f.Service = "no answer" })
		}), want: []string{"pod kube-proxy-2 (Running) on h2: CrashLoopBackOff: open /proc/sys/net/netfilter/nf_conntrack_max: permission denied", "10.0.0.2 does not reach the API at its service address 10.96.0.1:443: no answer"}},
		{name: "an image that is missing", sick: healthtest.Healthy(func(s *healthtest.Cluster) {
			s.Pod("flannel-2", "10.0.0.2", "False", "ImagePullBackOff")
		}), want: []string{"pod flannel-2 (Running) on h2: ImagePullBackOff. Its image could not be pulled: sealer-run status --missed"}},
		{name: "a host that is not of this run, in a check of all", whole: true, sick: healthtest.Healthy(func(s *healthtest.Cluster) {
			s.Nodes["other"] = false
			s.Pods = append(s.Pods, healthtest.PodRow("kube-system", "kube-proxy-3", "other", "", "kube-proxy", "", "False", ""))
		}), want: []string{"node other is not ready", "pod job (Pending) on h2", "pod kube-proxy-3 (Pending) on other"}},
	})
}

func TestProblemsOfNameservers(t *testing.T) {
	crashing := func(s *healthtest.Cluster) {
		s.Pod("coredns-1", "10.244.0.2", "False", "CrashLoopBackOff")
		s.Pod("coredns-2", "10.244.0.3", "False", "CrashLoopBackOff")
	}
	testProblems(t, []problemCase{
		{name: "no nameserver", certain: true, sick: healthtest.Healthy(crashing, func(s *healthtest.Cluster) {
			s.Detail = "plugin/forward: no nameservers found\n"
			s.Host("10.0.0.1", func(f *wire.Probed) { f.Nameservers = nil })
			s.Host("10.0.0.2", func(f *wire.Probed) { f.Lookup = "no answer" })
		}), want: []string{
			"pod coredns-1 (Running) on h1: CrashLoopBackOff: plugin/forward: no nameservers found. /etc/resolv.conf of 10.0.0.1 has no nameserver", "coredns-2",
			"DNS: 10.96.0.10 does not resolve kubernetes.default.svc.cluster.local on 10.0.0.2: no answer",
		}},
		{name: "a nameserver on loopback", certain: true, sick: healthtest.Healthy(crashing, func(s *healthtest.Cluster) {
			s.Detail = "[FATAL] plugin/loop"
			s.Host("10.0.0.1", func(f *wire.Probed) { f.Nameservers = []string{"127.0.0.53"} })
		}), want: []string{"in /etc/resolv.conf of 10.0.0.1 is a loopback address", "coredns-2"}},
		{name: "no resolv.conf", certain: true, sick: healthtest.Healthy(func(s *healthtest.Cluster) {
			s.Pod("kube-proxy-2", "", "False", "ContainerCreating")
			s.Detail = "Failed to create pod sandbox: open /etc/resolv.conf: no such file or directory"
		}), want: []string{"pod kube-proxy-2 (Pending) on h2: ContainerCreating: Failed to create pod sandbox: open /etc/resolv.conf: no such file or directory. The kubelet starts no pod on 10.0.0.2"}},
	})
}

func TestProblemsOfNetworks(t *testing.T) {
	testProblems(t, []problemCase{
		{name: "no default route", certain: true, sick: healthtest.Healthy(func(s *healthtest.Cluster) {
			s.Host("10.0.0.2", func(f *wire.Probed) {
				f.Service, f.NoRoute, f.NoDefaultRoute, f.Lookup = "network is unreachable", true, true, "network is unreachable"
			})
		}), want: []string{"10.0.0.2 does not reach the API at its service address 10.96.0.1:443: network is unreachable. It has no default route: add one", "on 10.0.0.2: network is unreachable"}},
		{name: "a network plugin without a default route", certain: true, sick: healthtest.Healthy(func(s *healthtest.Cluster) {
			s.Pod("flannel-2", "10.0.0.2", "False", "CrashLoopBackOff")
			s.Host("10.0.0.2", func(f *wire.Probed) { f.NoDefaultRoute = true })
		}), want: []string{"pod flannel-2 (Running) on h2: CrashLoopBackOff. 10.0.0.2 has no default route: add one"}},
		{name: "a foreign network", certain: true, sick: healthtest.Healthy(func(s *healthtest.Cluster) {
			s.Pod("coredns-1", "10.88.0.2", "True", "")
			s.Host("10.0.0.1", func(f *wire.Probed) {
				f.Networks = append(f.Networks, wire.Network{File: "/etc/cni/net.d/87-podman.conflist", Prefixes: []string{"10.88.0.0/16"}})
			})
		}), want: []string{"pod coredns-1 on 10.0.0.1 has the address 10.88.0.2, which is not of the pod network 10.244.0.0/16 but of /etc/cni/net.d/87-podman.conflist"}},
		{name: "a closed port of the network plugin", sick: healthtest.Healthy(func(s *healthtest.Cluster) {
			s.Host("10.0.0.2", func(f *wire.Probed) { f.Lookup = "no answer" })
		}), want: []string{"does not resolve kubernetes.default.svc.cluster.local on 10.0.0.2: no answer. It runs on h1 and other hosts reach it: check that no firewall"}},
		{name: "a closed port of the API", sick: healthtest.Healthy(func(s *healthtest.Cluster) {
			s.Host("10.0.0.2", func(f *wire.Probed) { f.Service = "no answer" })
		}), want: []string{"no answer. Check that no firewall closes port 6443 of the masters"}},
	})
}

// Without an answer a check never says yes, and a host that does not answer does not hide what is wrong with others.
func TestCheckWithoutAnswers(t *testing.T) {
	silent := masterAndNode(func(host.Command, host.Host) (string, int) { return "", 0 })
	if err := Works(t.Context(), silent, nil, time.Nanosecond, false); err == nil || !strings.Contains(err.Error(), "the cluster does not answer") {
		t.Errorf("without an answer: %v", err)
	}
	state := healthtest.Healthy(func(s *healthtest.Cluster) { s.Nodes["h1"] = false })
	s := masterAndNode(func(cmd host.Command, h host.Host) (string, int) {
		if slices.Contains(cmd.Argv, "probe") && h.Role == host.RoleNode {
			return "the disk hangs", 1
		}
		out, code := state.Answer(cmd, h.String())
		return healthtest.Formatted(t, cmd.Argv, out), code
	})
	problems, err := problems(t.Context(), s, nil, false)
	if err != nil || len(problems) != 2 || !strings.Contains(problems[0].Text, "node h1") || !strings.Contains(problems[1].Text, "10.0.0.2: ") {
		t.Errorf("problems %+v, %v", problems, err)
	}
	if _, err := s.Kube().Rows(t.Context(), 4, "get", "pods", "--namespace", "kube-system"); !errors.Is(err, kube.ErrUnexpected) {
		t.Errorf("rows of another form give %v", err)
	}
}

// talking is a host that answers commands from a function.
type talking struct {
	host   host.Host
	answer func(host.Command, host.Host) (stdout string, code int)
}

func (c *talking) Host() host.Host { return c.host }
func (c *talking) Close() error    { return nil }

func (c *talking) Run(ctx context.Context, cmd host.Command) error {
	stdout, code := c.answer(cmd, c.host)
	if code != 0 {
		return &host.ExitError{Host: c.host.String(), Name: cmd.Argv[0], Code: code, Stderr: stdout}
	}
	if cmd.Stdout == nil {
		return context.Cause(ctx)
	}
	_, err := io.WriteString(cmd.Stdout, stdout)
	return errors.Join(err, context.Cause(ctx))
}

// masterAndNode is a session with h1, a master at 10.0.0.1, and h2, a node at 10.0.0.2.
func masterAndNode(answer func(host.Command, host.Host) (string, int)) *execute.Session {
	s := &execute.Session{Name: "default", DataRoot: "/data", Report: report.New(io.Discard)}
	for i, role := range []host.Role{host.RoleMaster, host.RoleNode} {
		h := host.Host{Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), Role: role}
		s.Members = append(s.Members, &execute.Member{
			Client: client.Client{Conn: &talking{h, answer}, Dir: s.Dir()}, Host: h, Name: fmt.Sprintf("h%d", i+1), Index: i, Joined: true, Facts: &host.Facts{},
		})
	}
	return s
}

func TestNotReady(t *testing.T) {
	s := masterAndNode(func(cmd host.Command, _ host.Host) (string, int) {
		return healthtest.Formatted(t, cmd.Argv, `{"items":[
			{"metadata":{"name":"h1"},"status":{"conditions":[{"type":"MemoryPressure","status":"False"},{"type":"Ready","status":"True"}]}},
			{"metadata":{"name":"h2"},"spec":{"unschedulable":true},"status":{"conditions":[{"type":"Ready","status":"True"}]}},
			{"metadata":{"name":"h3"},"status":{"conditions":[{"type":"Ready","status":"Unknown"}]}}]}`), 0
	})
	for _, name := range []string{"h3", "h4"} {
		s.Members = append(s.Members, &execute.Member{Name: name})
	}
	nodes, err := s.Kube().Nodes(t.Context())
	d := diagnosis{Session: s, nodes: nodes}
	var got []string
	for _, p := range d.unreadyNodes() {
		got = append(got, p.Text[:len("node h3 is not")])
	}
	if err != nil || strings.Join(got, ", ") != "node h3 is not, node h4 is not" {
		t.Errorf("waits for %v, %v", got, err)
	}
}

// A large cluster is not asked every second for minutes; and not so seldom that a crash is taken for two.
func TestWaitingAsksLessOften(t *testing.T) {
	interval, all, times := FirstInterval, time.Duration(0), 0
	for ; all < 5*time.Minute; times++ {
		next := Longer(interval)
		if next < interval || next > lastInterval {
			t.Fatalf("%s follows %s", next, interval)
		}
		all, interval = all+interval, next
	}
	if interval != lastInterval || times > 80 || lastInterval >= certainGap {
		t.Errorf("%d questions, at last every %s", times, interval)
	}
}
