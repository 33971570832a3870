package remote

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/kubefile/kubefile/imagespec"
)

// TestHintsOfRegistryErrors: an error has the name that was tried in full, and how to write what may have been meant.
func TestHintsOfRegistryErrors(t *testing.T) {
	const short = "a name without a registry is an image of docker.io: for an image of another registry write REGISTRY/NAME:TAG, or the path of a file or directory"
	for name, c := range map[string]struct {
		image string
		err   error
		want  []string
	}{
		"no such host": {"dashboard:v2", &net.DNSError{Err: "no such host", Name: "registry-1.docker.io", IsNotFound: true},
			[]string{"tried docker.io/library/dashboard:v2", "no such host", short}},
		"no such image": {"dashboard:v2", errdef.ErrNotFound, []string{"tried docker.io/library/dashboard:v2", short}},
		"refused": {"dashboard:v2", &errcode.ErrorResponse{StatusCode: http.StatusUnauthorized},
			[]string{"refuses docker.io/library/dashboard:v2", "docker login docker.io,", short}},
		"refused by another registry": {"registry.example.com:5000/a/b:1", &errcode.ErrorResponse{StatusCode: http.StatusForbidden},
			[]string{"refuses registry.example.com:5000/a/b:1", "docker login registry.example.com:5000,", "check the name: write REGISTRY/NAME:TAG"}},
	} {
		t.Run(name, func(t *testing.T) {
			named, err := imagespec.ParseReference(c.image)
			if err != nil {
				t.Fatal(err)
			}
			got := registryError(t.Context(), named, "registry-1.docker.io", c.err)
			for _, want := range c.want {
				if !strings.Contains(got.Error(), want) {
					t.Errorf("got no %q in: %v", want, got)
				}
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if named, err := imagespec.ParseReference("a:1"); err != nil || !errors.Is(registryError(ctx, named, "", errdef.ErrNotFound), context.Canceled) {
		t.Errorf("an interrupted pull: %v, want %v", err, context.Canceled)
	}
}
