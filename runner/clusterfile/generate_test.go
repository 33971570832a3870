package clusterfile

import (
	"bytes"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/kubeadm"
)

// What gen prints says the same as the flags, with the defaults written out.
func TestGenerate(t *testing.T) {
	d := NewDocument("site", "kubernetes:v1.34.4", "10.0.0.1-10.0.0.3", "fd00::1,10.0.0.9")
	flags, err := FromDocument(d)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Generate(&out, d, []string{"A=1", "docker-dir=/d", "A=2", "odd=: # {x} 'y' \"z\"\n"}); err != nil {
		t.Fatal(err)
	}
	read, err := Parse("gen", out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	env := read.Cluster.Env.Variables()
	if env["A"] != "1 2" || env["docker-dir"] != "/d" || env["odd"] != ": # {x} 'y' \"z\"\n" || len(env) != 3 {
		t.Errorf("env %v", env)
	}
	read.Cluster.Env = flags.Cluster.Env
	for _, said := range []string{"user: root\n", "port: \"22\"\n", "passwd: prompt\n", "domain: sea.hub\n", "port: \"5000\"\n", "dataRoot: /var/lib/sealer/data\n"} {
		if !strings.Contains(out.String(), said) {
			t.Errorf("no %q in\n%s", said, out.String())
		}
	}
	for i := range read.Cluster.Hosts {
		read.Cluster.Hosts[i].SSH = flags.Cluster.Hosts[i].SSH
	}
	read.Cluster.Registry, read.Cluster.DataRoot = flags.Cluster.Registry, flags.Cluster.DataRoot
	equal(t, "the same without the defaults", meaning(t, read), meaning(t, flags))

	// What stands there as a comment is right, too.
	commented := strings.ReplaceAll(out.String()[strings.Index(out.String(), "#---"):], "#", "")
	if tail, err := Parse("gen", []byte(commented)); err != nil || tail.Kubeadm["ClusterConfiguration"] == nil {
		t.Errorf("%v of\n%s", err, commented)
	}
	d.Spec.SSH.PK = "/k"
	out.Reset()
	if err := Generate(&out, d, nil); err != nil || strings.Contains(out.String(), "passwd") {
		t.Errorf("with a key it asks for a password: %v\n%s", err, out.String())
	}
	if err := Generate(&out, d, []string{"x"}); err == nil {
		t.Error("a variable without value")
	}
}

func TestOverride(t *testing.T) {
	read := func() *Clusterfile {
		c, err := Parse("Clusterfile", []byte(strings.Replace(clusterText, "image: k", "image: k, cmd: [a], cmd_args: [X=1, Y=1], appNames: [web]", 1)))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := read()
	if err := c.Override(nil, nil, nil); err != nil || meaning(t, c) != meaning(t, read()) {
		t.Errorf("nothing changes %s, %v", meaning(t, c), err)
	}
	if err := c.Override([]string{"b"}, []string{"X=2"}, []string{"db"}); err != nil {
		t.Fatal(err)
	}
	if got := c.Cluster; got.Cmd[0] != "b" || got.AppNames[0] != "db" || got.CmdArgs.Variables()["X"] != "2" || got.CmdArgs.Variables()["Y"] != "1" {
		t.Errorf("%+v", got)
	}
	if err := c.Override(nil, []string{"=s3cret"}, nil); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v", err)
	}
}

// A network of the Clusterfile that does not go with one of the image's is told with its place.
func TestLocate(t *testing.T) {
	c, err := Parse("Clusterfile", []byte(clusterText+"---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetworking:\n  podSubnet: 10.96.128.0/17\n"))
	if err != nil {
		t.Fatal(err) // the image decides about the network of the services
	}
	image, err := kubeadm.Parse([]byte("apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\nnetworking: {serviceSubnet: 10.96.0.0/16, dnsDomain: a_b}\nscheduler: {}\n" +
		"---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\ncgroupDriver: x\n"))
	if err != nil {
		t.Fatal(err)
	}
	err = c.Locate(c.Kubeadm.Over(image).Check(nil))
	want := []string{
		"Clusterfile:9:14: ClusterConfiguration.networking.podSubnet: 10.96.128.0/17 overlaps with serviceSubnet 10.96.0.0/16",
		"Clusterfile:9:3: ClusterConfiguration.networking.dnsDomain: \"a_b\" is not a domain name",
		"KubeletConfiguration.cgroupDriver: unknown x: there are systemd, cgroupfs",
	}
	if err == nil || err.Error() != strings.Join(want, "\n") {
		t.Errorf("%v", err)
	}
	if err := c.Locate(nil); err != nil {
		t.Error(err)
	}
}
