package kubelet

import (
	"slices"
	"strings"
	"testing"
	"unicode"
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
	noRuntime = `E1130 08:21:40.100001    9600 eviction_manager.go:267] "eviction manager: failed to check if we have separate container filesystem. Ignoring." err="no imagefs label for configured runtime"
E1130 08:21:40.200001    9600 container_manager_linux.go:557] "Failed to ensure process in container with oom score" err="failed to apply oom score -999 to PID 9600: write /proc/9600/oom_score_adj: permission denied"
E1130 08:24:42.300001    9600 certificate_manager.go:461] "Reached backoff limit, still unable to rotate certs" err="timed out waiting for the condition" logger="kubernetes.io/kube-apiserver-client-kubelet.UnhandledError"
E1130 08:29:11.970378    9600 pod_workers.go:1324] "Error syncing pod, skipping" err="failed to \"CreatePodSandbox\" for \"etcd-h1_kube-system(55a0eba13a9271247aa86fdfb8428bdd)\" with CreatePodSandboxError: \"Failed to create sandbox for pod \\\"etcd-h1_kube-system(55a0eba13a9271247aa86fdfb8428bdd)\\\": rpc error: code = Unknown desc = failed to start sandbox \\\"e7bd84958d469422d9089c04e9decf32720501077f2d8587722bb446af09b15a\\\": failed to create containerd task: failed to create shim task: OCI runtime create failed: unable to retrieve OCI runtime error (open /run/containerd/io.containerd.runtime.v2.task/k8s.io/e7bd84958d469422d9089c04e9decf32720501077f2d8587722bb446af09b15a/log.json: no such file or directory): fork/exec /usr/local/bin/runc: no such file or directory\"" pod="kube-system/etcd-h1" podUID="55a0eba13a9271247aa86fdfb8428bdd"
`
	noStart = `kubelet.service: Scheduled restart job, restart counter is at 7.
Started kubelet.service - kubelet: The Kubernetes Node Agent.
I1130 08:00:03.000001    1300 server.go:530] "Kubelet version" kubeletVersion="v1.35.0"
E1130 08:00:03.100001    1300 run.go:72] "command failed" err="failed to validate kubelet configuration, error: kubelet is configured to not run on a host using cgroup v1"
kubelet.service: Main process exited, code=exited, status=1/FAILURE
kubelet.service: Failed with result 'exit-code'.
`
)

func TestKubeletReasons(t *testing.T) {
	for _, tt := range []struct {
		name, journal string
		secrets       []string
		want          []string
	}{
		{name: "no sandboxes", journal: apiIsDown + noSandbox + apiIsDown, want: []string{
			`Error syncing pod, skipping: failed to start sandbox "77e5c7d6e2f34be5c7d6e2f34be5c7d6": failed to get sandbox image "registry.k8s.io/pause:3.10.1": ` +
				`failed to pull image "registry.k8s.io/pause:3.10.1": failed to do request: Head "https://sea.hub:5000/v2/pause/manifests/3.10.1?ns=registry.k8s.io": ` +
				`dial tcp 10.0.0.1:5000: connect: connection refused"" pod="kube-system/etcd-h1"`,
		}},
		{name: "no runtime", journal: apiIsDown + noRuntime + apiIsDown, want: []string{
			`Error syncing pod, skipping: failed to start sandbox "e7bd84958d469422d9089c04e9decf32720501077f2d8587722bb446af09b15a": failed to create containerd task: ` +
				`failed to create shim task: OCI runtime create failed: unable to retrieve  … .task/k8s.io/e7bd84958d469422d9089c04e9decf32720501077f2d8587722bb446af09b15a/log.json: no such file or directory): ` +
				`fork/exec /usr/local/bin/runc: no such file or directory"" pod="kube-system/etcd-h1"`,
		}},
		{name: "a kubelet that does not start", journal: noStart + noStart, want: []string{
			`"command failed" err="failed to validate kubelet configuration, error: kubelet is configured to not run on a host using cgroup v1"`,
		}},
		{name: "a kubelet that is not there", journal: "Started kubelet.service.\nkubelet.service: Failed to locate executable /usr/bin/kubelet: No such file or directory\n" +
			"kubelet.service: Main process exited, code=exited, status=203/EXEC\n", want: []string{
			"kubelet.service: Failed to locate executable /usr/bin/kubelet: No such file or directory",
		}},
		{name: "a kubelet that was killed", journal: "Started kubelet.service.\nkubelet.service: Main process exited, code=killed, status=9/KILL\nkubelet.service: Failed with result 'signal'.\n",
			want: []string{"kubelet.service: Main process exited, code=killed, status=9/KILL", "kubelet.service: Failed with result 'signal'."}},
		{name: "only that there is no API", journal: apiIsDown, want: []string{
			`"Unable to register node with API server" err="Post "https://apiserver.cluster.local:6443/api/v1/nodes": dial tcp 10.0.0.1:6443: connect: connection refused" node="h1"`,
			`"Failed to ensure lease exists, will retry" err="Get "https://apiserver.cluster.local:6443/apis": dial tcp 10.0.0.1:6443: connect: connection refused" interval="400ms"`,
			`"Container runtime network not ready" networkReady="NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"`,
			`"Eviction manager: failed to get summary stats" err="failed to get node info: node "h1" not found"`,
		}},
		{name: "no error", journal: "I1130 08:00:00.000001    1234 server.go:1274] \"Started kubelet\"\nW1130 08:00:00.000001 1 x.go:1] warned\n", want: []string{`"Started kubelet"`, "warned"}},
		{name: "nothing", journal: "\n \n"},
		{name: "controls", journal: "E1130 08:00:03.1 1 a.go:1] \x1b]0;title\x07bad\x9b31m \xff news\r\n", want: []string{"]0;titlebad31m  news"}},
		{name: "secrets", secrets: []string{"", "0123456789abcdef0123"}, journal: `E1130 08:00:03.1 1 a.go:1] one abcdef.0123456789abcdef of 0123456789abcdef0123
E1130 08:00:03.1 1 a.go:1] two https://user:hunter2@mirror/v2
E1130 08:00:03.1 1 a.go:1] three Authorization: Basic dXNlcjpodW50ZXIy
E1130 08:00:03.1 1 a.go:1] four password="hunter2" token=hunter2, "client_secret":"hunter2"
`, want: []string{
			"one (secret) of (secret)", "two https://(secret)@mirror/v2", "three Authorization: (secret)", `four password=(secret) token=(secret), "client_secret":(secret)`,
		}},
		{name: "long", journal: `E1130 08:00:03.1 1 a.go:1] "` + strings.Repeat("t", 500) + `" err="desc = ` + strings.Repeat("x", 500) + `the end"`, want: []string{
			strings.Repeat("t", maxTitle) + ": " + strings.Repeat("x", maxReason/2) + " … " + strings.Repeat("x", maxReason/2-8) + `the end"`,
		}},
		{name: "many", journal: "Error: a\nError: b\nError: c\nError: d\nError: e\nError: f\nError: e\n", want: []string{"Error: c", "Error: d", "Error: f", "Error: e"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := reasons(tt.journal, tt.secrets); !slices.Equal(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func FuzzKubeletReasons(f *testing.F) {
	for _, journal := range []string{apiIsDown, noSandbox, noStart, "E1130 08:00:03.1 1 a.go:1] \x9b31m token=x", "Error: desc = "} {
		f.Add(journal, "hunter2")
	}
	f.Fuzz(func(t *testing.T, journal, secret string) {
		reasons := reasons(journal, []string{secret})
		if len(reasons) > maxReasons {
			t.Errorf("%d reasons", len(reasons))
		}
		for _, reason := range reasons {
			if n := len([]rune(reason)); n > maxTitle+2+maxReason+3 {
				t.Errorf("%d characters: %s", n, reason)
			}
			if strings.ContainsFunc(reason, func(r rune) bool { return r != '\t' && unicode.IsControl(r) }) {
				t.Errorf("control characters in %q", reason)
			}
		}
	})
}
