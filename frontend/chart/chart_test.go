package chart

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const packed = "what a chart is made of"

// site is a Helm repository at /charts, one that wants a login at /private, and a registry.
func site(t *testing.T) string {
	t.Helper()
	sum := digest.FromString(packed)
	index := fmt.Sprintf(`apiVersion: v1
entries:
  web:
  - {version: 1.2.0, urls: [files/web-1.2.0.tgz], digest: %[1]s}
  - {version: 1.10.0, urls: [files/web-1.10.0.tgz], digest: "sha256:%[1]s"}
  - {version: 2.0.0-rc.1, urls: [files/web.tgz]}
  - {version: latest, urls: [files/web.tgz]}
  bad:
  - {version: 1.0.0, urls: [files/web.tgz], digest: %[2]s}
  - {version: 2.0.0, urls: []}
  - {version: 3.0.0, urls: ["oci://REGISTRY/charts/web:1.0.0_x"]}
  "..":
  - {version: 1.0.0, urls: [files/web.tgz]}
`, sum.Encoded(), digest.FromString("other").Encoded())
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Layers: []ocispec.Descriptor{{MediaType: chartLayer, Digest: sum, Size: int64(len(packed))}},
	})
	if err != nil {
		t.Fatal(err)
	}
	private := func(w http.ResponseWriter, r *http.Request, body string) {
		if user, password, _ := r.BasicAuth(); user != "u" || password != "p" {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, body)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /charts/index.yaml", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, strings.ReplaceAll(index, "REGISTRY", r.Host))
	})
	mux.HandleFunc("GET /charts/files/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, packed) })
	mux.HandleFunc("GET /private/index.yaml", func(w http.ResponseWriter, r *http.Request) { private(w, r, index) })
	mux.HandleFunc("GET /private/files/", func(w http.ResponseWriter, r *http.Request) { private(w, r, packed) })
	mux.HandleFunc("/v2/charts/web/manifests/", func(w http.ResponseWriter, r *http.Request) {
		if name := filepath.Base(r.URL.Path); name != "1.0.0_x" && name != digest.FromBytes(manifest).String() {
			http.NotFound(w, r)
			return
		}
		if r.Method == http.MethodHead { // some registries do
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
		w.(http.Flusher).Flush() // neither length nor digest
		w.Write(manifest)
	})
	mux.HandleFunc("GET /v2/charts/web/blobs/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, packed) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestFetch(t *testing.T) {
	host := site(t)
	config := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(config, []byte(`{"auths":{"`+host+`":{"auth":"dTpw"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		source, checksum string
		want             string // the file
		err              string
	}{
		"version":            {source: "helm+http://HOST/charts/web@1.2.0", want: "web-1.2.0.tgz"},
		"newest":             {source: "helm+http://HOST/charts/web", want: "web-1.10.0.tgz"},
		"range":              {source: "helm+http://HOST/charts/web@~1.2", want: "web-1.2.0.tgz"},
		"no number":          {source: "helm+http://HOST/charts/web@latest", want: "web-latest.tgz"},
		"login":              {source: "helm+http://HOST/private/web@1.2.0", want: "web-1.2.0.tgz"},
		"through an index":   {source: "helm+http://HOST/charts/bad@3.0.0", want: "web-1.0.0+x.tgz"},
		"tag":                {source: "oci://HOST/charts/web:1.0.0_x", want: "web-1.0.0+x.tgz"},
		"version as in helm": {source: "oci://HOST/charts/web@1.0.0+x", want: "web-1.0.0+x.tgz"},
		"checksum":           {source: "oci://HOST/charts/web:1.0.0_x", checksum: digest.FromString(packed).String(), want: "web-1.0.0+x.tgz"},
		"no such version":    {source: "helm+http://HOST/charts/web@9", err: "version 9 not found"},
		"no such chart":      {source: "helm+http://HOST/charts/other@9", err: "not found in the repository"},
		"no repository":      {source: "helm+http://HOST/nothing/web", err: "404"},
		"no chart":           {source: "helm+http://HOST", err: "write helm://REPOSITORY/CHART@VERSION"},
		"other bytes":        {source: "helm+http://HOST/charts/bad@1.0.0", err: "the downloaded content does not have the digest sha256:"},
		"other checksum":     {source: "helm+http://HOST/charts/web@1.2.0", checksum: digest.FromString("x").String(), err: "the downloaded content does not have the digest sha256:"},
		"no URL":             {source: "helm+http://HOST/charts/bad@2.0.0", err: "has no URL"},
		"leaves":             {source: "helm+http://HOST/charts/..@1.0.0", err: "is not a valid file name"},
		"no version":         {source: "oci://HOST/charts/web", err: "a version is missing"},
		"no tag":             {source: "oci://HOST/charts/web:2", err: "not found"},
		"no checksum":        {source: "oci://HOST/charts/web:2", checksum: "md5:1", err: "unsupported digest algorithm"},
		"scheme":             {source: "ftp://HOST/charts/web", err: "use helm:// or oci://"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "applications", "web")
			args := []string{strings.ReplaceAll(tt.source, "HOST", host), dir}
			if tt.checksum != "" {
				args = append([]string{"--checksum=" + tt.checksum}, args...)
			}
			err := Fetch(t.Context(), args, config)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
					t.Errorf("left %v", left)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(dir, tt.want))
			if err != nil || string(got) != packed {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}
