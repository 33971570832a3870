package state

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// images are images with one layer each, of the same name; one in parentheses has layers that are not known.
func images(names string) (all Images) {
	for _, name := range strings.Fields(names) {
		bare := strings.Trim(name, "()")
		image := ImageLayers{Digest: digest.Digest(bare)}
		if bare == name {
			image.Layers = []digest.Digest{digest.Digest(bare)}
		}
		all = append(all, image)
	}
	return all
}

// TestImagesOfHosts: hosts keep what the image that runs and the one before need, and nothing goes as long as that is not known.
func TestImagesOfHosts(t *testing.T) {
	for _, c := range []struct{ name, noted, had, image, next, kept string }{
		{"first", "", "", "a", "a", ""},
		{"same", "a", "a", "a", "a", ""},
		{"second", "a", "a", "b", "b a", ""},
		{"third", "b a", "b", "c", "c b a", "c b"},
		{"third again, not everywhere removed", "c b a", "c", "c", "c b a", "c b"},
		{"fourth, not everywhere removed", "c b a", "c", "d", "d c b", "d c"},
		{"back", "b a", "b", "a", "a b", ""},
		{"back, not everywhere removed", "c b a", "c", "b", "b c a", "b c"},
		{"same, noted by none", "", "a", "a", "", ""},
		{"second, noted by none", "", "a", "b", "b (a)", ""},
		{"third, first noted by none", "b (a)", "b", "c", "c b (a)", "c b"},
		{"back, first noted by none", "b (a)", "b", "a", "a b", ""},
		{"changed by an earlier version", "b a", "x", "c", "c (x)", ""},
		{"changed by an earlier version, same", "b a", "x", "x", "b a", ""},
		{"two changes, one by an earlier version", "c (x)", "c", "d", "d c (x)", "d c"},
		{"back to what was noted by none", "c b (x)", "c", "x", "x c b", "x c"},
	} {
		next := images(c.noted).Next(digest.Digest(c.had), images(c.image)[0])
		if !reflect.DeepEqual(next, images(c.next)) {
			t.Errorf("%s: the images are %v, want %s", c.name, next, c.next)
		}
		if kept := strings.Trim(fmt.Sprint(next.Kept()), "[]"); kept != c.kept {
			t.Errorf("%s: kept is %q, want %q", c.name, kept, c.kept)
		}
	}
}
