//go:build lab

package build

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/environment"
)

// TestApplicationExamples builds the examples without Kubernetes in them.
func TestApplicationExamples(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ images, commands []string }{
		"redis": {[]string{"docker.io/library/redis:7.0"}, []string{
			"kubectl apply -f manifests/namespace.yaml",
			"kubectl create configmap redis-scripts --namespace redis --from-file files/start.sh --dry-run=client --output yaml | kubectl apply -f -",
			"kubectl apply --namespace redis -f manifests",
			"kubectl rollout status statefulset/redis --namespace redis --timeout 10m",
		}},
		"mysql-cluster": {[]string{"docker.io/library/mariadb:10.11"}, []string{
			"sh scripts/volumes.sh",
			"helm upgrade --install mysql ./charts/mysql --namespace mysql --create-namespace -f etc/mysql.yaml",
			"kubectl rollout status statefulset/mysql --namespace mysql --timeout 10m",
		}},
		"web": {[]string{"docker.io/library/busybox:1.35"}, []string{
			"helm upgrade --install web ./applications/web --namespace web --create-namespace --values etc/values.yaml",
			"kubectl apply -f applications/probe/probe.yaml",
			"kubectl rollout status deployment/web --namespace web --timeout 5m",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ref, output := build(t, filesOf(t, filepath.Join("../../examples", name)))
			if strings.Contains(output, "WARN") {
				t.Errorf("the example gives warnings:\n%s", output)
			}
			image := pull(t, ref, "linux/amd64")
			image.checkStore(t, tt.images...)
			if kind := image.describe(t).Kind; kind != imagespec.KindApp {
				t.Errorf("kind %q", kind)
			}
			if got := commandsOf(t, ref); !slices.Equal(got, tt.commands) {
				t.Errorf("it runs\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(tt.commands, "\n"))
			}
		})
	}
}

// TestNetworkFollowsPodSubnet renders the network plugin's manifest of examples/kubernetes for several clusters.
func TestNetworkFollowsPodSubnet(t *testing.T) {
	t.Parallel()
	const manifest = "applications/flannel/kube-flannel.yml"
	image := pull(t, kubernetes(t), "linux/amd64")
	template := image.file(t, manifest+".tmpl")
	const iface = "'--iface=$(HOST_IP)'"
	for _, tt := range []struct {
		subnet, host string
		want         map[string]any
		iface        bool
	}{
		{"", "10.0.0.1", map[string]any{"Network": "10.244.0.0/16"}, true},
		{"10.200.0.0/16", "10.0.0.1", map[string]any{"Network": "10.200.0.0/16"}, true},
		{"10.200.0.0/16", "fd77::1", map[string]any{"Network": "10.200.0.0/16"}, false},
		{"10.200.0.0/16,fd00:10::/56", "10.0.0.1", map[string]any{"Network": "10.200.0.0/16", "EnableIPv6": true, "IPv6Network": "fd00:10::/56"}, true},
		{"10.200.0.0/16,fd00:10::/56", "fd77::1", map[string]any{"Network": "10.200.0.0/16", "EnableIPv6": true, "IPv6Network": "fd00:10::/56"}, false},
		{"fd00:10::/56", "fd77::1", map[string]any{"EnableIPv4": false, "EnableIPv6": true, "IPv6Network": "fd00:10::/56"}, true},
	} {
		set := environment.Set{"POD_SUBNET": {tt.subnet}, "HOST_IP": {tt.host}}
		rendered, err := set.Render(map[string][]byte{manifest + ".tmpl": []byte(template)})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(rendered[manifest]), iface); got != tt.iface {
			t.Errorf("podSubnet %q on host %s: %s is there: %t, want %t", tt.subnet, tt.host, iface, got, tt.iface)
		}
		got, want := netConf(t, string(rendered[manifest])), tt.want
		want = maps.Clone(want)
		want["EnableNFTables"], want["Backend"] = false, map[string]any{"Type": "vxlan"}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("podSubnet %q gives %v, want %v", tt.subnet, got, want)
		}
	}
	for _, locked := range image.describe(t).Lock.Images {
		for _, found := range locked.Found {
			if strings.Contains(locked.Reference, "flannel") && found.File != manifest+".tmpl" {
				t.Errorf("%s was found at %+v", locked.Reference, found)
			}
		}
	}
}

// netConf is flannel's configuration in its manifest.
func netConf(t *testing.T, manifest string) (conf map[string]any) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(manifest))
	for {
		var document struct {
			Kind string
			Data map[string]string
		}
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			t.Fatal("the manifest has no ConfigMap")
		}
		if err != nil {
			t.Fatal(err)
		}
		if document.Kind != "ConfigMap" {
			continue
		}
		if err := json.Unmarshal([]byte(document.Data["net-conf.json"]), &conf); err != nil {
			t.Fatalf("%v: %s", err, document.Data["net-conf.json"])
		}
		return conf
	}
}
