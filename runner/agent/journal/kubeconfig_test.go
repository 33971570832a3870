package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/runner/agent/agenttest"
	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/agent/wire"
)

// admin is a kubeconfig as kubeadm writes it.
func admin(name, server, authority string) string {
	return fmt.Sprintf(`apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: %[3]s
    server: %[2]s
  name: %[1]s
contexts:
- context:
    cluster: %[1]s
    user: %[1]s-admin
  name: %[1]s-admin@%[1]s
current-context: %[1]s-admin@%[1]s
kind: Config
preferences: {}
users:
- name: %[1]s-admin
  user:
    client-certificate-data: cert-of-%[3]s
    client-key-data: key-of-%[3]s
`, name, server, authority)
}

// mine has the agent write the cluster's kubeconfig.
func mine(t *testing.T, cluster, path string) {
	t.Helper()
	content := strings.NewReader(admin("kubernetes", earlierServer, "OURS"))
	if _, err := WriteFile(wire.FileRequest{Dir: cluster, Path: path, Mode: 0o600, Kubeconfig: true}, content); err != nil {
		t.Fatal(err)
	}
}

// merged is what kubectl makes of two kubeconfigs: the lists of both, and the context of the second.
func merged(t *testing.T, first, second string) string {
	t.Helper()
	var a, b map[string]any
	for text, into := range map[string]*map[string]any{first: &a, second: &b} {
		if err := yaml.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"clusters", "contexts", "users"} {
		b[key] = append(a[key].([]any), b[key].([]any)...)
	}
	out, err := yaml.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// Of a kubeconfig that others added to, only the cluster's own parts go.
func TestKubeconfigOfOthersStays(t *testing.T) {
	ours, theirs := admin("kubernetes", earlierServer, "OURS"), admin("prod", "https://1.2.3.4:6443", "THEIRS")
	cases := map[string]struct{ now, want, never string }{
		"another cluster after ours":       {merged(t, ours, theirs), "cert-of-THEIRS", "OURS"},
		"another cluster before ours":      {merged(t, theirs, ours), "cert-of-THEIRS", "OURS"},
		"only another":                     {theirs, "cert-of-THEIRS", "OURS"},
		"another at the same server":       {merged(t, ours, admin("prod", earlierServer, "THEIRS")), "cert-of-THEIRS", "OURS"},
		"another that has our name":        {admin("kubernetes", earlierServer, "THEIRS"), "cert-of-THEIRS", "OURS"},
		"our context renamed, and another": {merged(t, strings.ReplaceAll(ours, "kubernetes-admin@kubernetes", "lab"), theirs), "cert-of-THEIRS", "lab"},
		"our certificate renewed":          {strings.ReplaceAll(ours, "cert-of-OURS", "renewed"), "", "renewed"},
		"our address changed":              {strings.ReplaceAll(ours, earlierServer, "https://10.0.0.1:6443"), "", "OURS"},
		"nothing but comments added":       {"# mine\n" + ours, "", "OURS"},
		"a user of others":                 {ours + "- name: token\n  user: {token: t0ken}\n", "t0ken", "OURS"},
		"not understood":                   {ours + "\tx: [", "", "nothing"},
		"another kind of document":         {"- a\n- b\n", "- a", "OURS"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			root, cluster := machine(t)
			path := filepath.Join(root, "root/.kube/config")
			mine(t, cluster, path)
			agenttest.Write(t, path, c.now)
			left := undo(t, cluster)
			got := ""
			if agenttest.Exists(path) {
				got = agenttest.Read(t, path)
			}
			if c.want == "" && got != "" && len(left) == 0 || !strings.Contains(got, c.want) || strings.Contains(got, c.never) {
				t.Errorf("left %q, got\n%s", left, got)
			}
		})
	}
}

// The current context is never one that is not there.
func TestKubeconfigCurrentContext(t *testing.T) {
	k := hostrecord.Kubeconfig{Server: earlierServer, Authority: "OURS"}
	got, err := prune(&k, []byte(merged(t, admin("prod", "https://1.2.3.4:6443", "THEIRS"), admin("kubernetes", earlierServer, "OURS"))))
	if err != nil {
		t.Fatal(err)
	}
	var config namedConfig
	if err := yaml.Unmarshal(got, &config); err != nil || config.Current != "" || len(config.Contexts) != 1 {
		t.Errorf("got %+v, %v", config, err)
	}
}

// Of kubectl's cache, what is of the cluster goes; when others use it, the rest stays.
func TestKubectlCache(t *testing.T) {
	for _, others := range []bool{false, true} {
		root, cluster := machine(t)
		before := agenttest.Tree(t, root)
		path := filepath.Join(root, "root/.kube/config")
		mine(t, cluster, path)
		for _, name := range []string{"discovery/apiserver.cluster.local_6443/v1/x.json", "http/abc"} {
			agenttest.Write(t, filepath.Join(root, "root/.kube/cache", name), "x")
		}
		if others {
			agenttest.Write(t, filepath.Join(root, "root/.kube/cache/discovery/1.2.3.4_6443/x"), "theirs")
			before = "d etc\n- etc/hosts 127.0.0.1 localhost\n\nd root\nd root/.kube\nd root/.kube/cache\nd root/.kube/cache/discovery\n" +
				"d root/.kube/cache/discovery/1.2.3.4_6443\n- root/.kube/cache/discovery/1.2.3.4_6443/x theirs\nd root/.kube/cache/http\n- root/.kube/cache/http/abc x"
		}
		undo(t, cluster)
		if got := agenttest.Tree(t, root); got != before {
			t.Errorf("others %v: got\n%s\nwant\n%s", others, got, before)
		}
	}
}

// A cache that was there before is not the cluster's, and neither is one behind a link.
func TestKubectlCacheOfOthersStays(t *testing.T) {
	root, cluster := machine(t)
	cache, elsewhere := filepath.Join(root, "root/.kube/cache"), filepath.Join(root, "elsewhere")
	agenttest.Write(t, filepath.Join(cache, "discovery/apiserver.cluster.local_6443/x"), "theirs")
	mine(t, cluster, filepath.Join(root, "root/.kube/config"))
	mine(t, cluster, filepath.Join(root, "home/.kube/config"))
	agenttest.Write(t, filepath.Join(elsewhere, "discovery/apiserver.cluster.local_6443/x"), "theirs")
	if err := os.Symlink(elsewhere, filepath.Join(root, "home/.kube/cache")); err != nil {
		t.Fatal(err)
	}
	undo(t, cluster)
	for _, dir := range []string{cache, elsewhere} {
		if !agenttest.Exists(filepath.Join(dir, "discovery/apiserver.cluster.local_6443/x")) {
			t.Errorf("%s was emptied", dir)
		}
	}
}
