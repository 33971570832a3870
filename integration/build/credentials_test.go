package build

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// private is a registry with the stand-in's images, for one user only. It returns its address and a config.json with the
// credentials.
func private(t *testing.T) (address, config string) {
	t.Helper()
	upstream, err := url.Parse("http://" + lab.Upstream)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(upstream)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "user" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="lab"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		r.Header.Del("Authorization")
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	address = strings.TrimPrefix(server.URL, "http://")
	config = filepath.Join(t.TempDir(), "config.json")
	auth := base64.StdEncoding.EncodeToString([]byte("user:secret"))
	if err := os.WriteFile(config, fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, address, auth), 0o600); err != nil {
		t.Fatal(err)
	}
	return address, config
}

func TestPrivateRegistry(t *testing.T) {
	address, config := private(t)
	t.Setenv("DOCKER_CONFIG", filepath.Dir(config)) // what docker login has written; BuildKit asks for it
	oci, docker := address+"/docker.io/library/redis:8", address+"/docker.io/lab-docker/app:v1"

	t.Run("without the secret", func(t *testing.T) {
		dir := files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod(oci, docker)}.write(t)
		output, err := buildctl(t, lab.BuildKitHost, dir)
		if err == nil {
			t.Fatal("the build did not fail")
		}
		contains(t, output, "an image cannot be embedded", "a.yaml:8: "+oci, "--secret id=kubefile.dockerconfig,src=$HOME/.docker/config.json")
		if strings.Contains(output, "secret:") || strings.Contains(output, "user:") {
			t.Errorf("credentials are in the output:\n%s", output)
		}
	})
	t.Run("BuildKit's own way is enough for Docker's media types", func(t *testing.T) {
		dir := files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod(docker)}.write(t)
		if output, err := buildctl(t, lab.BuildKitHost, dir); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
	})
	for name, host := range map[string]string{"with the secret": lab.BuildKitHost, "with the secret, on an older BuildKit": lab.OldBuildKitHost} {
		t.Run(name, func(t *testing.T) {
			dir := files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod(oci)}.write(t)
			ref := newName(t)
			buildOn(t, host, dir, ref, "--secret", "id=kubefile.dockerconfig,src="+config)
			lock := pull(t, ref, "linux/amd64").describe(t).Lock
			if len(lock.Images) != 1 || lock.Images[0].Reference != oci {
				t.Errorf("embedded is %+v", lock.Images)
			}
		})
	}
	t.Run("without the secret, on an older BuildKit", func(t *testing.T) {
		dir := files{"Kubefile": "FROM scratch\nCOPY a.yaml /\n", "a.yaml": pod(docker)}.write(t)
		output, err := buildctl(t, lab.OldBuildKitHost, dir)
		if err == nil {
			t.Fatal("the build did not fail")
		}
		contains(t, output, "a.yaml:8: "+docker, "--secret id=kubefile.dockerconfig,src=$HOME/.docker/config.json")
	})
}
