//go:build lab

package build

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
)

// spdx is what of an SBOM is of interest here.
type spdx struct {
	Files []struct {
		FileName  string
		Checksums []struct{ Algorithm, ChecksumValue string }
	}
}

// material is one dependency in a provenance of SLSA 1.
type material struct {
	URI    string
	Digest map[string]string
}

func materials(t *testing.T, predicate json.RawMessage) []material {
	t.Helper()
	var provenance struct {
		BuildDefinition struct{ ResolvedDependencies []material }
	}
	decode(t, predicate, &provenance)
	return provenance.BuildDefinition.ResolvedDependencies
}

const (
	spdxPredicate       = "https://spdx.dev/Document"
	provenancePredicate = "https://slsa.dev/provenance/v1"
)

// TestAttestations: with all of them asked for, of two platforms.
func TestAttestations(t *testing.T) {
	t.Parallel()
	kubefile := "FROM scratch\nCOPY a.yaml manifests/\nCMD x\n"
	references := []string{"docker.io/library/nginx:1.29", "docker.io/lab-docker/app:v1"}
	content := pod(references...)
	ref, _ := build(t, files{"Kubefile": kubefile, "a.yaml": content},
		"--sbom=true", "--provenance=mode=max", "--platform", "linux/amd64,linux/arm64")
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		image := pull(t, ref, platform)
		image.checkStore(t, references...)
		predicates, subjects := attestations(t, ref, platform)
		if len(predicates) != 3 || len(subjects) != 3 {
			t.Fatalf("for %s there are %d attestations of %q", platform, len(predicates), subjects)
		}
		lock, err := imagespec.ParseLock(predicates[imagespec.PredicateLock])
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(lock, image.describe(t).Lock) {
			t.Errorf("the attested lock for %s is %+v, the image's %+v", platform, lock, image.describe(t).Lock)
		}
		named := materials(t, predicates[provenancePredicate])
		for _, locked := range lock.Images {
			if !slices.ContainsFunc(named, func(m material) bool { return m.Digest["sha256"] == locked.Digest.Encoded() }) {
				t.Errorf("the provenance for %s has no %s (%s) among %+v", platform, locked.Reference, locked.Digest, named)
			}
		}
		for _, blob := range image.embedded(t, references[0]) {
			if !slices.ContainsFunc(named, func(m material) bool { return m.Digest["sha256"] == blob.Digest.Encoded() }) {
				t.Errorf("the provenance for %s has no blob %s", platform, blob.Digest)
			}
		}
		var bill spdx
		decode(t, predicates[spdxPredicate], &bill)
		if len(bill.Files) != 1 || bill.Files[0].FileName != "manifests/a.yaml" ||
			bill.Files[0].Checksums[0].ChecksumValue != digest.FromString(content).Encoded() {
			t.Errorf("the SBOM for %s lists %+v", platform, bill.Files)
		}
	}
}

// TestAttestationsOfAnOlderBuildKit: there, the step that fetches the blobs names none, but the images are known.
func TestAttestationsOfAnOlderBuildKit(t *testing.T) {
	t.Parallel()
	ref, _ := build(t, small, "--builder", lab.OldBuildxBuilder, "--provenance=mode=max,version=v1", "--sbom=true")
	predicates, _ := attestations(t, ref, "linux/amd64")
	lock := pull(t, ref, "linux/amd64").describe(t).Lock
	attested, err := imagespec.ParseLock(predicates[imagespec.PredicateLock])
	if err != nil || !reflect.DeepEqual(attested, lock) {
		t.Errorf("the attested lock is %+v (%v), the image's %+v", attested, err, lock)
	}
	if predicates[spdxPredicate] == nil {
		t.Error("there is no SBOM")
	}
	provenance := predicates["https://slsa.dev/provenance/v0.2"]
	if provenance == nil {
		t.Fatal("there is no provenance")
	}
	var old struct{ Materials []material }
	decode(t, provenance, &old)
	if !slices.ContainsFunc(old.Materials, func(m material) bool { return m.Digest["sha256"] == lock.Images[0].Digest.Encoded() }) {
		t.Errorf("the provenance does not name %s: %+v", lock.Images[0].Digest, old.Materials)
	}
}

// TestDefaultAttestations: what docker buildx asks for by itself goes into images only, and nothing is attached when nothing is asked.
func TestDefaultAttestations(t *testing.T) {
	t.Parallel()
	dir := small.write(t)
	common := []string{"build", "--builder", lab.BuildxBuilder, "--build-arg", "BUILDKIT_SYNTAX=" + lab.Frontend,
		"--build-arg", "KUBEFILE_MIRRORS=" + lab.Mirrors, "-f", filepath.Join(dir, "Kubefile")}
	ref, tree, archive := newName(t), t.TempDir(), filepath.Join(t.TempDir(), "app.tar")
	for _, args := range [][]string{
		{"-t", ref, "--push", dir},
		{"--output", "type=local,dest=" + tree, dir},
		{"--output", "type=docker,dest=" + archive, dir}, // it cannot hold an index
	} {
		if output, err := run(t, tool("buildx"), append(slices.Clone(common), args...)...); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
	}
	predicates, _ := attestations(t, ref, "linux/amd64")
	if len(predicates) != 2 || predicates[imagespec.PredicateLock] == nil || predicates[provenancePredicate] == nil {
		t.Errorf("attested are %d predicates", len(predicates))
	}
	for _, name := range []string{"images-lock.json", "provenance.json"} {
		if _, err := os.Stat(filepath.Join(tree, name)); !os.IsNotExist(err) {
			t.Errorf("%s is in the exported directory (%v)", name, err)
		}
	}

	plain, _ := build(t, small)
	repo, tag := repository(t, plain)
	if desc, err := repo.Resolve(t.Context(), tag); err != nil || desc.MediaType != "application/vnd.oci.image.manifest.v1+json" {
		t.Errorf("without attestations the image is a %s (%v)", desc.MediaType, err)
	}
	if output, err := buildx(t, dir, "--provenance=mode=max", "--output", "type=local,dest="+tree); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, name := range []string{"images-lock.json", "provenance.json"} {
		if _, err := os.Stat(filepath.Join(tree, name)); err != nil {
			t.Error(err)
		}
	}
}

// TestOwnScanner: the user's scanner sees the rootfs without the embedded images, and further stages where he asks for them.
func TestOwnScanner(t *testing.T) {
	t.Parallel()
	scanner, _ := build(t, files{"Kubefile": `FROM docker.io/library/busybox:latest
COPY <<"E" /scan
ls -d $BUILDKIT_SCAN_SOURCE/manifests/a.yaml $BUILDKIT_SCAN_SOURCE_EXTRAS/sbom-tools/made || exit 1
[ ! -e $BUILDKIT_SCAN_SOURCE/registry ] || exit 2
echo '{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document","predicate":{"name":"scanned"}}' > $BUILDKIT_SCAN_DESTINATION/x.spdx.json
E
ENTRYPOINT ["/bin/sh", "/scan"]
`})
	ref, _ := build(t, files{
		"Kubefile": "FROM scratch AS tools\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nRUN echo x >/made\nFROM scratch\nCOPY a.yaml manifests/\nCOPY --from=tools /made /\n",
		"a.yaml":   small["a.yaml"],
	}, "--sbom=generator="+scanner)
	predicates, _ := attestations(t, ref, "linux/amd64")
	contains(t, string(predicates[spdxPredicate]), "scanned")
}
