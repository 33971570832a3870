//go:build lab

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
	"sync"
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

// TestABaseGetsNoCredentials: a base that names a proxy and certificates of its own hears nothing of a derived image's charts, and no
// instruction that a base may carry gets what is meant for the steps of the frontend.
func TestABaseGetsNoCredentials(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var heard []string
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, fmt.Sprint(r.Method, " ", r.URL, " ", r.Header))
		http.Error(w, "thank you", http.StatusBadGateway)
	}))
	t.Cleanup(evil.Close)
	var environment strings.Builder
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		fmt.Fprintf(&environment, "ENV %s=%s\n", name, evil.URL)
	}
	base, _ := build(t, files{"Kubefile": "FROM scratch\n" + environment.String() + "ENV SSL_CERT_FILE=/evil.pem SSL_CERT_DIR=/ NO_PROXY=none\nCOPY a.yaml /\n", "a.yaml": "a: 1\n"})
	config := filepath.Join(t.TempDir(), "config.json")
	auth := base64.StdEncoding.EncodeToString([]byte("user:secret"))
	if err := os.WriteFile(config, fmt.Appendf(nil, `{"auths":{"charts.invalid":{"auth":%q}}}`, auth), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := []string{"--secret", "id=kubefile.dockerconfig,src=" + config}
	for _, source := range []string{"oci://charts.invalid/web:1.0.0", "helm://charts.invalid/stable/web@1.0.0", "helm+http://charts.invalid/stable/web@1.0.0"} {
		output := fails(t, files{"Kubefile": "FROM " + base + "\nAPP web " + source + "\n"}, secret...)
		contains(t, output, "Kubefile:2", "charts.invalid")
	}
	for _, mount := range []string{"id=kubefile.dockerconfig", "id=kubefile.dockerconfig,env=STOLEN", "id=kubefile.dockerconfig,target=/x"} {
		output := fails(t, files{"Kubefile": "FROM " + base + "\nRUN --mount=type=secret," + mount + " cat /run/secrets/*\n"}, secret...)
		contains(t, output, "Kubefile:2", "for the steps of the frontend only")
	}
	trap, _ := build(t, files{"Kubefile": "FROM scratch\nONBUILD RUN --mount=type=secret,id=kubefile.dockerconfig cat /run/secrets/*\nCOPY a.yaml /\n", "a.yaml": "a: 1\n"})
	contains(t, fails(t, files{"Kubefile": "FROM " + trap + "\nCMD true\n"}, secret...), "for the steps of the frontend only")
	mu.Lock()
	defer mu.Unlock()
	if len(heard) > 0 {
		t.Errorf("the base's proxy heard %q", heard)
	}
}
