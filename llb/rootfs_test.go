package llb

import (
	"slices"
	"testing"
)

// TestInRootfs: only copies into the root's own directories are changed, in the final stage, linked or not.
func TestInRootfs(t *testing.T) {
	st, err := InRootfs(t.Context(), compile(t, `FROM scratch AS other
COPY a plugin
FROM kubernetes:v1
COPY a plugin
COPY --link a plugins
COPY a manifests/
COPY a etc
COPY a etc/plugin
COPY a file
COPY --from=other /plugin bin
WORKDIR /srv
COPY a plugin
`))
	if err != nil {
		t.Fatal(err)
	}
	g, err := readGraph(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, dgst := range g.order {
		for _, action := range g.vertices[dgst].op.GetFile().GetActions() {
			if c := action.GetCopy(); c != nil {
				got = append(got, c.Dest)
			}
		}
	}
	slices.Sort(got)
	want := []string{"/bin/", "/etc/", "/etc/plugin", "/file", "/manifests/", "/plugin", "/plugins/", "/plugins/", "/srv/plugin"}
	if !slices.Equal(got, want) {
		t.Errorf("copies to %q, want %q", got, want)
	}
}
