//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// cases are Clusterfiles as users of the old tool write them; the decoder's tests read them too. Only what a site has to put in is put in:
// image, addresses and logins, and networks and a name where a case is applied to the cluster of another one.
const cases = "runner/clusterfile/testdata/cases"

var (
	caseAddress = regexp.MustCompile(`192\.168\.(?:0|56)\.([2-7])\b`)
	caseImage   = regexp.MustCompile(`(?m)^  image: .*$`)
)

// clusterfile is a case for this lab: of the hosts .2 to .7 it has h1 to h6, and xxx is what logs in there.
func (r *road) clusterfile(t *testing.T, name, image string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.top, cases, name, "Clusterfile"))
	if err != nil {
		t.Fatal(err)
	}
	out := caseAddress.ReplaceAllStringFunc(string(text), func(address string) string {
		last, err := strconv.Atoi(address[len(address)-1:])
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("10.77.0.%d", last+9)
	})
	out = caseImage.ReplaceAllLiteralString(out, "  image: "+image)
	out = strings.NewReplacer("pk: xxx", "pk: "+r.lab.EncryptedKey, "pkPasswd: xxx", "pkPasswd: "+r.lab.Passphrase,
		"passwd: xxx", "passwd: "+r.lab.Passwords["root"]).Replace(out)
	file := filepath.Join(t.TempDir(), "Clusterfile")
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// rewritten is a changed copy of a file.
func (r *road) rewritten(t *testing.T, file string, change func(string) string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "Clusterfile")
	if err := os.WriteFile(copied, []byte(change(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	return copied
}

// defaultPlugins brings up the case v2-kubeadm, one host, with the image of the case default-plugins, of which one installs a package: the host has it already, for nothing is to be had
// there, which apt learns at once from a proxy that is not there instead of from minutes of timeouts.
func defaultPlugins(t *testing.T, r *road) {
	before := r.snapshots(t)
	r.ssh(t, 1, `echo 'Acquire::http::Proxy "http://127.0.0.1:1";' > /etc/apt/apt.conf.d/90-no-network`)
	r.ssh(t, 1, "printf '[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=true\\n[Install]\\nWantedBy=multi-user.target\\n' > /etc/systemd/system/iscsid.service && systemctl daemon-reload")
	file := r.clusterfile(t, "v2-kubeadm", r.registry+"/default-plugins:v1")
	cmd := r.command(t.Context(), "apply", "-f", file, "-e", oomScore)
	_, stderr, err := r.output(cmd)
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, stderr, r.lastLog())
	}
	if !regexp.MustCompile(`(?m)^10\.77\.0\.11 \| h1 +Ready`).MatchString(stderr) {
		t.Errorf("the image's plugin did not show the nodes:\n%s", stderr)
	}
	if got := r.ssh(t, 1, "systemctl is-active iscsid; systemctl is-enabled iscsid"); got != "active\nenabled" {
		t.Errorf("the image's second plugin left iscsid %q", got)
	}
	if got := r.kubectl(t, "get nodes -o jsonpath='{.items[0].spec.podCIDR}'"); !strings.HasPrefix(got, "100.64.") {
		t.Errorf("pods are in %s", got)
	}
	if got := r.kubectl(t, "-n kube-flannel get configmap kube-flannel-cfg -o jsonpath='{.data.net-conf\\.json}'"); !strings.Contains(got, "100.64.0.0/10") {
		t.Errorf("the network plugin has %s", got)
	}
	r.asRoot(t, "delete", "--all", "--yes", "-f", file)
	r.ssh(t, 1, "systemctl disable --now iscsid; rm /etc/systemd/system/iscsid.service /etc/apt/apt.conf.d/90-no-network; systemctl daemon-reload")
	r.ssh(t, 1, "rmdir /var/lib/apt/lists/auxfiles") // which the plugin's apt has made
	r.bare(t, before)
}

// casePlugins applies both Clusterfiles as one. The command of their shell plugin names no node, which kubectl refuses: the run says so
// at the end, when all else is done.
func (a *availability) casePlugins(t *testing.T) {
	apply := []string{"apply", "-f", a.whole, "-f", a.plugins, "-e", oomScore, "--cmd", "kubectl get namespaces"}
	a.refused(t, a.command(t.Context(), apply...), 1, "PostInstall", `plugin "taint"`, "10.77.0.11", "10.77.0.12", "10.77.0.13", "resource name")
	for i, want := range []string{"master-0", "master-1", "master-2", "node-0", "node-1", "node-2"} {
		if got := a.ssh(t, i+1, "hostname"); got != want {
			t.Errorf("h%d is named %s, want %s", i+1, got, want)
		}
	}
	if got := a.kubectl(t, "get nodes -l node-role.kubernetes.io/control-plane -o name"); got != "node/master-0\nnode/master-1\nnode/master-2" {
		t.Errorf("masters are %s", got)
	}
	for label, want := range map[string]string{"ssd=true": "node/master-0\nnode/master-1", "ssd=false,hdd=true": "node/node-0"} {
		if got := a.kubectl(t, "get nodes -l "+label+" -o name"); got != want {
			t.Errorf("%s: %s, want %s", label, got, want)
		}
	}
	taints := a.taints(t)
	const controlPlane = "node-role.kubernetes.io/control-plane=:NoSchedule"
	for node, want := range map[string]string{
		"master-0": controlPlane, "master-1": controlPlane + " key1=value1:NoSchedule key3=:NoSchedule key4=:NoSchedule key5=:NoSchedule",
		"master-2": controlPlane + " key3=:NoSchedule key4=:NoSchedule", "node-0": "key3=:NoSchedule key4=:NoSchedule",
		"node-1": "key3=:NoSchedule key4=:NoSchedule", "node-2": "key3=:NoSchedule key4=:NoSchedule",
	} {
		if got, there := taints[node]; !there || !sameSet(got, strings.Fields(want)) {
			t.Errorf("%s has the taints %v, want %s", node, got, want)
		}
	}
	if got := a.kubectl(t, "get service kubernetes -o jsonpath='{.spec.clusterIP}'"); got != "10.96.0.1" {
		t.Errorf("the API's service is at %s", got)
	}
	sans := a.ssh(t, 1, "curl -s --resolve aliyun-inc.com:6443:10.77.0.11 --cacert /etc/kubernetes/pki/ca.crt -o /dev/null -w '%{ssl_verify_result}' https://aliyun-inc.com:6443/readyz")
	if sans != "0" {
		t.Errorf("the API as aliyun-inc.com: %s", sans)
	}
}
