//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func (r *road) noRouteOut(t *testing.T) {
	out, err := r.lab.Command(t.Context(), "ip", "route").Output()
	if err != nil {
		t.Fatal(err)
	}
	for route := range strings.Lines(string(out)) { // those of its own networks: one, or two with hosts that have two cards
		if !strings.HasPrefix(route, "10.77.0.0/24 dev ") && !strings.HasPrefix(route, "10.78.0.0/24 dev ") {
			t.Errorf("the hosts' gateway has the route %s", route)
		}
	}
	forward, err := r.lab.Command(t.Context(), "cat", "/proc/sys/net/ipv4/ip_forward").Output()
	if err != nil || strings.TrimSpace(string(forward)) != "0" {
		t.Errorf("the hosts' gateway forwards: %s %v", forward, err)
	}
}

// ship takes the image to the site in every form: from a registry, as OCI and docker archives of the exporter, as a layout directory, and
// through another registry and back.
func (r *road) ship(t *testing.T) {
	dir := t.TempDir()
	oras := filepath.Join(r.env.Bin, "oras")
	from := r.env.Registry + "/" + image

	other := r.env.Registry + "/shipped/away/" + image
	r.local(t, oras, "cp", "--from-plain-http", "--to-plain-http", from, other)
	r.local(t, oras, "cp", "--from-plain-http", "--to-oci-layout", other, dir+"/layout:v2.2.0")
	r.local(t, oras, "cp", "--from-oci-layout", "--to-plain-http", dir+"/layout:v2.2.0", r.env.Registry+"/shipped/back/"+image)

	for form, output := range map[string]string{"oci": "type=oci,dest=" + dir + "/oci.tar,compression=zstd", "docker": "type=docker,dest=" + dir + "/docker.tar"} {
		r.local(t, "docker", "buildx", "build", "--builder", r.env.BuildxBuilder, "-f", "examples/dashboard/Kubefile",
			"--build-arg", "BUILDKIT_SYNTAX="+r.env.Frontend, "--build-arg", "KUBEFILE_MIRRORS", "--provenance=false",
			"--build-context", "kubernetes:v1.34.4=docker-image://"+r.env.Registry+"/kubernetes:v1.34.4",
			"--build-arg", "URL=http://"+r.env.Upstream+"/files/dashboard/recommended.yaml", "--output", output, "examples/dashboard")
		if _, err := os.Stat(filepath.Join(dir, form+".tar")); err != nil {
			t.Fatal(err)
		}
	}

	registry, _, _ := strings.Cut(r.source, "/")
	pulled := r.inspect(t, r.source)
	for _, copied := range []string{registry + "/shipped/back/" + image, dir + "/layout:v2.2.0"} {
		if got := r.inspect(t, copied); got.Digest != pulled.Digest {
			t.Errorf("%s has digest %s, the original %s", copied, got.Digest, pulled.Digest)
		}
	}
	for _, archive := range []string{dir + "/oci.tar", dir + "/docker.tar"} {
		got := r.inspect(t, archive)
		if got.Images != pulled.Images || got.ImageLayers != pulled.ImageLayers || got.RootfsLayers != pulled.RootfsLayers || got.Kind != pulled.Kind {
			t.Errorf("%s is %+v, the original %+v", archive, got, pulled)
		}
	}
	if err := os.Rename(dir+"/oci.tar", filepath.Join(r.home, "oci.tar")); err != nil { // for the tests of damaged archives
		t.Fatal(err)
	}
}

type inspected struct {
	Digest, Kind, KubernetesVersion   string
	Images, ImageLayers, RootfsLayers int
	Commands                          []string
}

func (r *road) inspect(t *testing.T, name string) inspected {
	t.Helper()
	stdout, stderr, err := r.output(r.command(t.Context(), "inspect", name, "--output", "json"))
	if err != nil {
		t.Fatalf("inspect %s: %v: %s", name, err, stderr)
	}
	var got inspected
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if got.Kind != "cluster" || got.KubernetesVersion != "v1.34.4" || len(got.Commands) != 2 || got.Images < 10 {
		t.Errorf("%s is %+v", name, got)
	}
	return got
}

func (r *road) dryRun(t *testing.T) {
	plan := r.succeed(t, r.bringUp("--dry-run", "--output", "json")...)
	var document struct {
		Version int
		Actions []struct{ Phase, Host, What string }
	}
	if err := json.Unmarshal([]byte(plan), &document); err != nil || document.Version != 1 {
		t.Fatalf("%v: %s", err, plan)
	}
	said := map[string]bool{}
	for _, a := range document.Actions {
		said[a.Host+" "+a.What] = true
	}
	for _, want := range []string{
		"10.77.0.11 kubeadm init", "10.77.0.12 kubeadm join", "10.77.0.13 kubeadm join", "10.77.0.12 run scripts/init.sh",
		"10.77.0.13 start kubefile-registry.service", "10.77.0.11 run kubectl apply -f recommended.yaml",
	} {
		if !said[want] {
			t.Errorf("the plan lacks %q:\n%s", want, plan)
		}
	}
}
