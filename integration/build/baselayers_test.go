//go:build lab

package build

import (
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var baseLayersRow = flag.String("baselayers", "", "BUILDKITD,OUTPUT,COMPRESSION: the only row of TestADerivedImageHasTheLayersOfItsBase")

// compressions are those that a base and an image derived from it may have.
var compressions = []string{"gzip", "zstd"}

// outputs export a build to the lab's registry, each in another of BuildKit's ways. The attributes are further ones of the exporter.
var outputs = map[string]func(t *testing.T, builder, dir, ref, attributes string){
	"image": func(t *testing.T, builder, dir, ref, attributes string) {
		export(t, builder, dir, "type=image,push=true,name="+ref+attributes)
	},
	"archive": func(t *testing.T, builder, dir, ref, attributes string) {
		archive := filepath.Join(t.TempDir(), "image.tar")
		export(t, builder, dir, "type=oci,name=app:v1,dest="+archive+attributes)
		copyLayout(t, archive+":v1", ref)
	},
	"directory": func(t *testing.T, builder, dir, ref, attributes string) {
		layout := t.TempDir()
		export(t, builder, dir, "type=oci,name=app:v1,tar=false,dest="+layout+attributes)
		copyLayout(t, layout+":v1", ref)
	},
}

func export(t *testing.T, builder, dir, output string) {
	t.Helper()
	if output, err := buildctl(t, builder, dir, "--output", output); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
}

// copyLayout pushes an image of an OCI layout.
func copyLayout(t *testing.T, layout, ref string) {
	t.Helper()
	if output, err := run(t, tool("oras"), "cp", "--from-oci-layout", layout, "--to-plain-http", ref); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
}

// TestADerivedImageHasTheLayersOfItsBase: also on a builder that built the base itself, and built the same content in another compression,
// before or after. An older BuildKit does not tell images of the same content apart, and may take the layers of the other one, but then all.
func TestADerivedImageHasTheLayersOfItsBase(t *testing.T) {
	t.Parallel()
	rows := []string{"buildkitd,image,gzip", "buildkitd,directory,zstd"}
	if *baseLayersRow != "" {
		rows = []string{*baseLayersRow}
	}
	for _, row := range rows {
		t.Run(strings.ReplaceAll(row, ",", " "), func(t *testing.T) {
			t.Parallel()
			columns := strings.Split(row, ",")
			builder := lab.BuildKitHost
			if columns[0] != "buildkitd" {
				builder = startBuilder(t, columns[0])
			}
			deriveFromEach(t, builder, columns[1], columns[2], columns[0] == "buildkitd")
		})
	}
}

// deriveFromEach builds new content in each compression on one builder, and derives from each of the two bases in each compression. If the
// builder is exact, it takes the layers of the base that is asked for.
func deriveFromEach(t *testing.T, builder, output, first string, exact bool) {
	export, ok := outputs[output]
	if !ok || !slices.Contains(compressions, first) {
		t.Fatalf("there is no output %q or no compression %q", output, first)
	}
	reference := func(name string) string { return lab.Upstream + "/" + name } // old BuildKits know no mirrors with a path
	dir := files{
		"Kubefile": "FROM scratch\nLABEL io.kubefile.kubernetes.version=v1.34.4\n" +
			"COPY --from=" + reference("docker.io/library/busybox:latest") + " /bin /bin\nCOPY new /\nCOPY a.yaml manifests/\n",
		"a.yaml": pod(reference("docker.io/library/redis:8"), reference(big)),
		"new":    fmt.Sprint(time.Now().UnixNano()),
	}.write(t)
	bases := map[string]string{}
	for _, compression := range slices.SortedFunc(slices.Values(compressions), func(a, _ string) int {
		if a == first {
			return -1
		}
		return 1
	}) {
		bases[compression] = newName(t)
		// without force, the second export would use the layers of the first
		export(t, builder, dir, bases[compression], ",force-compression=true,compression="+compression)
	}
	for _, of := range compressions {
		for _, compression := range compressions {
			ref := newName(t)
			derived := files{
				"Kubefile": "FROM " + bases[of] + "\nRUN rm new && echo new > other\nCOPY b.yaml manifests/\n",
				"b.yaml":   pod(reference("quay.io/lab/app:v1")),
			}.write(t)
			export(t, builder, derived, ref, ",compression="+compression)
			pull(t, ref, "linux/amd64").describe(t)
			t.Run(compression+" on "+of, func(t *testing.T) {
				base := bases[of]
				if !exact {
					base = belowOf(t, ref, bases)
				}
				hasLayersOf(t, ref, base, "linux/amd64")
			})
		}
	}
}

// TestABaseThatIsBuiltAgain has the layers that it had before and another config. What was derived from the first one leaves nothing on the
// builder that breaks what is derived from the next one, by a Kubefile or by a Dockerfile. Which of two records of a layer BuildKit takes is chance.
func TestABaseThatIsBuiltAgain(t *testing.T) {
	t.Parallel()
	content := fmt.Sprint(time.Now().UnixNano())
	for again := range 5 {
		base, _ := build(t, files{
			"Kubefile": "FROM scratch\nLABEL io.kubefile.kubernetes.version=v1.34.4 again=" + fmt.Sprint(again) + "\n" +
				"COPY --from=docker.io/library/busybox:latest /bin /bin\nCOPY new /\nCOPY a.yaml manifests/\n",
			"a.yaml": pod("docker.io/library/redis:8", big),
			"new":    content,
		})
		ref, _ := build(t, files{
			"Kubefile": "FROM " + base + "\nRUN test -e new && echo more >> new\nCOPY b.yaml manifests/\n",
			"b.yaml":   pod("quay.io/lab/app:v1"),
		})
		pull(t, ref, "linux/amd64").checkStore(t, "docker.io/library/redis:8", big, "quay.io/lab/app:v1")
		hasLayersOf(t, ref, base, "linux/amd64")
		dir := files{"Dockerfile": "FROM " + base + "\nRUN test -s new && test -e manifests/a.yaml && test -d registry/blobs && echo x > x\n"}.write(t)
		plain := newName(t)
		if output, err := run(t, tool("buildx"), "build", "--builder", lab.BuildxBuilder, "--provenance", "false", "--push", "-t", plain, dir); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		hasLayersOf(t, plain, base, "linux/amd64")
	}
}

// belowOf returns the base that has the lowest layer of a derived image.
func belowOf(t *testing.T, ref string, bases map[string]string) string {
	t.Helper()
	lowest := pull(t, ref, "linux/amd64").manifest.Layers[0].Digest
	for _, base := range bases {
		if pull(t, base, "linux/amd64").manifest.Layers[0].Digest == lowest {
			return base
		}
	}
	t.Fatalf("no base has the lowest layer %s of the derived image", lowest)
	return ""
}

// hasLayersOf expects an image to begin with exactly the layers of its base.
func hasLayersOf(t *testing.T, ref, base, platform string) {
	t.Helper()
	below, all := pull(t, base, platform).manifest.Layers, pull(t, ref, platform).manifest.Layers
	if len(all) <= len(below) || !slices.EqualFunc(below, all[:len(below)], func(a, b ocispec.Descriptor) bool { return a.Digest == b.Digest }) {
		t.Errorf("for %s the base has the layers %v, the derived image has %v", platform, below, all)
	}
}
