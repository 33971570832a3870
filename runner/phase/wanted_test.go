package phase

import (
	"cmp"
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/runner/adapt"
	"github.com/kubefile/kubefile/runner/command"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/plugin"
	"github.com/kubefile/kubefile/runner/source/layerfs"
	"github.com/kubefile/kubefile/runner/state"
)

const ofImage = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworking: {podSubnet: 10.244.0.0/16}\n---\n" +
	"apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: 110\n"

// configure sets the kubeadm configuration of the Clusterfile and that of the image.
func (p *park) configure(t *testing.T, ofSite, image string) {
	t.Helper()
	parsed, err := kubeadm.Parse([]byte(ofSite))
	if err != nil {
		t.Fatal(err)
	}
	p.Site.Kubeadm, p.image.Files = parsed, map[string]layerfs.File{adapt.KubeadmFile: {Content: []byte(image)}}
}

// takeDocuments works out the documents of kubeadm.
func (p *park) takeDocuments(t *testing.T) error {
	t.Helper()
	adapter, err := p.adapter(t.Context())
	if err != nil {
		return err
	}
	p.kubeadm, err = adapter.Documents()
	return err
}

// configuredBy is a cluster whose first master was made with a Clusterfile's kubeadm configuration.
func configuredBy(t *testing.T, ofSite string) *park {
	t.Helper()
	p := newPark(t, 1, 0).joined(1)
	p.Artifact = artifact(t)
	p.configure(t, ofSite, ofImage)
	if err := p.takeDocuments(t); err != nil {
		t.Fatal(err)
	}
	given, err := kubeadm.InitConfig(p.kubeadm, p.KubeadmInit(p.First(), p.kubeadm, p.Artifact.Description.KubernetesVersion))
	if err != nil {
		t.Fatal(err)
	}
	p.machines[0].files[p.First().Path(execute.InitConfig)] = string(given)
	return p
}

// What cannot change in the configuration of a running cluster is refused where the Clusterfile wants it, and named where it has another reason.
func TestChangedKubeadm(t *testing.T) {
	cluster := "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n"
	cases := []struct {
		name, was, now, image string
		earlier               bool // the cluster is of a version that noted nothing
		refused, said         string
	}{
		{"nothing", "", "", ofImage, false, "", ""},
		{"nothing, of an earlier version", cluster + "apiServer: {certSANs: [a.example]}\n", cluster + "apiServer: {certSANs: [a.example]}\n", ofImage, true, "", ""},
		{"names of the API", "", cluster + "apiServer: {certSANs: [api.site.example]}\n", ofImage, false, "", ""},
		{"names of the API, of an earlier version", "", cluster + "apiServer: {certSANs: [api.site.example]}\n", ofImage, true, "", ""},
		{"an argument", "", cluster + "apiServer: {extraArgs: [{name: audit-log-path, value: /a}]}\n", ofImage, false, "", ""},
		{"an argument that is a network", "", cluster + "apiServer: {extraArgs: [{name: service-cluster-ip-range, value: 10.1.0.0/16}]}\n", ofImage, false,
			"apiServer.extraArgs[service-cluster-ip-range]: cannot change on a running cluster (have nothing, want \"10.1.0.0/16\"): the networks", ""},
		{"a secret", cluster + "clusterName: https://u:s3cret@x\n", cluster + "clusterName: https://u:s3cret2@x\n",
			ofImage, false, "clusterName: cannot change", ""},
		{"etcd's directory, of an earlier version", "", cluster + "etcd: {local: {dataDir: /data/etcd}}\n", ofImage, true, `etcd.local.dataDir: cannot change on a running cluster`, ""},
		{"the kubelet", "", "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\ncgroupDriver: cgroupfs\n", ofImage, false,
			`KubeletConfiguration.cgroupDriver: cannot change on a running cluster (have nothing, want "cgroupfs"): running containers`, ""},
		{"kube-proxy", "", "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: nftables\n", ofImage, false, "KubeProxyConfiguration.mode: cannot change", ""},
		{"no longer in the Clusterfile", cluster + "clusterName: mine\n", "", ofImage, false, "", "keeps what it has"},
		{"the image's own", "", "", ofImage + "cgroupDriver: systemd\n", false, "", `KubeletConfiguration.cgroupDriver: have nothing, want "systemd": the running cluster keeps`},
		{"the image's own, which can be applied", "", "", strings.Replace(ofImage, "110", "250", 1), false, "", ""},
		{"joins", "", "apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\nnodeRegistration: {kubeletExtraArgs: [{name: v, value: '4'}]}\n", ofImage, false, "",
			"applies only to hosts that join from now on"},
		{"joins, of an earlier version", "", "apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\nnodeRegistration: {kubeletExtraArgs: [{name: v, value: '4'}]}\n", ofImage, true, "",
			"cannot be detected, because an earlier version"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := configuredBy(t, c.was)
			if !c.earlier {
				p.noteKubeadm()
			}
			a := &adaptImage{p.Cluster}
			p.configure(t, c.now, c.image)
			err := errors.Join(p.takeDocuments(t), a.unchanged(t.Context()), a.unapplied(t.Context()))
			checkError(t, err, c.refused)
			if said := p.out.String(); (said == "") != (c.said == "") || !strings.Contains(said, c.said) || strings.Contains(said, "s3cret") {
				t.Errorf("said %q, want %q", said, c.said)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("a secret is in the error: %v", err)
			}
		})
	}
}

// What a node keeps, what goes on running and what never ran is named.
func TestUnappliedIsNamed(t *testing.T) {
	p := newPark(t, 1, 1).joined(2)
	p.Artifact = artifact(t)
	p.State.Wanted = &state.Wanted{Apps: []string{"web", "db"}}
	p.Site.Cluster.AppNames = []string{"web"}
	node := p.State.Host(p.Members[1].Host.Address)
	node.Labels, node.Taints = map[string]string{"disk": "ssd", "zone": "a"}, []string{"dedicated=db:NoSchedule"}
	p.Members[1].Site.Labels = map[string]string{"zone": "b"}
	p.Members[1].Facts.Hostname = "renamed"
	p.image.Plugins = []plugin.Plugin{newPlugin(t, "late", "SHELL", "PreInit", "", "true"), newPlugin(t, "early", "SHELL", "PostJoin", "", "true")}
	p.machines[1].files[p.Members[1].Path(command.Marker(plugin.PostJoin, p.image.Plugins[1]))] = execute.Finished
	if err := (&adaptImage{p.Cluster}).unapplied(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"application db is no longer chosen", "10.0.0.2: warning: the label disk is no longer specified", "10.0.0.2: warning: the taint dedicated=db:NoSchedule is no longer specified",
		"10.0.0.2: warning: the host is now named renamed, but its node keeps the name h2", `plugin "late" does not run on 10.0.0.1, 10.0.0.2, where PreInit is over`,
		"so changes to kubeadm's configuration cannot be detected",
	} {
		if !strings.Contains(p.out.String(), want) {
			t.Errorf("no word of %q in\n%s", want, p.out)
		}
	}
	for _, not := range []string{"zone", `"early"`, "web"} {
		if strings.Contains(p.out.String(), not) {
			t.Errorf("there is %q in\n%s", not, p.out)
		}
	}
}

// TestSettingsWithoutDocuments: a run that says nothing about the settings of Kubernetes keeps those of a Clusterfile, unless it brings another image.
func TestSettingsWithoutDocuments(t *testing.T) {
	const cluster = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n"
	for _, c := range []struct {
		name, now string
		image     digest.Digest
		changes   int
		said      string
	}{
		{"no documents", "", "", 0, `apiServer.certSANs: have ["a.example"], want nothing: the running cluster keeps what it has, because no document of kubeadm is given`},
		{"no documents, and another image", "", digest.FromString("another"), 1, ""},
		{"a list that is empty", cluster + "apiServer: {certSANs: []}\n", "", 1, ""},
		{"another document", "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: 110\n", "", 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := configuredBy(t, cluster+"apiServer: {certSANs: [a.example]}\n")
			p.noteKubeadm()
			p.State.Digest = cmp.Or(c.image, p.Artifact.Digest)
			p.configure(t, c.now, ofImage)
			a := &adaptImage{p.Cluster}
			if err := errors.Join(p.takeDocuments(t), a.unapplied(t.Context())); err != nil {
				t.Fatal(err)
			}
			if n := len(p.settings.Applied); n != c.changes {
				t.Errorf("got %d changes, want %d: %v", n, c.changes, p.settings.Applied)
			}
			if said := p.out.String(); (said == "") != (c.said == "") || !strings.Contains(said, c.said) {
				t.Errorf("said %q, want %q", said, c.said)
			}
		})
	}
}
