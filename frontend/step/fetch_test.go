package step

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
)

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

var amd64 = ocispec.Platform{OS: "linux", Architecture: "amd64"}

// fetch runs the step and returns its answer and its output directory.
func fetch(t *testing.T, req FetchRequest, dockerConfig string) ([]Image, string) {
	t.Helper()
	return fetchCached(t, req, dockerConfig, t.TempDir())
}

func fetchCached(t *testing.T, req FetchRequest, dockerConfig, cache string) ([]Image, string) {
	t.Helper()
	dir := t.TempDir()
	dt, err := json.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	request, config := filepath.Join(dir, "request.json"), filepath.Join(dir, "config.json")
	if err := os.WriteFile(request, dt, 0o644); err != nil {
		t.Fatal(err)
	}
	if dockerConfig != "" {
		if err := os.WriteFile(config, []byte(dockerConfig), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := t.TempDir()
	if err := Fetch(t.Context(), request, config, cache, out); err != nil {
		t.Fatal(err)
	}
	dt, err = os.ReadFile(filepath.Join(out, Fetched))
	if err != nil {
		t.Fatal(err)
	}
	var answer []Image
	if err := json.Unmarshal(dt, &answer); err != nil {
		t.Fatal(err)
	}
	return answer, out
}

func blobsIn(t *testing.T, out string) []string {
	t.Helper()
	blobs, err := filepath.Glob(filepath.Join(out, "*", "registry", "blobs", "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, blob := range blobs {
		dt, err := os.ReadFile(blob)
		if err != nil || digest.FromBytes(dt).Encoded() != filepath.Base(blob) {
			t.Errorf("%s has other bytes (%v)", blob, err)
		}
		names = append(names, "sha256:"+filepath.Base(blob))
	}
	return names
}

func TestFetch(t *testing.T) {
	r := newRegistry(t)
	for name, tt := range map[string]struct {
		index bool
		types [2]string
	}{
		"OCI index":       {true, [2]string{ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest}},
		"Docker list":     {true, [2]string{dockerList, dockerManifest}},
		"OCI manifest":    {false, [2]string{"", ocispec.MediaTypeImageManifest}},
		"Docker manifest": {false, [2]string{"", dockerManifest}},
	} {
		t.Run(name, func(t *testing.T) {
			top, config := r.image(t, tt.types[1], "amd64")
			if tt.index {
				top, config = r.index(t, tt.types[0], tt.types[1])
			}
			request := FetchRequest{Platform: amd64, Images: []Wanted{{Reference: r.reference(top.Digest), Digest: top.Digest, Config: config.Digest}}}
			answer, out := fetch(t, request, "")
			image := answer[0]
			if image.Error != "" || image.Config.Digest != config.Digest || len(image.Layers) != 2 || image.Manifest.MediaType != tt.types[1] {
				t.Fatalf("%+v", image)
			}
			want := []string{image.Manifest.Digest.String()}
			if tt.index {
				if len(image.Indexes) != 1 || image.Indexes[0].Digest != top.Digest || image.Indexes[0].MediaType != tt.types[0] || image.Indexes[0].Size != top.Size {
					t.Fatalf("indexes %+v", image.Indexes)
				}
				want = append(want, top.Digest.String())
			}
			slices.Sort(want)
			if got := blobsIn(t, out); !slices.Equal(got, want) {
				t.Errorf("manifests %q, want %q", got, want)
			}

			request.Blobs = true
			_, out = fetch(t, request, "")
			for _, desc := range append(image.Layers, image.Config) {
				want = append(want, desc.Digest.String())
			}
			slices.Sort(want)
			if got := blobsIn(t, out); !slices.Equal(got, want) {
				t.Errorf("with blobs %q, want %q", got, want)
			}
		})
	}
}

// TestFetchFromATerseRegistry: what the specification leaves optional is not needed.
func TestFetchFromATerseRegistry(t *testing.T) {
	r := newRegistry(t)
	r.terse = true
	top, config := r.index(t, ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest)
	answer, out := fetch(t, FetchRequest{Platform: amd64, Blobs: true, Images: []Wanted{{Reference: r.reference(top.Digest), Digest: top.Digest, Config: config.Digest}}}, "")
	if answer[0].Error != "" || len(blobsIn(t, out)) != 5 {
		t.Errorf("got %+v and %q", answer[0], blobsIn(t, out))
	}
}

// fetchTop fetches what an index leads to on amd64.
func fetchTop(t *testing.T, r *registry, top, config ocispec.Descriptor) (Image, string) {
	t.Helper()
	answer, out := fetch(t, FetchRequest{Platform: amd64, Images: []Wanted{{Reference: r.reference(top.Digest), Digest: top.Digest, Config: config.Digest}}}, "")
	return answer[0], out
}

// TestFetchFollowsIndexes: as BuildKit and containerd do, to the manifest whose config was chosen.
func TestFetchFollowsIndexes(t *testing.T) {
	r := newRegistry(t)
	index := func(children ...ocispec.Descriptor) ocispec.Descriptor {
		return r.indexOf(t, ocispec.MediaTypeImageIndex, children...)
	}
	amd, config := r.image(t, ocispec.MediaTypeImageManifest, "amd64")
	arm, _ := r.image(t, ocispec.MediaTypeImageManifest, "arm64")
	attestation := r.document(t, ocispec.MediaTypeImageManifest, ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest})
	attestation.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
	list := r.indexOf(t, dockerList, onArch(arm, "arm64"), onArch(amd, "amd64"))
	for name, tt := range map[string]struct {
		top     ocispec.Descriptor
		indexes int // on the way
	}{
		"without platform":             {index(amd), 1},
		"attestation first":            {index(attestation, amd), 1},
		"another platform's first":     {index(arm, amd), 1},
		"with platform goes first":     {index(arm, onArch(amd, "amd64")), 1},
		"nested":                       {index(index(onArch(arm, "arm64"), onArch(amd, "amd64"))), 2},
		"nested, with platform":        {index(onArch(index(arm), "arm64"), onArch(index(amd), "amd64")), 2},
		"nested in the second":         {index(index(onArch(arm, "arm64")), index(onArch(amd, "amd64"))), 2},
		"a list of Docker in an index": {index(list), 2},
		"as deep as a store may be":    {r.nested(t, amd, imagespec.MaxIndexDepth), imagespec.MaxIndexDepth},
	} {
		t.Run(name, func(t *testing.T) {
			image, out := fetchTop(t, r, tt.top, config)
			if image.Error != "" {
				t.Fatalf("error %q", image.Error)
			}
			if image.Manifest.Digest != amd.Digest || len(image.Indexes) != tt.indexes || image.Indexes[0].Digest != tt.top.Digest {
				t.Errorf("got manifest %s under %+v, want %s under %d indexes", image.Manifest.Digest, image.Indexes, amd.Digest, tt.indexes)
			}
			if blobs := blobsIn(t, out); len(blobs) != tt.indexes+1 {
				t.Errorf("the step wrote %q, want the manifest and %d indexes", blobs, tt.indexes)
			}
		})
	}
}

// TestFetchRefusesIndexes: those that do not lead to the manifest whose config was chosen.
func TestFetchRefusesIndexes(t *testing.T) {
	r := newRegistry(t)
	index := func(children ...ocispec.Descriptor) ocispec.Descriptor {
		return r.indexOf(t, ocispec.MediaTypeImageIndex, children...)
	}
	amd, config := r.image(t, ocispec.MediaTypeImageManifest, "amd64")
	arm, _ := r.image(t, ocispec.MediaTypeImageManifest, "arm64")
	for name, tt := range map[string]struct {
		top ocispec.Descriptor
		err string
	}{
		"deeper than a store may be": {r.nested(t, amd, imagespec.MaxIndexDepth+1), "nested more than 4 levels"},
		"nothing for the platform":   {index(onArch(arm, "arm64")), "none of the index's manifests"},
		"empty":                      {index(), "none of the index's manifests"},
		"too many":                   {index(slices.Repeat([]ocispec.Descriptor{arm}, maxDocuments)...), "among the first 100"},
	} {
		t.Run(name, func(t *testing.T) {
			if image, _ := fetchTop(t, r, tt.top, config); !strings.Contains(image.Error, tt.err) {
				t.Errorf("error %q, want %q", image.Error, tt.err)
			}
		})
	}
}

func TestFetchReportsEachImage(t *testing.T) {
	r := newRegistry(t)
	good, config := r.image(t, ocispec.MediaTypeImageManifest, "amd64")
	index, _ := r.index(t, ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest)
	forged := r.document(t, ocispec.MediaTypeImageManifest, ocispec.Manifest{})
	r.bytes[forged.Digest] = []byte("{}")
	large := r.document(t, ocispec.MediaTypeImageManifest, map[string]string{"annotation": strings.Repeat("x", imagespec.MaxManifestSize)})
	odd := r.document(t, ocispec.MediaTypeImageManifest, ocispec.Manifest{Config: ocispec.Descriptor{Digest: "sha256:../../x"}})
	long := r.document(t, ocispec.MediaTypeImageManifest, ocispec.Manifest{Config: config, Layers: slices.Repeat([]ocispec.Descriptor{config}, maxLayers+1)})
	broken := r.blob("no JSON")
	r.types[broken.Digest] = ocispec.MediaTypeImageManifest
	missing := digest.FromString("missing")

	var images []Wanted
	for _, dgst := range []digest.Digest{good.Digest, missing, forged.Digest, large.Digest, odd.Digest, long.Digest, broken.Digest, index.Digest} {
		images = append(images, Wanted{Reference: r.reference(dgst), Digest: dgst, Config: config.Digest})
	}
	images[7].Config = missing
	answer, _ := fetch(t, FetchRequest{Platform: amd64, Images: images}, "")
	for i, want := range []string{"", "not found", "other bytes", "larger than", "invalid", "1001 layers", "reading the manifest", "none of the index's manifests"} {
		if got := answer[i].Error; (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("image %d: error %q, want %q", i, got, want)
		}
		if answer[i].Reference != images[i].Reference {
			t.Errorf("image %d is %s", i, answer[i].Reference)
		}
	}
}

func TestFetchChecksBlobs(t *testing.T) {
	for name, bytes := range map[string]string{"others": "COMMON", "too few": "comm", "too many": "common and more"} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			top, config := r.image(t, ocispec.MediaTypeImageManifest, "amd64")
			r.bytes[digest.FromString("common")] = []byte(bytes)
			answer, _ := fetch(t, FetchRequest{Platform: amd64, Blobs: true, Images: []Wanted{
				{Reference: r.reference(top.Digest), Digest: top.Digest, Config: config.Digest},
			}}, "")
			if answer[0].Error == "" {
				t.Error("accepted")
			}
		})
	}
}

// TestFetchKeepsBlobs: a second step fetches no blob again, unless what was kept is damaged.
func TestFetchKeepsBlobs(t *testing.T) {
	r := newRegistry(t)
	top, config := r.image(t, ocispec.MediaTypeImageManifest, "amd64")
	request := FetchRequest{Platform: amd64, Blobs: true, Images: []Wanted{{Reference: r.reference(top.Digest), Digest: top.Digest, Config: config.Digest}}}
	cache := t.TempDir()
	blobs := func() (fetched int) {
		r.gets = nil
		answer, out := fetchCached(t, request, "", cache)
		if answer[0].Error != "" || len(blobsIn(t, out)) != 4 {
			t.Fatalf("%+v; the step wrote %q", answer[0], blobsIn(t, out))
		}
		for _, path := range r.gets {
			if strings.Contains(path, "/blobs/") {
				fetched++
			}
		}
		return fetched
	}
	if first, second := blobs(), blobs(); first != 3 || second != 0 {
		t.Errorf("the first step fetched %d blobs, the second %d", first, second)
	}
	if err := os.WriteFile(filepath.Join(cache, config.Digest.Encoded()), []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if n := blobs(); n != 1 {
		t.Errorf("of a damaged cache %d blobs were fetched again", n)
	}
	entries, err := os.ReadDir(cache)
	if err != nil || len(entries) != 3 {
		t.Errorf("the cache has %v (%v)", entries, err)
	}
}

func TestFetchCredentials(t *testing.T) {
	r := newRegistry(t)
	r.user = "me:secret"
	top, config := r.image(t, ocispec.MediaTypeImageManifest, "amd64")
	request := FetchRequest{Platform: amd64, Images: []Wanted{{Reference: r.reference(top.Digest), Digest: top.Digest, Config: config.Digest}}}
	for name, tt := range map[string]struct {
		auth   string
		denied bool
	}{
		"none":  {"", true},
		"wrong": {`{"auths":{"` + r.host() + `":{"auth":"bWU6d3Jvbmc="}}}`, true},
		"right": {`{"auths":{"` + r.host() + `":{"auth":"bWU6c2VjcmV0"}}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			answer, _ := fetch(t, request, tt.auth)
			if answer[0].Denied != tt.denied || (answer[0].Error != "") != tt.denied {
				t.Errorf("%+v", answer[0])
			}
			if strings.Contains(answer[0].Error, "secret") {
				t.Errorf("the error has the password: %s", answer[0].Error)
			}
		})
	}
}

func TestFetchMirrors(t *testing.T) {
	origin, mirror, empty := newRegistry(t), newRegistry(t), newRegistry(t)
	top, config := origin.image(t, ocispec.MediaTypeImageManifest, "amd64")
	mirror.image(t, ocispec.MediaTypeImageManifest, "amd64")
	request := FetchRequest{
		Platform: amd64,
		Images:   []Wanted{{Reference: origin.reference(top.Digest), Digest: top.Digest, Config: config.Digest}},
		Mirrors:  map[string][]string{origin.host(): {empty.URL, mirror.URL}},
	}
	if answer, _ := fetch(t, request, ""); answer[0].Error != "" || len(mirror.gets) != 1 || len(origin.gets) != 0 {
		t.Errorf("%+v; the mirror was asked for %q, the origin for %q", answer[0], mirror.gets, origin.gets)
	}
	request.Mirrors[origin.host()] = []string{empty.URL}
	if answer, _ := fetch(t, request, ""); answer[0].Error != "" || len(origin.gets) != 1 {
		t.Errorf("%+v; the origin was asked for %q", answer[0], origin.gets)
	}
	request.Mirrors[origin.host()] = []string{"ftp://example.com"}
	origin.Close()
	answer, _ := fetch(t, request, "")
	if !strings.Contains(answer[0].Error, "not an http or https URL") || !strings.Contains(answer[0].Error, "refused") {
		t.Errorf("the error does not name every failure: %s", answer[0].Error)
	}
}

func TestOriginOf(t *testing.T) {
	for host, want := range map[string]string{
		"docker.io":         "https://docker.io",
		"example.com:5000":  "https://example.com:5000",
		"localhost:5000":    "http://localhost:5000",
		"localhost":         "http://localhost",
		"127.0.0.1:5000":    "http://127.0.0.1:5000",
		"[::1]:5000":        "http://[::1]:5000",
		"10.0.0.1:5000":     "https://10.0.0.1:5000",
		"localhost.example": "https://localhost.example",
	} {
		if got := originOf(host); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

func TestChildrenAreSortedByFit(t *testing.T) {
	index := `{"manifests":[
		{"digest":"sha256:v6","platform":{"os":"linux","architecture":"arm","variant":"v6"}},
		{"digest":"sha256:none"},
		{"digest":"sha256:v7","platform":{"os":"linux","architecture":"arm","variant":"v7"}},
		{"digest":"sha256:amd64","platform":{"os":"linux","architecture":"amd64"}}]}`
	fit, err := children([]byte(index), platforms.Only(ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}))
	if err != nil || len(fit) != 3 || fit[0].Digest != "sha256:v7" || fit[1].Digest != "sha256:v6" || fit[2].Digest != "sha256:none" {
		t.Errorf("got %+v (%v), want v7, v6, none", fit, err)
	}
}

func TestRequestsAreChecked(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"no JSON": "{", "unknown field": `{"x":1}`} {
		file := filepath.Join(dir, "request.json")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := Fetch(t.Context(), file, filepath.Join(dir, "none"), dir, dir); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzReadManifest(f *testing.F) {
	f.Add([]byte(`{"config":{"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}`))
	f.Add([]byte(`{"layers":[{"digest":"sha256:x","size":-1}]}`))
	f.Fuzz(func(t *testing.T, dt []byte) {
		var image Image
		if image.ReadManifest(dt) != nil {
			return
		}
		for _, d := range append(image.Layers, image.Config) {
			if d.Digest.Validate() != nil || d.Size < 0 {
				t.Errorf("accepted %+v", d)
			}
		}
	})
}
