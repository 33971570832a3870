package phase

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubelet"
)

// Lines of kubelets, as journalctl prints them.
const (
	apiIsDown = `E1130 08:00:01.000001    1234 kubelet_node_status.go:107] "Unable to register node with API server" err="Post \"https://apiserver.cluster.local:6443/api/v1/nodes\": dial tcp 10.0.0.1:6443: connect: connection refused" node="h1"
E1130 08:00:01.100001    1234 controller.go:145] "Failed to ensure lease exists, will retry" err="Get \"https://apiserver.cluster.local:6443/apis\": dial tcp 10.0.0.1:6443: connect: connection refused" interval="400ms"
E1130 08:00:01.200001    1234 kubelet.go:2997] "Container runtime network not ready" networkReady="NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"
E1130 08:00:01.300001    1234 eviction_manager.go:292] "Eviction manager: failed to get summary stats" err="failed to get node info: node \"h1\" not found"
`
	noSandbox = `I1130 08:00:00.000001    1234 server.go:1274] "Started kubelet"
E1130 08:00:02.000001    1234 log.go:32] "RunPodSandbox from runtime service failed" err="rpc error: code = Unknown desc = failed to start sandbox \"4be5c7d6e2f34be5c7d6e2f34be5c7d6\": failed to get sandbox image \"registry.k8s.io/pause:3.10.1\": failed to pull image \"registry.k8s.io/pause:3.10.1\": failed to do request: Head \"https://sea.hub:5000/v2/pause/manifests/3.10.1?ns=registry.k8s.io\": dial tcp 10.0.0.1:5000: connect: connection refused"
E1130 08:00:02.100001    1234 pod_workers.go:1324] "Error syncing pod, skipping" err="failed to \"CreatePodSandbox\" for \"etcd-h1_kube-system(0a1b2c3d4e5f60718293a4b5c6d7e8f9)\" with CreatePodSandboxError: \"Failed to create sandbox for pod \\\"etcd-h1_kube-system(0a1b2c3d4e5f60718293a4b5c6d7e8f9)\\\": rpc error: code = Unknown desc = failed to start sandbox \\\"77e5c7d6e2f34be5c7d6e2f34be5c7d6\\\": failed to get sandbox image \\\"registry.k8s.io/pause:3.10.1\\\": failed to pull image \\\"registry.k8s.io/pause:3.10.1\\\": failed to do request: Head \\\"https://sea.hub:5000/v2/pause/manifests/3.10.1?ns=registry.k8s.io\\\": dial tcp 10.0.0.1:5000: connect: connection refused\"" pod="kube-system/etcd-h1" podUID="0a1b2c3d4e5f60718293a4b5c6d7e8f9"
`
	noStart = `kubelet.service: Scheduled restart job, restart counter is at 7.
Started kubelet.service - kubelet: The Kubernetes Node Agent.
I1130 08:00:03.000001    1300 server.go:530] "Kubelet version" kubeletVersion="v1.35.0"
E1130 08:00:03.100001    1300 run.go:72] "command failed" err="failed to validate kubelet configuration, error: kubelet is configured to not run on a host using cgroup v1"
kubelet.service: Main process exited, code=exited, status=1/FAILURE
kubelet.service: Failed with result 'exit-code'.
`
)

// kubeadmFails has kubeadm fail on a host as it does when its kubelet is not well; the kubelet wrote a journal.
func kubeadmFails(f *machine, said, journal string) {
	f.answer = func(cmd host.Command, _ string) (string, int) {
		kubeadm := slices.ContainsFunc(cmd.Argv, func(arg string) bool { return strings.HasSuffix(arg, "/bin/kubeadm") })
		switch {
		case cmd.Argv[0] == "journalctl" && journal == "":
			return "No journal files were found.", 1
		case cmd.Argv[0] == "journalctl":
			return journal, 0
		case kubeadm && (slices.Contains(cmd.Argv, "init") || slices.Contains(cmd.Argv, "join")) && !slices.Contains(cmd.Argv, "phase"):
			return said, 1
		}
		return "", 0
	}
}

const (
	waited    = "error: error execution phase wait-control-plane: failed while waiting for the control plane to start: context deadline exceeded"
	refused   = "error: error execution phase preflight: [preflight] Some fatal errors occurred: Port-10250"
	journalOn = "For more, run on 10.0.0.1: journalctl -u kubelet -n 50"
)

// A kubeadm that waited for its kubelet in vain has the kubelet's reason in its error, and the command that shows more.
func TestKubeadmThatWaitsInVain(t *testing.T) {
	for _, tt := range []struct {
		name, said, journal string
		want                []string
		not                 string
	}{
		{name: "no sandboxes", said: waited, journal: apiIsDown + noSandbox, want: []string{waited, "The kubelet on 10.0.0.1 reports:\n", "failed to get sandbox image", journalOn}},
		{name: "no kubelet", said: waited, journal: noStart, want: []string{waited, "not run on a host using cgroup v1", journalOn}},
		{name: "no journal", said: waited, want: []string{waited, journalOn}, not: "reports"},
		{name: "a refusal before the kubelet", said: refused, journal: noStart, want: []string{refused}, not: "kubelet -n 50"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, _ := untouched(t, artifact(t), authority(t), 1, 0).again(t, 1<<40, func() {})
			kubeadmFails(p.machines[0], tt.said, tt.journal)
			err := p.perform(t.Context())
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
			if tt.not != "" && strings.Contains(err.Error(), tt.not) {
				t.Errorf("the error has %q:\n%v", tt.not, err)
			}
		})
	}
}

// A join that fails has the reason of its own host's kubelet, without the token that it joined with.
func TestJoinThatWaitsInVain(t *testing.T) {
	for _, role := range []string{"master", "node"} {
		t.Run(role, func(t *testing.T) {
			masters := map[string]int{"master": 2, "node": 1}[role]
			p, _ := untouched(t, artifact(t), authority(t), masters, 2-masters).again(t, 1<<40, func() {})
			token := ""
			kubeadmFails(p.machines[1], waited, noSandbox)
			fails := p.machines[1].answer
			p.machines[1].answer = func(cmd host.Command, stdin string) (string, int) {
				if _, rest, found := strings.Cut(stdin, "token: "); found {
					token, _, _ = strings.Cut(rest, "\n")
				}
				out, code := fails(cmd, stdin)
				if cmd.Argv[0] == "journalctl" {
					out += "E1130 08:00:09.1 1 a.go:1] bootstrap with " + token + " refused\n"
				}
				return out, code
			}
			err := p.perform(t.Context())
			var reported *kubelet.Error
			if !errors.As(err, &reported) || reported.Host != "10.0.0.2" || len(reported.Reasons) != 2 {
				t.Fatalf("got %v", err)
			}
			for _, want := range []string{waited, "The kubelet on 10.0.0.2 reports:", "failed to get sandbox image", "bootstrap with (secret) refused"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
			if token == "" || strings.Contains(err.Error(), token) {
				t.Errorf("the token %q is in the error, or there was none:\n%v", token, err)
			}
		})
	}
}

// A run that was interrupted asks nothing more.
func TestInterruptedKubeadmAsksNoKubelet(t *testing.T) {
	p := newPark(t, 1, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	failed := errors.New("failed")
	if err := kubelet.WithReasons(ctx, p.First(), 0, failed); err != failed || len(p.machines[0].argvs) > 0 {
		t.Errorf("got %v, asked %q", err, p.machines[0].argvs)
	}
}
