//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// wholeSite applies one Clusterfile with everything in it that a site can say, and looks for each effect on the hosts and in the cluster.
func wholeSite(t *testing.T, r *road) {
	r.variables = []string{"SITE_REGISTRY_PASSWORD=" + sitePassword}
	o := r.othersBefore(t, "/srv/clusters")
	r.ssh(t, 4, "mkdir -p /root/.kube && echo precious > /root/.kube/config") // a future master's
	before := r.snapshots(t)
	s := &site{road: r, file: filepath.Join(t.TempDir(), "Clusterfile")}
	s.write(t, s.text(t))
	t.Run("plan names every effect", s.plan)
	if !t.Run("apply", s.apply) {
		return
	}
	t.Run("names of hosts", s.names)
	t.Run("environment", s.environment)
	t.Run("files", s.files)
	t.Run("configuration of Kubernetes", s.kubernetes)
	t.Run("both families of addresses", s.bothFamilies)
	t.Run("rules of nftables", s.nftables)
	o.meanwhile(t, 1, 2, 3)
	t.Run("registry", s.registrySettings)
	t.Run("labels and taints", s.nodes)
	t.Run("plugins", func(t *testing.T) { s.plugins(t, s.ran()) })
	t.Run("secrets are nowhere", s.secrets)
	t.Run("again changes nothing and runs no plugin", s.again)
	t.Run("another value of a variable", s.otherValue)
	t.Run("a template that does not render", s.brokenTemplate)
	t.Run("applications", (&apps{road: r, cluster: "site", dataRoot: "/srv/clusters", master: masters}).all)
	t.Run("a second master later", s.secondMaster)
	t.Run("delete", func(t *testing.T) { s.delete(t, o, before) })
}

// sitePassword is the password of the site's registry.
const sitePassword = "five.open-doors"

type site struct {
	*road
	file string // the Clusterfile
}

// text is the Clusterfile for this lab.
func (s *site) text(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("testdata/site/Clusterfile")
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("IMAGE", s.registry+"/site:v1", "KEY", s.lab.Key).Replace(string(text))
}

func (s *site) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// do runs sealer-run by the Clusterfile.
func (s *site) do(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	cmd := s.command(t.Context(), args...)
	stdout, stderr, err := s.output(cmd)
	if err != nil {
		t.Fatalf("sealer-run %s: %v\n%s%s\n%s", strings.Join(args, " "), err, stdout, stderr, s.lastLog())
	}
	return stdout, stderr
}

// flags are those for a person's value of one variable.
func (s *site) flags() []string { return []string{"-f", s.file, "-e", "DRINK=flag"} }

func (s *site) plan(t *testing.T) {
	out, stderr, err := s.output(s.command(t.Context(), append([]string{"plan"}, s.flags()...)...))
	if exitCode(err) != pending {
		t.Fatalf("a plan with changes ends with %v: %s", err, stderr)
	}
	for _, want := range []string{
		`10.77.0.11: plugin "names": name the host site-m0`,
		`10.77.0.13: plugin "names": name the host site-n1`,
		`10.77.0.12: plugin "pre-init": run its script`,
		`10.77.0.12: plugin "pre-join": run its script`,
		`10.77.0.13: plugin "post-join": run its script`,
		`10.77.0.11: plugin "pre-guest": run its script`,
		`10.77.0.11: plugin "of the image": run its script`,
		`10.77.0.12: plugin "post-install": run its script`,
		`10.77.0.12: plugin "labels": label the node [ssd=true tier=hot]`,
		`10.77.0.13: plugin "taints": taint the node [dedicated=web:PreferNoSchedule busy:PreferNoSchedule missing:NoSchedule-]`,
		`10.77.0.11: plugin "check": wait until nodes, system pods and DNS are ready`,
		`10.77.0.12: note the environment for the removal, and the plugins "pre-clean", "post-clean", "labels", "taints", "check"`,
		`10.77.0.11: write rootfs/etc/motd`, `10.77.0.12: write rootfs/etc/app.yaml`, `10.77.0.13: write rootfs/etc/login.yaml`,
		`10.77.0.13: write rootfs/etc/host.conf`, `10.77.0.11: write rootfs/scripts/docker-dir.sh`,
		`10.77.0.11: write rootfs/applications/flannel/kube-flannel.yml`,
		`10.77.0.11: kubeadm init`, `10.77.0.12: kubeadm join`, `10.77.0.11: run sh scripts/report.sh`,
		`10.77.0.12: mark the node with disk=ssd, node-role.kubernetes.io/db=, rack=r1:PreferNoSchedule`,
	} {
		if !strings.Contains(out, "  "+want+"\n") {
			t.Errorf("the plan lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
	generated, _ := s.do(t, "gen", "--kubeadm", "-f", s.file)
	for _, want := range []string{"podSubnet: 10.200.0.0/16", "api.site.example", "apiVersion: kubeadm.k8s.io/v1beta4", "maxPods: 77", "event-ttl"} {
		if !strings.Contains(generated, want) {
			t.Errorf("gen --kubeadm lacks %q:\n%s", want, generated)
		}
	}
}

func (s *site) apply(t *testing.T) {
	out, stderr := s.do(t, append([]string{"apply"}, s.flags()...)...)
	if !strings.Contains(out, "cluster site runs") {
		t.Errorf("it said %q", out)
	}
	// The script of the image, as users write it, streamed with the host's address.
	for _, want := range []string{"10.77.0.11 | /data/docker\n", "10.77.0.12 | /var/lib/docker\n", "10.77.0.13 | /var/lib/docker\n"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("not shown: %q", want)
		}
	}
}

func (s *site) names(t *testing.T) {
	for i, want := range map[int]string{1: "site-m0", 2: "site-n0", 3: "site-n1"} {
		if got := s.ssh(t, i, "hostname; cat /etc/hostname"); got != want+"\n"+want {
			t.Errorf("h%d is named %q", i, got)
		}
	}
	if got := s.kubectl(t, "get nodes -o name"); got != "node/site-m0\nnode/site-n0\nnode/site-n1" {
		t.Errorf("nodes are %s", got)
	}
	for name, want := range map[string]string{"delivery.site.example": "10.77.0.1", "site-n1": "10.77.0.13", "hub.site.example": "127.0.0.1"} {
		if got, _, _ := strings.Cut(s.ssh(t, 2, "getent ahostsv4 "+name), " "); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

// report is what the image's command saw.
func (s *site) report(t *testing.T) map[string]string {
	t.Helper()
	var report struct{ Data map[string]string }
	if err := json.Unmarshal([]byte(s.kubectl(t, "get configmap report -o json")), &report); err != nil {
		t.Fatal(err)
	}
	return report.Data
}

func (s *site) environment(t *testing.T) {
	report := s.report(t)
	for name, want := range map[string]string{
		"greeting": "image", "colour": "cluster", "fruit": "host", "drink": "flag", "docker-dir": "/data/docker", "disks": "sda sdb",
		"argument": "for commands only", "motd": "the site says hello\n",
		"host.conf": "host = site-m0\ndata = \"/data/docker\"\ndisks = sda,sdb\n",
	} {
		if report[name] != want {
			t.Errorf("the command saw %s as %q, want %q", name, report[name], want)
		}
	}
	if got := s.ssh(t, 3, "cat "+siteRootfs+"/etc/host.conf"); got != "host = site-n1\ndata = \"/var/lib/docker\"\ndisks = sda,sdb" {
		t.Errorf("h3 has %q", got)
	}
}

const siteRootfs = "/srv/clusters/site/rootfs"

func (s *site) files(t *testing.T) {
	merged := "# Where the application listens.\nlisten:\n  port: 9090 # above 1024\n  address: 0.0.0.0\nfeatures: [search]\ndebug: false\n"
	if got := s.report(t)["app.yaml"]; got != merged {
		t.Errorf("etc/app.yaml is\n%s", got)
	}
	for i := 1; i <= 3; i++ {
		if got := s.ssh(t, i, "cat "+siteRootfs+"/etc/motd"); got != "the site says hello" {
			t.Errorf("h%d has %q", i, got)
		}
	}
	if got := s.kubectl(t, "get secret login -o jsonpath='{.data.password}' | base64 -d"); got != "correct horse" {
		t.Errorf("the Secret of the Config has %q", got)
	}
}

// kubernetes looks on the running cluster for the settings of the Clusterfile for kubeadm, kubelet and kube-proxy.
func (s *site) kubernetes(t *testing.T) {
	if got := s.kubectl(t, "get service kubernetes -o jsonpath='{.spec.clusterIP}'"); got != "10.97.0.1" {
		t.Errorf("the API's service is at %s", got)
	}
	for _, cidr := range strings.Fields(s.kubectl(t, "get nodes -o jsonpath='{.items[*].spec.podCIDR}'")) {
		if !strings.HasPrefix(cidr, "10.200.") {
			t.Errorf("a node's pods are in %s", cidr)
		}
	}
	ips := strings.Fields(s.kubectl(t, "-n kube-system get pods -l k8s-app=kube-dns -o jsonpath='{.items[*].status.podIP}'"))
	if len(ips) == 0 || slices.ContainsFunc(ips, func(ip string) bool { return !strings.HasPrefix(ip, "10.200.") }) {
		t.Errorf("the pods of the DNS have %v: the network plugin does not follow podSubnet", ips)
	}
	if got := s.kubectl(t, "-n kube-flannel get configmap kube-flannel-cfg -o jsonpath='{.data.net-conf\\.json}'"); !strings.Contains(got, "10.200.0.0/16") {
		t.Errorf("the network plugin has %s", got)
	}
	const verified = "curl -s --resolve api.site.example:6443:10.77.0.11 --cacert /etc/kubernetes/pki/ca.crt -o /dev/null -w '%{ssl_verify_result} %{http_code}' https://api.site.example:6443/readyz"
	if got := s.ssh(t, 1, verified); got != "0 200" {
		t.Errorf("the API as api.site.example: %s", got)
	}
	for _, want := range []string{"--event-ttl=2h0m0s", "--service-cluster-ip-range=10.97.0.0/16"} {
		if got := s.ssh(t, 1, "tr '\\0' '\\n' < /proc/$(pgrep -o kube-apiserver)/cmdline"); !strings.Contains(got, want) {
			t.Errorf("the API server has not %s: %s", want, got)
		}
	}
	for _, node := range []string{"site-m0", "site-n1"} {
		if got := s.kubectl(t, "get --raw /api/v1/nodes/"+node+"/proxy/configz"); !strings.Contains(got, `"maxPods":77`) {
			t.Errorf("the kubelet of %s has %s", node, got)
		}
	}
	if got := s.ssh(t, 3, "curl -s -o /dev/null -w '%{http_code}' http://10.77.0.13:10299/healthz"); got != "200" {
		t.Errorf("kube-proxy's health at its own port: %s", got)
	}
}

func (s *site) registrySettings(t *testing.T) {
	if got := s.ssh(t, 1, "curl -sk -o /dev/null -w '%{http_code}' https://10.77.0.11:5050/v2/"); got != "401" {
		t.Errorf("without a password the registry answers %s", got)
	}
	if got := s.ssh(t, 1, "curl -sk -u site:"+sitePassword+" -o /dev/null -w '%{http_code}' https://10.77.0.11:5050/v2/"); got != "200" {
		t.Errorf("with its password the registry answers %s", got)
	}
	// A node pulls through its own door, by the registry's name and by the image's own.
	for name, image := range map[string]string{"hub": "hub.site.example:5050/coredns/coredns:v1.12.1", "own": "registry.k8s.io/coredns/coredns:v1.12.1"} {
		pod := fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q},"spec":{"nodeName":"site-n1","containers":[
			{"name":"c","image":%q,"args":["-conf","/dev/null"],"imagePullPolicy":"Always"}]}}`, name, image)
		if _, err := s.lab.SSH(t.Context(), 1, []byte(pod), "KUBECACHEDIR=/tmp/kubectl-cache kubectl apply -f -"); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, func() error {
			if got := s.kubectl(t, "get pod "+name+" -o jsonpath='{.status.containerStatuses[0].imageID}'"); !strings.Contains(got, "@sha256:") {
				return fmt.Errorf("%s is not pulled: %s", image, s.kubectl(t, "get events --field-selector involvedObject.name="+name))
			}
			return nil
		})
		s.kubectl(t, "delete pod "+name+" --now")
	}
}

func (s *site) nodes(t *testing.T) {
	labels := s.kubectl(t, `get nodes -o jsonpath='{range .items[*]}{.metadata.name} {.metadata.labels}{"\n"}{end}'`)
	for node, wants := range map[string][]string{
		"site-n0": {`"disk":"ssd"`, `"node-role.kubernetes.io/db":""`, `"ssd":"true"`, `"tier":"hot"`},
		"site-n1": {`"disk":"ssd"`, `"node-role.kubernetes.io/db":""`, `"ssd":"false"`},
		"site-m0": {`"node-role.kubernetes.io/master":""`, `"node-role.kubernetes.io/control-plane":""`},
	} {
		line := regexp.MustCompile(`(?m)^` + node + ` .*$`).FindString(labels)
		for _, want := range wants {
			if !strings.Contains(line, want) {
				t.Errorf("%s has no label %s: %s", node, want, line)
			}
		}
	}
	taints := s.taints(t)
	for node, want := range map[string][]string{
		"site-n0": {"rack=r1:PreferNoSchedule", "dedicated=db:NoSchedule"},
		"site-n1": {"rack=r1:PreferNoSchedule", "dedicated=web:PreferNoSchedule", "busy=:PreferNoSchedule"},
	} {
		if !sameSet(taints[node], want) {
			t.Errorf("%s has the taints %v, want %v", node, taints[node], want)
		}
	}
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// ran is what plugins have written on each host, in this order.
func (s *site) ran() map[int][]string {
	return map[int][]string{
		1: {"PreInit 10.77.0.11 /data/docker", "PreGuest image", "PreGuest 3"}, // it does not join
		2: {"PreInit 10.77.0.12 /var/lib/docker", "PreJoin site-n0", "two moments", "PostJoin sda sdb", "PreGuest image",
			"PostInstall the site says hello", "two moments"},
		3: {"PreInit 10.77.0.13 /var/lib/docker", "PreJoin site-n1", "two moments", "PostJoin sda sdb", "PreGuest image",
			"PostInstall the site says hello", "two moments"},
	}
}

func (s *site) plugins(t *testing.T, want map[int][]string) {
	t.Helper()
	for i, lines := range want {
		if got := s.ssh(t, i, "cat /var/log/plugins.log"); got != strings.Join(lines, "\n") {
			t.Errorf("on h%d ran\n%s\nwant\n%s", i, got, strings.Join(lines, "\n"))
		}
	}
}

// secrets looks for the registry's password in places that other users, now or later, could read.
func (s *site) secrets(t *testing.T) {
	if strings.Contains(s.lastLog(), sitePassword) {
		t.Error("the password is in the log")
	}
	for i := 1; i <= 3; i++ {
		// What it is sent with and compared with is in files of root's only.
		const search = `umask 077; cat > /tmp/wanted; grep -rlF -f /tmp/wanted /srv/clusters /etc | xargs -r stat -c '%a %n'
			cat /proc/[0-9]*/cmdline 2> /dev/null | tr '\0' '\n' | grep -F -f /tmp/wanted; rm /tmp/wanted`
		found, err := s.lab.SSH(t.Context(), i, []byte(sitePassword+"\n"), search)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(found)) {
			if !strings.HasPrefix(line, "600 ") {
				t.Errorf("h%d: %s", i, line)
			}
		}
		if !strings.Contains(string(found), "registry.credentials") {
			t.Errorf("h%d: the search does not find what is there: %s", i, found)
		}
	}
}

func (s *site) delete(t *testing.T, o *others, before map[int]string) {
	s.do(t, "delete", "--all", "--yes", "-f", s.file)
	for i := 1; i <= 3; i++ {
		if got := s.ssh(t, i, "tail -n 2 /var/log/plugins.log"); got != "PreClean installed\nPostClean gone" {
			t.Errorf("h%d: %s", i, got)
		}
	}
	for i := range before {
		s.ssh(t, i, "rm /var/log/plugins.log")
	}
	o.stayed(t, 1, 2, 3)
	s.bare(t, before)
}
