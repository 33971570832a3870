//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func (s *site) again(t *testing.T) {
	if out, _ := s.do(t, append([]string{"apply"}, s.flags()...)...); !strings.Contains(out, "nothing to do") {
		t.Errorf("it said %q", out)
	}
	if out, _ := s.do(t, append([]string{"plan"}, s.flags()...)...); strings.TrimSpace(out) != "nothing to do" {
		t.Errorf("the plan is %q", out)
	}
	s.plugins(t, s.ran())
}

// change replaces texts in the Clusterfile by others.
func (s *site) change(t *testing.T, oldnew ...string) {
	t.Helper()
	text, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, strings.NewReplacer(oldnew...).Replace(string(text)))
}

// otherValue gives a variable another value: what depends on it is written and run again, plugins are not.
func (s *site) otherValue(t *testing.T) {
	s.change(t, "docker-dir: /data/docker", "docker-dir: /mnt/docker", "the site says hello", "the site says goodbye")
	s.do(t, append([]string{"apply"}, s.flags()...)...)
	report := s.report(t)
	if report["docker-dir"] != "/mnt/docker" || report["host.conf"] != "host = site-m0\ndata = \"/mnt/docker\"\ndisks = sda,sdb\n" || report["motd"] != "the site says goodbye\n" {
		t.Errorf("the command saw %v", report)
	}
	s.plugins(t, s.ran())
}

// brokenTemplate needs a variable that is not set: no host is touched.
func (s *site) brokenTemplate(t *testing.T) {
	broken := s.text(t) + "\n---\napiVersion: sealer.io/v2\nkind: Config\nmetadata: {name: broken}\nspec:\n  path: etc/broken.conf.tmpl\n  data: |\n    a\n    {{ .NOBODY }}\n"
	file := filepath.Join(t.TempDir(), "Clusterfile")
	if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	before := s.ssh(t, 2, "find "+siteRootfs+" -newermt '-1 hour' -printf '%p %T@\\n' | sort | sha256sum")
	s.refused(t, s.command(t.Context(), "apply", "-f", file), 1, "10.77.0.11", "etc/broken.conf.tmpl:2", "NOBODY", "-e NAME=VALUE")
	if got := s.ssh(t, 2, "find "+siteRootfs+" -newermt '-1 hour' -printf '%p %T@\\n' | sort | sha256sum"); got != before {
		t.Error("files of h2 were changed")
	}
}

// secondMaster adds a host to the Clusterfile and joins it: it gets a control plane, the plugins of joins run there and nowhere else, and every
// node's balancer knows it. To an apply of that Clusterfile it is as if it had added the host.
func (s *site) secondMaster(t *testing.T) {
	s.change(t, "    - ips: [10.77.0.12-10.77.0.13]\n", "    - ips: [10.77.0.14]\n      roles: [master]\n    - ips: [10.77.0.12-10.77.0.13]\n")
	if out, _ := s.do(t, append([]string{"join", "-m", "10.77.0.14"}, s.flags()...)...); out != "1 host joined cluster site\n" {
		t.Errorf("it said %q", out)
	}
	if got := s.kubectl(t, "get nodes -l node-role.kubernetes.io/control-plane -o name"); got != "node/h4\nnode/site-m0" {
		t.Errorf("masters are %s", got)
	}
	for i := 2; i <= 3; i++ {
		if got := s.ssh(t, i, "cat /srv/clusters/site/apiserver.json"); !strings.Contains(got, "10.77.0.14:6443") || !strings.Contains(got, "10.77.0.11:6443") {
			t.Errorf("the balancer of h%d has %s", i, got)
		}
	}
	const stores = "cd /srv/clusters/site && sha256sum apps/*/registry/index.json"
	if got, want := s.ssh(t, 4, stores), s.ssh(t, 1, stores); got != want { // the images of applications come to a new master, too
		t.Errorf("the new master has\n%s\nand the first has\n%s", got, want)
	}
	want := s.ran()
	want[4] = []string{"PreInit 10.77.0.14 /var/lib/docker", "PostJoin sda sdb", "PreGuest image"}
	s.plugins(t, want)
	if plan, _ := s.do(t, append([]string{"plan"}, s.flags()...)...); strings.TrimSpace(plan) != "nothing to do" {
		t.Errorf("the plan is %q", plan)
	}
}
