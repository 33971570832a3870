package frontend

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	bkllb "github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/frontend/discovery"
	"github.com/kubefile/kubefile/frontend/kubefile"
	"github.com/kubefile/kubefile/imagespec"
)

func TestAlign(t *testing.T) {
	layer := func(by string) ocispec.History { return ocispec.History{CreatedBy: by} }
	empty := func(by string) ocispec.History { return ocispec.History{CreatedBy: by, EmptyLayer: true} }
	pad := layer("KUBEFILE layer of the base")
	for name, tt := range map[string]struct {
		history   []ocispec.History
		inherited int
		layers    int
		want      []ocispec.History
	}{
		"right":                     {[]ocispec.History{layer("base"), empty("ENV"), layer("COPY")}, 1, 2, []ocispec.History{layer("base"), empty("ENV"), layer("COPY")}},
		"base without history":      {[]ocispec.History{layer("COPY")}, 0, 3, []ocispec.History{pad, pad, layer("COPY")}},
		"base with too little":      {[]ocispec.History{layer("base"), layer("COPY")}, 1, 3, []ocispec.History{layer("base"), pad, layer("COPY")}},
		"base that claims too many": {[]ocispec.History{layer("one"), empty("CMD"), layer("two"), layer("COPY")}, 3, 2, []ocispec.History{layer("one"), empty("CMD"), empty("two"), layer("COPY")}},
		"nothing":                   {nil, 0, 0, []ocispec.History{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := align(tt.history, tt.inherited, tt.layers); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestRootfsLayersOfAPlatform(t *testing.T) {
	r := newResolver(nil)
	config := func(labels string, rootfs int) []byte {
		var history, ids []string
		for i := range rootfs + 1 {
			entry := "{}"
			if i == rootfs {
				entry = `{"comment":"io.kubefile.layer=images"}`
			}
			history, ids = append(history, entry), append(ids, `"sha256:x"`)
		}
		return fmt.Appendf(nil, `{"os":"linux","architecture":"amd64","config":{"Labels":{%s}},"rootfs":{"diff_ids":[%s]},"history":[%s]}`,
			labels, strings.Join(ids, ","), strings.Join(history, ","))
	}
	on := func(arch string) *ocispec.Platform { return &ocispec.Platform{OS: "linux", Architecture: arch} }
	const cluster = `"io.kubefile.version":"1"`
	index := digest.FromString("index")
	for arch, layers := range map[string]int{"amd64": 2, "arm64": 3} {
		r.remember("example.com/base:v1", index, config(cluster, layers), sourceresolver.Opt{ImageOpt: &sourceresolver.ResolveImageOpt{Platform: on(arch)}})
	}
	r.remember("example.com/context:v1", digest.FromString("manifest"), config(cluster, 1), sourceresolver.Opt{})
	r.remember("example.com/other:v1", digest.FromString("other"), config("", 1), sourceresolver.Opt{})
	for _, tt := range []struct {
		image    string
		platform *ocispec.Platform
		want     int
	}{
		{"example.com/base:v1@" + index.String(), on("amd64"), 2},
		{"example.com/base:v1", on("arm64"), 3},
		{"example.com/base:v1", on("s390x"), 0},
		{"example.com/context:v1", on("amd64"), 1},
		{"example.com/other:v1", on("amd64"), 0},
	} {
		if got, ok := r.rootfsLayers(tt.image, tt.platform); got != tt.want || ok != (tt.want > 0) {
			t.Errorf("%s on %s: %d %v, want %d", tt.image, tt.platform.Architecture, got, ok, tt.want)
		}
	}
}

func TestParseMirrors(t *testing.T) {
	got, err := parseMirrors("docker.io=https://a.example.com/, docker.io=http://b:5000/hub,quay.io=https://c")
	want := map[string][]string{"docker.io": {"https://a.example.com", "http://b:5000/hub"}, "quay.io": {"https://c"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v (%v), want %v", got, err, want)
	}
	for _, bad := range []string{"docker.io", "=https://a", "docker.io=a.example.com", "docker.io=ftp://a"} {
		if _, err := parseMirrors(bad); err == nil || !strings.Contains(err.Error(), mirrorsArg) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestProxyOf(t *testing.T) {
	if proxyOf(map[string]string{"VERSION": "1"}) != nil {
		t.Error("a proxy out of nothing")
	}
	got := proxyOf(map[string]string{"HTTP_PROXY": "a", "https_proxy": "b", "NO_PROXY": "c"})
	if want := (bkllb.ProxyEnv{HTTPProxy: "a", HTTPSProxy: "b", NoProxy: "c"}); got == nil || *got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestCommandLine(t *testing.T) {
	for want, got := range map[string][]string{
		"/bin/sh -c a b":  commandLine(imagespec.Command{Shell: "a b"}, nil),
		"/bin/bash -ec a": commandLine(imagespec.Command{Shell: "a"}, []string{"/bin/bash", "-ec"}),
		"a b":             commandLine(imagespec.Command{Exec: []string{"a", "b"}}, []string{"/bin/bash", "-ec"}),
	} {
		if strings.Join(got, " ") != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestCheckCaps(t *testing.T) {
	for _, good := range []string{"", "moby.buildkit.frontend.inputs", "moby.buildkit.frontend.contexts+forward,moby.buildkit.frontend.subrequests"} {
		if err := checkCaps(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	var unsupported *errdefs.UnsupportedFrontendCapError
	if err := checkCaps("moby.buildkit.frontend.inputs,moby.buildkit.frontend.flying"); !errors.As(err, &unsupported) {
		t.Errorf("%v", err)
	}
}

func TestMediaTypeOf(t *testing.T) {
	for text, want := range map[string]string{
		`{"mediaType":"application/vnd.docker.distribution.manifest.v2+json"}`: "application/vnd.docker.distribution.manifest.v2+json",
		`{"manifests":[]}`: ocispec.MediaTypeImageIndex,
		`{"layers":[]}`:    ocispec.MediaTypeImageManifest,
		`no JSON`:          "",
	} {
		if got := mediaTypeOf([]byte(text)); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestGroup(t *testing.T) {
	finding := func(reference, file string, class imagespec.Class) discovery.Finding {
		return discovery.Finding{Reference: reference, Finding: imagespec.Finding{File: file, Class: class}}
	}
	groups := group([]discovery.Finding{
		finding("b", "2", imagespec.ClassMaybe), finding("a", "1", imagespec.ClassStrong),
		finding("b", "3", imagespec.ClassCertain), finding("b", "1", imagespec.ClassMaybe),
	})
	if len(groups) != 2 || groups[0].reference != "a" || groups[1].reference != "b" {
		t.Fatalf("%+v", groups)
	}
	var files string
	for _, f := range groups[1].findings {
		files += f.File
	}
	if files != "312" {
		t.Errorf("the surest first: %s, want 312", files)
	}
}

func TestUnresolved(t *testing.T) {
	err := unresolved{{
		found: found{reference: "docker.io/a/b:v1", findings: []imagespec.Finding{
			{File: "manifests/a.yaml", Line: 7, Rule: "pod-spec"}, {File: "images.txt", Rule: "image-list"},
		}},
		err: errors.New("not found"),
	}}
	want := `an image cannot be embedded:
manifests/a.yaml:7: docker.io/a/b:v1 (pod-spec)
images.txt: docker.io/a/b:v1 (image-list)
    not found
`
	if !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got\n%s\nwant\n%s", err, want)
	}
}

func TestStoreLeavesOutWhatTheBaseHas(t *testing.T) {
	name, err := imagespec.ParseReference("docker.io/library/nginx:1")
	if err != nil {
		t.Fatal(err)
	}
	desc := func(s string) ocispec.Descriptor {
		return ocispec.Descriptor{Digest: digest.FromString(s), Size: int64(len(s))}
	}
	e := embedded{wanted: wanted{name: name, digest: digest.FromString("index")}}
	e.Indexes, e.Manifest, e.Config, e.Layers = []ocispec.Descriptor{desc("index"), desc("inner")}, desc("manifest"), desc("config"), []ocispec.Descriptor{desc("layer")}
	p := &platformBuild{build: &build{}}
	if e.blobs, err = blobsOf(e, inRegistry(e.name), true); err != nil {
		t.Fatal(err)
	}
	for base, want := range map[string]int{"": 5, "index": 4, "manifest": 2, "index manifest": 1, "other": 5} {
		lock := imagespec.NewLock()
		for _, s := range strings.Fields(base) {
			lock.Images = append(lock.Images, imagespec.LockedImage{Digest: digest.FromString(s)})
		}
		p.base = &imagespec.Description{Lock: lock}
		blobs, files, err := p.store([]embedded{e})
		if err != nil || len(blobs) != want || len(files) != 2 {
			t.Errorf("base with %q: %d blobs, %d files (%v), want %d, 2", base, len(blobs), len(files), err, want)
		}
	}
}

// gateway answers for images only.
type gateway struct {
	client.Client
	asked []string
}

func (g *gateway) ResolveImageConfig(_ context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	g.asked = append(g.asked, ref+" "+opt.LogName)
	config := `{}`
	if strings.Contains(ref, "kubernetes") {
		config = `{"config":{"Labels":{"` + imagespec.LabelVersion + `":"1"}}}`
	}
	return ref, digest.FromString(ref), []byte(config), nil
}

func TestResolverAsksOnceAndRemembersClusterImages(t *testing.T) {
	g := &gateway{}
	r := newResolver(g)
	for _, ref := range []string{"docker.io/library/kubernetes:v1", "docker.io/library/kubernetes:v1", "docker.io/library/debian:12"} {
		for _, name := range []string{"one", "two"} {
			if _, _, _, err := r.ResolveImageConfig(t.Context(), ref, sourceresolver.Opt{LogName: name}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(g.asked) != 2 {
		t.Errorf("asked for %q", g.asked)
	}
	arm := &ocispec.Platform{OS: "linux", Architecture: "arm64"}
	opt := sourceresolver.Opt{ImageOpt: &sourceresolver.ResolveImageOpt{Platform: arm}}
	if _, _, _, err := r.ResolveImageConfig(t.Context(), "docker.io/library/debian:12", opt); err != nil || len(g.asked) != 3 {
		t.Errorf("another platform is another question: %q (%v)", g.asked, err)
	}
	for ref, want := range map[string]bool{
		"docker.io/library/kubernetes:v1": true,
		"docker.io/library/kubernetes:v1@" + digest.FromString("docker.io/library/kubernetes:v1").String(): true,
		"docker.io/library/debian:12": false,
		"docker.io/library/unseen:1":  false,
	} {
		if r.isCluster(ref) != want {
			t.Errorf("%s: %v", ref, !want)
		}
	}
}

// flaky fails a number of times before it answers.
type flaky struct {
	gateway
	err   error
	times int
}

func (f *flaky) ResolveImageConfig(ctx context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	if f.times > 0 {
		f.times--
		return "", "", nil, f.err
	}
	return f.gateway.ResolveImageConfig(ctx, ref, opt)
}

func TestResolverAsksAgain(t *testing.T) {
	for text, again := range map[string]bool{
		"failed to resolve source metadata for quay.io/a:v1: unexpected status from HEAD request to http://x/v2/a/manifests/v1: 502 Bad Gateway": true,
		"unexpected status from GET request to https://x/v2/: 429 Too Many Requests":                                                             true,
		"read tcp 10.0.0.1:4->10.0.0.2:443: read: connection reset by peer":                                                                      true,
		"dial tcp 10.0.0.2:443: connect: connection refused":                                                                                     true,
		"dial tcp 10.0.0.2:443: i/o timeout":                                                                                                     true,
		"Get \"https://x/v2/\": EOF":                                                                                                             true,
		"unexpected status from HEAD request to http://x/v2/a/manifests/v1: 401 Unauthorized":                                                    false,
		"quay.io/a:v502: not found":                                                                                                              false,
	} {
		f := &flaky{err: errors.New(text), times: maxAttempts - 1}
		r := newResolver(f)
		r.pause = 0
		if _, _, _, err := r.ResolveImageConfig(t.Context(), "quay.io/a:v1", sourceresolver.Opt{}); (err == nil) != again {
			t.Errorf("%s: got %v, want another attempt: %v", text, err, again)
		}
	}
	r := newResolver(&flaky{err: errors.New("i/o timeout"), times: maxAttempts})
	r.pause = 0
	if _, _, _, err := r.ResolveImageConfig(t.Context(), "quay.io/a:v1", sourceresolver.Opt{}); err == nil {
		t.Error("a registry that is always away was asked without an end")
	}
}

func TestLocated(t *testing.T) {
	text := []byte("FROM scratch\nNONE x\n")
	_, err := kubefile.Parse(text)
	source := bkllb.NewSourceMap(nil, "Kubefile", "Kubefile", text)
	source.Definition = &bkllb.Definition{}
	sources := errdefs.Sources(located(err, source))
	if len(sources) != 1 || sources[0].Info.Filename != "Kubefile" || sources[0].Ranges[0].Start.Line != 2 {
		t.Errorf("%+v", sources)
	}
	if other := errors.New("no place"); located(other, source) != other {
		t.Error("an error without a place was changed")
	}
}
