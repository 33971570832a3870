package phase

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubefile/kubefile/runner/agent"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/kubeadm"
)

// sick is a park whose cluster has this to say of itself.
type sick struct {
	nodes  map[string]bool
	sets   []string // namespace, name, paths
	pods   []string // rows of podsQuery
	detail string   // of the log, or the last event
	probed map[string]agent.Probed
	dns    string // service of the DNS
}

func (s sick) answer(cmd host.Command, address string) (string, int) {
	argv := strings.Join(cmd.Argv, " ")
	switch {
	case slices.Contains(cmd.Argv, "nodes"):
		var items []string
		for name, ready := range s.nodes {
			status := map[bool]string{true: "True", false: "False"}[ready]
			items = append(items, fmt.Sprintf(`{"metadata":{"name":%q},"status":{"conditions":[{"type":"Ready","status":%q}]}}`, name, status))
		}
		return `{"items":[` + strings.Join(items, ",") + `]}`, 0
	case strings.Contains(argv, "get daemonsets"):
		return strings.Join(s.sets, ""), 0
	case strings.Contains(argv, "get pods"):
		namespace := cmd.Argv[slices.Index(cmd.Argv, "--namespace")+1]
		rows := slices.DeleteFunc(slices.Clone(s.pods), func(row string) bool { return !strings.HasPrefix(row, namespace+"\t") })
		return strings.Join(rows, ""), 0
	case slices.Contains(cmd.Argv, "service"):
		return s.dns, 0
	case slices.Contains(cmd.Argv, "events"), slices.Contains(cmd.Argv, "logs"):
		return s.detail, 0
	case slices.Contains(cmd.Argv, "probe"):
		encoded, err := json.Marshal(s.probed[address])
		if err != nil {
			panic(err)
		}
		return string(encoded), 0
	}
	return "", 0
}

// pod is a row of podsQuery.
func podRow(namespace, name, node, address, set, app, ready, waiting string) string {
	phase := map[bool]string{true: "Running", false: "Pending"}[address != ""]
	return strings.Join([]string{namespace, name, node, phase, address, set, app, ready, waiting}, "\t") + "\n"
}

// healthy is a cluster of a master and a node in which all is well, after changes.
func healthy(changes ...func(*sick)) sick {
	s := sick{
		nodes: map[string]bool{"h1": true, "h2": true},
		sets:  []string{"kube-system\tkube-proxy\t/run/xtables.lock /lib/modules\n", "kube-flannel\tkube-flannel-ds\t/run/flannel /opt/cni/bin /etc/cni/net.d\n"},
		pods: []string{
			podRow("kube-system", "coredns-1", "h1", "10.244.0.2", "", "kube-dns", "True", " "),
			podRow("kube-system", "coredns-2", "h1", "10.244.0.3", "", "kube-dns", "True", " "),
			podRow("kube-system", "kube-proxy-1", "h1", "10.0.0.1", "kube-proxy", "kube-proxy", "True", " "),
			podRow("kube-system", "kube-proxy-2", "h2", "10.0.0.2", "kube-proxy", "kube-proxy", "True", " "),
			podRow("kube-flannel", "flannel-1", "h1", "10.0.0.1", "kube-flannel-ds", "", "True", " "),
			podRow("kube-flannel", "flannel-2", "h2", "10.0.0.2", "kube-flannel-ds", "", "True", " "),
			podRow("kube-system", "job", "h2", "", "", "", "False", " "),
		},
		probed: map[string]agent.Probed{},
	}
	for _, address := range []string{"10.0.0.1", "10.0.0.2"} {
		s.probed[address] = agent.Probed{ResolvConf: "/etc/resolv.conf", Nameservers: []string{"10.77.0.1"},
			Networks: []agent.Network{{File: "/etc/cni/net.d/10-flannel.conflist"}}}
	}
	for _, change := range changes {
		change(&s)
	}
	return s
}

// pod replaces a pod's row.
func (s *sick) pod(name, address, ready, waiting string) {
	for i, row := range s.pods {
		if f := strings.Split(strings.TrimSuffix(row, "\n"), "\t"); f[1] == name {
			s.pods[i] = podRow(f[0], f[1], f[2], address, f[5], f[6], ready, waiting)
		}
	}
}

// host changes what a host finds.
func (s *sick) host(address string, change func(*agent.Probed)) {
	found := s.probed[address]
	change(&found)
	s.probed[address] = found
}

const podNetwork = "kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1beta4\nnetworking: {podSubnet: 10.244.0.0/16}\n"

// problemCase is a cluster, and what a check finds wrong in it.
type problemCase struct {
	name    string
	sick    sick
	kubeadm string
	whole   bool
	want    []string // each in a problem of its own; nothing: it works
	certain bool
}

func testProblems(t *testing.T, cases []problemCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			p := newPark(t, 1, 1).joined(2)
			for _, f := range p.machines {
				f.answer = func(cmd host.Command, _ string) (string, int) { return test.sick.answer(cmd, f.host.String()) }
			}
			if test.kubeadm == "" {
				test.kubeadm = podNetwork
			}
			var err error
			if p.kubeadm, err = kubeadm.Parse([]byte(test.kubeadm)); err != nil {
				t.Fatal(err)
			}
			problems, err := p.problems(t.Context(), test.whole)
			if err != nil {
				t.Fatal(err)
			}
			certain := slices.ContainsFunc(problems, func(p problem) bool { return p.certain })
			if len(problems) != len(test.want) || certain != test.certain {
				t.Fatalf("%d problems, certain %v, want %d and %v: %+v", len(problems), certain, len(test.want), test.certain, problems)
			}
			for i, want := range test.want {
				if !strings.Contains(problems[i].text, want) {
					t.Errorf("problem %q, want %q", problems[i].text, want)
				}
			}
		})
	}
}

func TestNoProblems(t *testing.T) {
	testProblems(t, []problemCase{
		{name: "all is well", sick: healthy()},
		{name: "no pod address is judged without a pod network", kubeadm: "kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1beta4\n", sick: healthy(func(s *sick) {
			s.pod("coredns-1", "10.88.0.2", "True", "")
		})},
		{name: "a network plugin with addresses of its own", sick: healthy(func(s *sick) { s.pod("coredns-1", "10.0.9.9", "True", "") })},
		{name: "one pod of the DNS is enough", sick: healthy(func(s *sick) { s.pod("coredns-2", "", "False", "ContainerCreating") })},
		{name: "a pod of a host that is not of this run", sick: healthy(func(s *sick) {
			s.nodes["other"] = false
			s.pods = append(s.pods, podRow("kube-system", "kube-proxy-3", "other", "", "kube-proxy", "", "False", ""))
		})},
		{name: "no DNS is wanted", kubeadm: podNetwork + "---\nkind: InitConfiguration\napiVersion: kubeadm.k8s.io/v1beta4\nskipPhases: [addon/coredns]\n", sick: healthy()},
	})
}

func TestProblemsOfNodesAndPods(t *testing.T) {
	testProblems(t, []problemCase{
		{name: "a node that is missing, and one that is not ready", sick: healthy(func(s *sick) { s.nodes = map[string]bool{"h1": false} }),
			want: []string{"node h1 is not ready", "node h2 is not in the cluster"}},
		{name: "no network plugin", sick: healthy(func(s *sick) {
			s.nodes["h2"] = false
			s.sets = s.sets[:1]
			s.host("10.0.0.2", func(f *agent.Probed) { f.Networks = nil })
		}), want: []string{"node h2 is not ready", "no network plugin"}},
		{name: "kube-proxy crashes", sick: healthy(func(s *sick) {
			s.pod("kube-proxy-2", "10.0.0.2", "False", "CrashLoopBackOff")
			s.detail = "open /proc/sys/net/netfilter/nf_conntrack_max: permission denied"
			s.host("10.0.0.2", func(f *agent.Probed) { f.Service = "no answer" })
		}), want: []string{"pod kube-proxy-2 (Running) on h2: CrashLoopBackOff: open /proc/sys/net/netfilter/nf_conntrack_max: permission denied", "10.0.0.2 does not reach the API at its service address 10.96.0.1:443: no answer"}},
		{name: "an image that is missing", sick: healthy(func(s *sick) {
			s.pod("flannel-2", "10.0.0.2", "False", "ImagePullBackOff")
		}), want: []string{"pod flannel-2 (Running) on h2: ImagePullBackOff. Its image could not be pulled: sealer-run status --missed"}},
		{name: "a host that is not of this run, in a check of all", whole: true, sick: healthy(func(s *sick) {
			s.nodes["other"] = false
			s.pods = append(s.pods, podRow("kube-system", "kube-proxy-3", "other", "", "kube-proxy", "", "False", ""))
		}), want: []string{"node other is not ready", "pod job (Pending) on h2", "pod kube-proxy-3 (Pending) on other"}},
	})
}

func TestProblemsOfNameservers(t *testing.T) {
	crashing := func(s *sick) {
		s.pod("coredns-1", "10.244.0.2", "False", "CrashLoopBackOff")
		s.pod("coredns-2", "10.244.0.3", "False", "CrashLoopBackOff")
	}
	testProblems(t, []problemCase{
		{name: "no nameserver", certain: true, sick: healthy(crashing, func(s *sick) {
			s.detail = "plugin/forward: no nameservers found\n"
			s.host("10.0.0.1", func(f *agent.Probed) { f.Nameservers = nil })
			s.host("10.0.0.2", func(f *agent.Probed) { f.Lookup = "no answer" })
		}), want: []string{
			"pod coredns-1 (Running) on h1: CrashLoopBackOff: plugin/forward: no nameservers found. /etc/resolv.conf of 10.0.0.1 has no nameserver", "coredns-2",
			"DNS: 10.96.0.10 does not resolve kubernetes.default.svc.cluster.local on 10.0.0.2: no answer",
		}},
		{name: "a nameserver on loopback", certain: true, sick: healthy(crashing, func(s *sick) {
			s.detail = "[FATAL] plugin/loop"
			s.host("10.0.0.1", func(f *agent.Probed) { f.Nameservers = []string{"127.0.0.53"} })
		}), want: []string{"in /etc/resolv.conf of 10.0.0.1 is a loopback address", "coredns-2"}},
		{name: "no resolv.conf", certain: true, sick: healthy(func(s *sick) {
			s.pod("kube-proxy-2", "", "False", "ContainerCreating")
			s.detail = "Failed to create pod sandbox: open /etc/resolv.conf: no such file or directory"
		}), want: []string{"pod kube-proxy-2 (Pending) on h2: ContainerCreating: Failed to create pod sandbox: open /etc/resolv.conf: no such file or directory. The kubelet starts no pod on 10.0.0.2"}},
	})
}

func TestProblemsOfNetworks(t *testing.T) {
	testProblems(t, []problemCase{
		{name: "no default route", certain: true, sick: healthy(func(s *sick) {
			s.host("10.0.0.2", func(f *agent.Probed) {
				f.Service, f.NoRoute, f.NoDefaultRoute, f.Lookup = "network is unreachable", true, true, "network is unreachable"
			})
		}), want: []string{"10.0.0.2 does not reach the API at its service address 10.96.0.1:443: network is unreachable. It has no default route: add one", "on 10.0.0.2: network is unreachable"}},
		{name: "a network plugin without a default route", certain: true, sick: healthy(func(s *sick) {
			s.pod("flannel-2", "10.0.0.2", "False", "CrashLoopBackOff")
			s.host("10.0.0.2", func(f *agent.Probed) { f.NoDefaultRoute = true })
		}), want: []string{"pod flannel-2 (Running) on h2: CrashLoopBackOff. 10.0.0.2 has no default route: add one"}},
		{name: "a foreign network", certain: true, sick: healthy(func(s *sick) {
			s.pod("coredns-1", "10.88.0.2", "True", "")
			s.host("10.0.0.1", func(f *agent.Probed) {
				f.Networks = append(f.Networks, agent.Network{File: "/etc/cni/net.d/87-podman.conflist", Prefixes: []string{"10.88.0.0/16"}})
			})
		}), want: []string{"pod coredns-1 on 10.0.0.1 has the address 10.88.0.2, which is not of the pod network 10.244.0.0/16 but of /etc/cni/net.d/87-podman.conflist"}},
		{name: "a closed port of the network plugin", sick: healthy(func(s *sick) {
			s.host("10.0.0.2", func(f *agent.Probed) { f.Lookup = "no answer" })
		}), want: []string{"does not resolve kubernetes.default.svc.cluster.local on 10.0.0.2: no answer. It runs on h1 and other hosts reach it: check that no firewall"}},
		{name: "a closed port of the API", sick: healthy(func(s *sick) {
			s.host("10.0.0.2", func(f *agent.Probed) { f.Service = "no answer" })
		}), want: []string{"no answer. Check that no firewall closes port 6443 of the masters"}},
	})
}

// Without an answer a check never says yes, and a host that does not answer does not hide what is wrong with others.
func TestCheckWithoutAnswers(t *testing.T) {
	p := newPark(t, 1, 1).joined(2)
	if err := p.works(t.Context(), time.Nanosecond, false); err == nil || !strings.Contains(err.Error(), "the cluster does not answer") {
		t.Errorf("without an answer: %v", err)
	}
	state := healthy(func(s *sick) { s.nodes["h1"] = false })
	for _, f := range p.machines {
		f.answer = func(cmd host.Command, _ string) (string, int) {
			if slices.Contains(cmd.Argv, "probe") && f.host.Role == host.RoleNode {
				return "the disk hangs", 1
			}
			return state.answer(cmd, f.host.String())
		}
	}
	problems, err := p.problems(t.Context(), false)
	if err != nil || len(problems) != 2 || !strings.Contains(problems[0].text, "node h1") || !strings.Contains(problems[1].text, "10.0.0.2: ") {
		t.Errorf("problems %+v, %v", problems, err)
	}
	if _, err := p.Kube().Rows(t.Context(), 4, "get", "pods", "--namespace", "kube-system"); !errors.Is(err, kube.ErrUnexpected) {
		t.Errorf("rows of another form give %v", err)
	}
}
