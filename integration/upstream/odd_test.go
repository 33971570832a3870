package upstream

import (
	"encoding/json"
	"net/http"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestOddImages(t *testing.T) {
	address := start(t, Options{})
	store, outer := pull(t, address, "docker.io/lab-nested/app", "v1")
	inner := decode[ocispec.Index](t, store, outer).Manifests
	if len(inner) != 1 || inner[0].MediaType != ocispec.MediaTypeImageIndex || inner[0].Platform != nil {
		t.Fatalf("lab-nested has %+v, want an index without platform", inner)
	}
	if children := decode[ocispec.Index](t, store, inner[0]).Manifests; len(children) != 4 {
		t.Errorf("lab-nested has %d manifests, want two platforms with attestations", len(children))
	}
	store, outer = pull(t, address, "docker.io/lab-no-platform/app", "v1")
	if children := decode[ocispec.Index](t, store, outer).Manifests; len(children) != 1 || children[0].Platform != nil {
		t.Errorf("lab-no-platform has %+v, want a manifest without platform", children)
	}
}

func TestFlakyAnswersTheSecondTime(t *testing.T) {
	address := start(t, Options{})
	for _, want := range []int{http.StatusBadGateway, http.StatusOK, http.StatusOK} {
		if answer := get(t, http.MethodHead, address, "/v2/docker.io/lab-flaky/app/manifests/v1", ocispec.MediaTypeImageIndex); answer.StatusCode != want {
			t.Errorf("%s, want %d", answer.Status, want)
		}
	}
}

func TestIncompleteLacksALayer(t *testing.T) {
	address := start(t, Options{})
	body := get(t, http.MethodGet, address, "/v2/docker.io/lab-incomplete/app/manifests/v1", ocispec.MediaTypeImageIndex).Body
	var index ocispec.Index
	if err := json.NewDecoder(body).Decode(&index); err != nil {
		t.Fatal(err)
	}
	var manifest ocispec.Manifest
	body = get(t, http.MethodGet, address, "/v2/docker.io/lab-incomplete/app/manifests/"+index.Manifests[0].Digest.String(), ocispec.MediaTypeImageManifest).Body
	if err := json.NewDecoder(body).Decode(&manifest); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{http.StatusOK, http.StatusNotFound} {
		if answer := get(t, http.MethodGet, address, "/v2/docker.io/lab-incomplete/app/blobs/"+manifest.Layers[i].Digest.String()); answer.StatusCode != want {
			t.Errorf("layer %d: %s, want %d", i, answer.Status, want)
		}
	}
}
