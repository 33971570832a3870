package phase

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/source/sourcetest"
)

// highlyAvailable is a Clusterfile with something of everything.
const highlyAvailable = `apiVersion: sealer.cloud/v2
kind: Cluster
metadata: {name: default}
spec:
  image: app:v1
  env: [A=cluster, docker-dir=/data, LIST=a, LIST=b]
  hosts:
  - {ips: [10.0.0.1-10.0.0.3], roles: [master]}
  - {ips: [10.0.0.4], roles: [node, storage], env: {A: host}, labels: {disk: ssd}, taints: ["dedicated=db:NoSchedule"]}
  - {ips: [10.0.0.5], roles: [node]}
  hostAliases: [{ip: 10.0.0.50, hostnames: [nfs.site]}]
  cmd: [kubectl apply -f own.yaml]
---
apiVersion: kubeadm.k8s.io/v1beta3
kind: ClusterConfiguration
networking: {podSubnet: 100.64.0.0/10}
---
apiVersion: sealer.io/v2
kind: Config
metadata: {name: values}
spec: {path: etc/values.yaml, data: "size: 2", strategy: merge}
---
apiVersion: sealer.io/v2
kind: Config
metadata: {name: login}
spec: {path: etc/login.yaml, data: "password: s3cret", process: value|toBase64|toSecret}
---
apiVersion: sealer.io/v2
kind: Plugin
metadata: {name: names}
spec: {type: HOSTNAME, data: "10.0.0.1 m1\n10.0.0.4 store"}
---
apiVersion: sealer.io/v2
kind: Plugin
metadata: {name: life}
spec: {type: SHELL, action: PreInit|PreJoin|PostJoin|PreGuest|PostInstall|PreClean|PostClean, on: storage|master0, data: echo s3cret}
---
apiVersion: sealer.io/v2
kind: Plugin
metadata: {name: zones}
spec: {type: LABEL, action: PostJoin, data: "10.0.0.4-10.0.0.5 zone=a"}
---
apiVersion: sealer.io/v2
kind: Plugin
metadata: {name: dedicated}
spec: {type: TAINT, action: PreGuest, data: "10.0.0.5 dedicated=web:NoExecute"}
---
apiVersion: sealer.io/v2
kind: Plugin
metadata: {name: check}
spec: {type: CLUSTERCHECK, action: PostInstall, data: 10m}
`

// sited is a Clusterfile's site of machines on which there is nothing.
func sited(t *testing.T, text string) *park {
	t.Helper()
	file, err := clusterfile.Parse("Clusterfile", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p := newPark(t, 3, len(file.Cluster.Hosts)-3)
	p.Site, p.DryRun = file, true
	for i, h := range file.Cluster.Hosts {
		p.Hosts[i].Site, p.Members[i].Site = h, h
		p.Members[i].IsNew, p.Members[i].Absent = true, true
	}
	p.settleNames()
	p.Artifact = artifact(t, sourcetest.Entry{Name: "etc/values.yaml.tmpl", Content: "size: 1\nhost: {{ .HOST_NAME }}\n"})
	return p
}

// A plan names everything that a Clusterfile does to any host, and no secret.
func TestPlanOfASite(t *testing.T) {
	p := sited(t, highlyAvailable)
	phases := Bringup(p.Cluster)
	if err := Perform(t.Context(), p.Cluster, append(phases[:1:1], phases[2:]...)); err != nil { // but for what reaches the hosts
		t.Fatal(err)
	}
	app := newPark(t, 3, 2)
	app.Site, app.Hosts, app.DryRun, app.App, app.Before = p.Site, p.Hosts, true, "redis", p.Cluster
	for _, m := range app.Members {
		m.IsNew, m.Absent, m.Image.Dir = true, true, app.ImageDir()
	}
	app.Artifact = artifact(t)
	app.Artifact.Description.Kind, app.Artifact.Name = imagespec.KindApp, "redis:5.0"
	other, cluster := *p.Site, *p.Site.Cluster
	cluster.Cmd, other.Plugins, other.Cluster = nil, nil, &cluster // as for every image but the first
	app.Site = &other
	phases = Installation(app.Cluster)
	if err := Perform(t.Context(), app.Cluster, append(phases[:1:1], phases[3:]...)); err != nil {
		t.Fatal(err)
	}
	var text, encoded bytes.Buffer
	if err := errors.Join(report.WritePlan(&text, false, p.Report, app.Report), report.WritePlan(&encoded, true, p.Report, app.Report)); err != nil {
		t.Fatal(err)
	}
	golden(t, "site.txt", text.Bytes())
	golden(t, "site.json", encoded.Bytes())
	p.secretless(t, "s3cret")
	for _, f := range p.machines {
		if len(f.ran) > 0 || len(f.files) != 1 {
			t.Errorf("%s was changed: %q", f.host, fmt.Sprint(f.ran, f.files))
		}
	}
}

// A program can tell a plan from what a run did, as a person can.
func TestPlanDocumentSaysWhetherItWasDone(t *testing.T) {
	for _, dryRun := range []bool{false, true} {
		c := site(t, 0, bare(t))
		c.DryRun = dryRun
		if err := Perform(t.Context(), c, nil); err != nil {
			t.Fatal(err)
		}
		var encoded bytes.Buffer
		if err := report.WritePlan(&encoded, true, c.Report, report.New(io.Discard)); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(`"dryRun": %t,`, dryRun); !strings.Contains(encoded.String(), want) {
			t.Errorf("the document has no %s: %s", want, &encoded)
		}
	}
}
