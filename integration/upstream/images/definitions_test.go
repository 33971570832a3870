package images

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/distribution/reference"
)

// imagesOf returns the images of a manifest as full references, sorted.
func imagesOf(t *testing.T, manifest string) []string {
	t.Helper()
	data, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, match := range regexp.MustCompile(`(?m)^\s*image: (\S+)$`).FindAllSubmatch(data, -1) {
		named, err := reference.ParseNormalizedNamed(string(match[1]))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, named.String())
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestDashboardIsThatOfTheManifest(t *testing.T) {
	var defined []string
	for _, d := range (Sources{}).dashboard() {
		defined = append(defined, d.References...)
	}
	if want := imagesOf(t, "../../testdata/dashboard/recommended.yaml"); !slices.Equal(defined, want) {
		t.Errorf("defined are %q, the manifest has %q", defined, want)
	}
}

func TestWithoutSetsNothingOfTheClusterIsMade(t *testing.T) {
	src := Sources{Tools: t.TempDir(), Programs: t.TempDir()}
	if err := os.WriteFile(filepath.Join(src.Tools, "busybox-amd64"), []byte("#!/bin/sh\necho sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	definitions, err := Definitions(t.Context(), src, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range definitions {
		got = append(got, d.References[0])
	}
	want := []string{
		"docker.io/kubernetesui/dashboard:v2.2.0", "docker.io/kubernetesui/metrics-scraper:v1.0.6",
		"docker.io/library/busybox:latest", "docker.io/docker/buildkit-syft-scanner:stable-1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := Definitions(t.Context(), src, []Set{"clusters"}); err == nil || !strings.Contains(err.Error(), "cluster, databases") {
		t.Errorf("got %v for a set that does not exist, want an error with the sets", err)
	}
}
