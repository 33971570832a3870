package plugin

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	nodeless := cluster[:2]
	for _, test := range []struct {
		name, typ, action, on, data string
		hosts                       []Host
		image                       bool
		says                        string
	}{
		{"all", "SHELL", "PreInit", "", "true", cluster, false, ""},
		{"roles", "SHELL", "PreInit", "master,node,master0,storage", "true", cluster, false, ""},
		{"range", "SHELL", "PreInit", "192.168.0.2-192.168.0.4", "true", cluster, false, ""},
		{"shell is literal", "SHELL", "PreInit", "", "echo $(date); `x` && y", cluster, false, ""},
		{"selector is left", "SHELL", "PostInstall", "gpu=true", "true", cluster, false, ""},
		{"selector of masters", "SHELL", "PostInstall", "node-role.kubernetes.io/master=", "true", cluster, false, ""},
		{"names", "HOSTNAME", "", "", "192.168.0.2 a\nfd00::5 b", cluster, false, ""},
		{"names where it runs", "HOSTNAME", "", "master", "192.168.0.2 a", cluster, false, ""},
		{"labels by selector", "LABEL", "PreGuest", "ssd=true", "192.168.0.2 a=b", cluster, false, ""},
		{"taints", "TAINT", "PreGuest", "", "192.168.0.2-192.168.0.4 a:NoExecute", cluster, false, ""},
		{"check", "CLUSTERCHECK", "PreGuest", "", "1m", cluster, false, ""},
		{"role that the site has not", "SHELL", "PreInit", "node|gpu", "true", nodeless, true, ""},

		{"no such host", "SHELL", "PreInit", "192.168.0.2-192.168.0.5", "true", cluster, false, `on "192.168.0.2-192.168.0.5": 192.168.0.5 is not a host of the cluster`},
		{"no such host of the image's", "SHELL", "PreInit", "192.168.0.9", "true", cluster, true, "192.168.0.9 is not a host"},
		{"no node", "SHELL", "PreInit", "node", "true", nodeless, false, "no host has the role node"},
		{"no such role", "SHELL", "PreInit", "master,gpu", "true", cluster, false, `on "master,gpu": no host has the role gpu`},
		{"mistyped role", "SHELL", "PreInit", "storag", "true", cluster, false, "no host has the role storag: did you mean storage?"},
		{"mistyped role of the image's", "SHELL", "PreInit", "Node", "true", cluster, true, "did you mean node?"},
		{"selector of nothing", "SHELL", "PostInstall", "!node-role.kubernetes.io/master", "true", nodeless, false, "no host has such labels"},
		{"selector with a value", "SHELL", "PostInstall", "node-role.kubernetes.io/master=true", "true", cluster, false, "no host has such labels"},
		{"no script", "SHELL", "PreInit", "", " \n", cluster, false, "nothing to run"},
		{"NUL", "SHELL", "PreInit", "", "a\x00b", cluster, false, "NUL"},
		{"no names", "HOSTNAME", "", "", "# none\n", cluster, false, "nothing to change"},
		{"bad name", "HOSTNAME", "", "", "192.168.0.2 a_b", cluster, false, `line 1 of data: host name "a_b"`},
		{"name of no host", "HOSTNAME", "", "", "192.168.0.2 a\n\n192.168.0.9 b", cluster, false, "line 3 of data: 192.168.0.9 is not a host of the cluster"},
		{"name where it does not run", "HOSTNAME", "", "node", "192.168.0.2 a", cluster, false, `line 1 of data: 192.168.0.2 is not selected by on "node"`},
		{"bad label", "LABEL", "PreGuest", "", "192.168.0.2 a", cluster, false, "line 1 of data"},
		{"label of no host", "LABEL", "PreGuest", "", "192.168.0.9 a=b", cluster, false, "192.168.0.9 is not a host"},
		{"bad taint", "TAINT", "PreGuest", "", "192.168.0.2 a", cluster, false, "has no effect"},
		{"taint of no host", "TAINT", "PreGuest", "", "192.168.0.4-192.168.0.5 a:NoExecute", cluster, false, "192.168.0.5 is not a host"},
		{"bad time", "CLUSTERCHECK", "PreGuest", "", "1", cluster, false, "write how long to wait"},
		{"two problems", "LABEL", "PreGuest", "gpu", "192.168.0.2 a", cluster, false, "\nClusterfile:12: plugin \"x\": line 1 of data"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := create(t, test.typ, test.action, test.on, test.data)
			p.FromImage = test.image
			err := p.Check(test.hosts)
			if test.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(err.Error(), "Clusterfile:12: ") {
				t.Errorf("error %v, want %q", err, test.says)
			}
		})
	}
}
