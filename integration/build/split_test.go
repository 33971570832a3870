//go:build lab

package build

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
)

// TestRunLeavesTheImagesInTheRegistry: a RUN on a cluster image pulls the rootfs layers of its base and none of the image layers. The result
// has all layers of the base, also where the base is an image that was derived by RUN.
func TestRunLeavesTheImagesInTheRegistry(t *testing.T) {
	first, _ := build(t, files{
		"Kubefile": "FROM scratch\nLABEL io.kubefile.kubernetes.version=v1.34.4\nCOPY a.yaml manifests/\nCMD first\n",
		"a.yaml":   pod("docker.io/library/redis:8", big),
	})
	references := []string{"docker.io/library/redis:8", big}
	base := first
	for i, app := range []string{"quay.io/lab/app:v1", "quay.io/lab/cni:v1", "docker.io/library/nginx:1.29"} {
		content := files{
			"Kubefile": "FROM base\nRUN test -e manifests/a.yaml && mkdir -p etc && touch etc/run" + strconv.Itoa(i) + "\nCOPY . manifests\n",
			"app.yaml": pod(app),
		}
		before := accessLog(t)
		ref := newName(t)
		buildOn(t, newBuilder(t), content.write(t), ref, "--opt", "context:base=docker-image://"+base)
		log := accessLog(t)[len(before):]

		below, derived := pull(t, base, "linux/amd64"), pull(t, ref, "linux/amd64")
		references = append(references, app)
		derived.checkStore(t, references...)
		rootfs, images := below.split(t)
		for _, layer := range images {
			if n := downloaded(t, log, base, layer); n > 0 && i == 0 {
				t.Errorf("%d bytes of image layer %s were pulled", n, layer.Descriptor.Digest)
			}
		}
		if downloaded(t, log, base, rootfs[0]) == 0 {
			t.Error("the rootfs was not pulled, or the access log does not say")
		}
		hasLayersOf(t, ref, base, "linux/amd64")
		base = ref
	}
}

// downloaded returns how many bytes of the layer's blob were sent from the base's repository or another one of this test, according to the
// log. Other tests pull the same blob from their own repositories meanwhile.
func downloaded(t *testing.T, log, base string, layer imagespec.Layer) int {
	t.Helper()
	total := 0
	_, below, _ := strings.Cut(base[:strings.LastIndex(base, ":")], "/")
	_, own, _ := strings.Cut(path.Dir(newName(t)), "/")
	sent := regexp.MustCompile(`"GET /v2/(` + regexp.QuoteMeta(below) + "|" + regexp.QuoteMeta(own) + `/\d+)/blobs/` + layer.Descriptor.Digest.String() +
		` HTTP/1.1" 20[06] (\d+)`)
	for _, match := range sent.FindAllStringSubmatch(log, -1) {
		n, err := strconv.Atoi(match[2])
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	return total
}

// rich is a base with a shell, files to change, and embedded images.
func rich(t *testing.T) string {
	t.Helper()
	ref, _ := build(t, files{
		"Kubefile": `FROM scratch
LABEL io.kubefile.kubernetes.version=v1.34.4
COPY --from=docker.io/library/busybox:latest /bin /bin
COPY a.yaml manifests/
RUN mkdir -p d/sub opaque/sub moved empty links && \
    for f in d/gone d/kept d/sub/x opaque/old opaque/sub/old moved/a mode owner text links/a; do echo $f > $f; done && \
    ln links/a links/b && ln -s ../text links/c && chmod 640 mode
`,
		"a.yaml": pod("docker.io/library/redis:8"),
	})
	return ref
}

// TestRunGivesWhatDockerGives: every kind of change that RUN can make to its base has the same result as with a plain Dockerfile, which
// runs on the whole base.
func TestRunGivesWhatDockerGives(t *testing.T) {
	t.Parallel()
	base := rich(t)
	for name, steps := range map[string]string{
		"files":           "RUN rm d/gone && echo more >> text && echo new > d/new\n",
		"directories":     "RUN rm -r d && rmdir empty && mkdir -p made/in/here\n",
		"opaque":          "RUN rm -r opaque && mkdir -p opaque/sub && echo new > opaque/new\n",
		"renamed":         "RUN mv moved renamed && mv d/kept opaque/old\n",
		"metadata":        "RUN chmod 4755 mode && chown 12:34 owner && chmod 700 d\n",
		"hard links":      "RUN ln text links/d && rm links/b && echo changed >> links/a\n",
		"symbolic links":  "RUN ln -sf /d/kept links/c && ln -s d e\n",
		"kinds":           "RUN rm text && mkdir text && echo x > text/in && rm -r moved && echo file > moved\n",
		"a passing pipe":  "RUN mkfifo pipe && rm pipe && echo after > d/after\n",
		"several":         "RUN rm -r d\nRUN mkdir d && echo again > d/gone\nRUN rm d/gone\n",
		"mixed":           "COPY --link=false x d/\nRUN rm d/kept && mv d/x d/y\nCOPY --link x d/\nRUN cat d/x d/y > both\n",
		"stage":           "RUN rm d/gone\nFROM base AS other\nRUN echo other > o\nFROM stage-0\nCOPY --from=other /o /o\nRUN cat o >> text\n",
		"all of a stage":  "RUN rm d/gone\nFROM scratch\nCOPY --from=stage-0 /registry/refs /copied\nCOPY --from=stage-0 /d /d\n",
		"images mounted":  "RUN --mount=from=base,target=/b find /b/registry/refs -type f > refs\n",
		"all of the base": "COPY --from=base /registry/refs copied/\nRUN rm d/gone\n",
		"no instruction":  "ENV A=b\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := files{"Kubefile": "FROM " + base + " AS base\nFROM base AS stage-0\n" + steps, "x": "x\n"}
			ours, output := build(t, content)
			if strings.Contains(strings.ToLower(output), "warning") {
				t.Errorf("a warning in:\n%s", output)
			}
			docker := newName(t)
			dir := content.write(t)
			if output, err := run(t, tool("buildx"), "build", "--builder", lab.BuildxBuilder, "--provenance", "false", "--push", "-t", docker,
				"-f", filepath.Join(dir, "Kubefile"), dir); err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			if got, want := fileSystem(t, ours), fileSystem(t, docker); !maps.Equal(got, want) {
				t.Errorf("ours differs:\n%s", difference(got, want))
			}
		})
	}
}

// TestRunSeesTheLock: what embedded images there are can be read without them.
func TestRunSeesTheLock(t *testing.T) {
	t.Parallel()
	ref, _ := build(t, files{"Kubefile": "FROM " + base(t) + "\nRUN find /registry -type f > seen && grep -o quay.io/lab/cni:v1 registry/images.lock.json | sort -u >> seen\n"})
	if got := pull(t, ref, "linux/amd64").file(t, "seen"); got != "/registry/images.lock.json\nquay.io/lab/cni:v1\n" {
		t.Errorf("RUN saw %q", got)
	}
}

// TestTheStoreIsNotForKubefiles: it is the build that embeds images.
func TestTheStoreIsNotForKubefiles(t *testing.T) {
	t.Parallel()
	for name, kubefile := range map[string]string{
		"RUN":        "FROM " + base(t) + "\nRUN mkdir -p registry/blobs/sha256 && echo x > registry/blobs/sha256/x\n",
		"COPY":       "FROM scratch\nCOPY x registry/refs/x\n",
		"COPY of it": "FROM " + base(t) + " AS base\nFROM scratch\nCOPY --from=base / /\n",
	} {
		t.Run(name, func(t *testing.T) {
			contains(t, fails(t, files{"Kubefile": kubefile, "x": "x"}), "registry/", "only the build itself adds to them")
		})
	}
	t.Run("another registry's files", func(t *testing.T) {
		build(t, files{"Kubefile": "FROM scratch\nCOPY x registry/docker/registry/v2/x\n", "x": "x"})
	})
	t.Run("removed", func(t *testing.T) {
		ref, _ := build(t, files{"Kubefile": "FROM " + base(t) + "\nRUN rm -r /registry\n"})
		pull(t, ref, "linux/amd64").checkStore(t, "quay.io/lab/cni:v1")
	})
}

// TestRunIsCached: nothing runs and nothing is pulled the second time, also when what is above the RUN has changed.
func TestRunIsCached(t *testing.T) {
	base := base(t)
	content := files{"Kubefile": "FROM " + base + "\nRUN echo a > a\nCOPY x /\n", "x": "x"}
	build(t, content)
	content["x"] = "y"
	before := accessLog(t)
	_, output := build(t, content)
	log := accessLog(t)[len(before):]
	if !regexp.MustCompile(`#(\d+) \[.*\] RUN echo a > a\n#\d+ CACHED`).MatchString(output) {
		t.Errorf("RUN is not cached:\n%s", output)
	}
	for _, layer := range pull(t, base, "linux/amd64").manifest.Layers {
		if downloaded(t, log, base, imagespec.Layer{Descriptor: layer}) > 0 {
			t.Errorf("layer %s of the base was pulled", layer.Digest)
		}
	}
}

// TestPlainCopiesOfEveryPlatform: each platform's base has its own number of layers below its images, and a plain copy runs on them as RUN
// does.
func TestPlainCopiesOfEveryPlatform(t *testing.T) {
	t.Parallel()
	platforms := []string{"linux/amd64", "linux/arm64"}
	base, _ := build(t, files{
		"Kubefile": "FROM scratch AS amd64\nCOPY x one/\nFROM scratch AS arm64\nCOPY x one/\nCOPY x two/\nFROM $TARGETARCH\nCOPY a.yaml manifests/\n",
		"x":        "x",
		"a.yaml":   pod("docker.io/library/redis:8"),
	}, "--platform", strings.Join(platforms, ","))
	ref, _ := build(t, files{
		"Kubefile": "FROM " + base + "\nCOPY --link=false b.yaml manifests/\n",
		"b.yaml":   pod("quay.io/lab/app:v1"),
	}, "--platform", strings.Join(platforms, ","))
	heights := map[int]bool{}
	for _, platform := range platforms {
		rootfs, _ := pull(t, base, platform).split(t)
		pull(t, ref, platform).checkStore(t, "docker.io/library/redis:8", "quay.io/lab/app:v1")
		hasLayersOf(t, ref, base, platform)
		heights[len(rootfs)] = true
	}
	if len(heights) != 2 {
		t.Error("the platforms' bases have the same height")
	}
}

// TestTheBaseKeepsItsLayers however the result is exported, and whichever BuildKit builds it.
func TestTheBaseKeepsItsLayers(t *testing.T) {
	t.Parallel()
	base := rich(t)
	for name, args := range map[string][]string{
		"rewritten timestamps": {"--output", "type=image,push=true,rewrite-timestamp=true,name=", "--build-arg", "SOURCE_DATE_EPOCH=1700000000"},
		"zstd":                 {"--output", "type=image,push=true,compression=zstd,name="},
		"an older BuildKit":    {"--output", "type=image,push=true,name=", "--builder", lab.OldBuildxBuilder},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ref := newName(t)
			args[1] += ref
			dir := files{"Kubefile": "FROM " + base + "\nRUN rm text && echo new > d/new\nCOPY a.yaml manifests/b.yaml\n", "a.yaml": pod("quay.io/lab/app:v1")}.write(t)
			if output, err := buildx(t, dir, args...); err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			pull(t, ref, "linux/amd64").checkStore(t, "docker.io/library/redis:8", "quay.io/lab/app:v1")
			hasLayersOf(t, ref, base, "linux/amd64")
		})
	}
}

// TestBaseFromALayout: a base may be an OCI layout on the user's disk.
func TestBaseFromALayout(t *testing.T) {
	t.Parallel()
	layout := filepath.Join(t.TempDir(), "layout")
	if output, err := run(t, tool("oras"), "cp", "--from-plain-http", base(t), "--to-oci-layout", layout+":v1"); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	ref, _ := build(t, files{"Kubefile": "FROM base\nRUN echo a > a\nCOPY a.yaml manifests/\n", "a.yaml": pod("quay.io/lab/app:v1")},
		"--build-context", "base=oci-layout://"+layout+":v1")
	image := pull(t, ref, "linux/amd64")
	image.checkStore(t, "quay.io/lab/cni:v1", "quay.io/lab/app:v1")
	if _, images := image.split(t); len(images) != 2 {
		t.Errorf("%d image layers, want that of the base and a new one", len(images))
	}
}

// TestBaseWithImagesInTheMiddle: another tool's RUN puts a layer above the images. The build runs on the whole base, and nothing is
// missing.
func TestBaseWithImagesInTheMiddle(t *testing.T) {
	t.Parallel()
	dir := files{"Dockerfile": "FROM " + base(t) + "\nCOPY x /x\n", "x": "x"}.write(t)
	middle := newName(t)
	if output, err := run(t, tool("buildx"), "build", "--builder", lab.BuildxBuilder, "--provenance", "false", "--push", "-t", middle, dir); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	ref, _ := build(t, files{"Kubefile": "FROM " + middle + "\nRUN cat x > y && ls -d registry/refs >> y\nCOPY a.yaml manifests/\n", "a.yaml": pod("quay.io/lab/app:v1")})
	image := pull(t, ref, "linux/amd64")
	image.checkStore(t, "quay.io/lab/cni:v1", "quay.io/lab/app:v1")
	if got := image.file(t, "y"); got != "xregistry/refs\n" {
		t.Errorf("RUN saw %q", got)
	}
	hasLayersOf(t, ref, middle, "linux/amd64")
}

// fileSystem describes each file of an image, without our own files.
func fileSystem(t *testing.T, ref string) map[string]string {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "export.tar")
	if output, err := run(t, tool("crane"), "export", "--insecure", "--platform", "linux/amd64", ref, archive); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[string]string{}
	for h, dt := range tarEntries(t, f) {
		name := strings.TrimSuffix(h.Name, "/")
		if name != imagespec.RegistryDir && name != imagespec.LockPath && !strings.HasPrefix(name, ".kubefile") && !strings.HasPrefix(name, "bin/") {
			all[name] = fmt.Sprintf("%c %o %d:%d %q %s", h.Typeflag, h.Mode, h.Uid, h.Gid, h.Linkname, digest.FromBytes(dt))
		}
	}
	return all
}

// tarEntries yields each entry of an archive with its content, and fails the test for an archive that cannot be read.
func tarEntries(t *testing.T, archive io.Reader) iter.Seq2[*tar.Header, []byte] {
	return func(yield func(*tar.Header, []byte) bool) {
		t.Helper()
		for r := tar.NewReader(archive); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			if !yield(h, data) {
				return
			}
		}
	}
}

func difference(got, want map[string]string) string {
	var text strings.Builder
	for name, what := range got {
		if want[name] != what {
			fmt.Fprintf(&text, "%s is %s, Docker's is %s\n", name, what, want[name])
		}
	}
	for name, what := range want {
		if got[name] == "" {
			fmt.Fprintf(&text, "%s is missing, Docker's is %s\n", name, what)
		}
	}
	return text.String()
}
