package ask

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
)

// counted writes a text in pieces of a size, and returns the counter and what it ended the command with.
func counted(t *testing.T, text string, size int) (images *imageCounter, cause error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	images = &imageCounter{count: map[string]int{}, full: cancel}
	for piece := []byte(text); len(piece) > 0; {
		n := min(size, len(piece))
		if wrote, err := images.Write(piece[:n]); wrote != n || err != nil {
			t.Fatalf("wrote %d bytes, %v, want %d", wrote, err, n)
		}
		piece = piece[n:]
	}
	images.add(images.pending)
	return images, context.Cause(ctx)
}

func TestImageCounter(t *testing.T) {
	want := map[string]int{"nginx:1": 2, "redis:7": 1, "last:1": 1}
	for _, size := range []int{1, 5, 1000} {
		images, cause := counted(t, "nginx:1\n\n redis:7 \nnginx:1\nlast:1", size)
		if !maps.Equal(images.count, want) || cause != nil {
			t.Errorf("in pieces of %d bytes: got %v, %v, want %v", size, images.count, cause, want)
		}
	}
}

func TestImageCounterIsBounded(t *testing.T) {
	var many strings.Builder
	for i := range maxPodImages + 1 {
		fmt.Fprintf(&many, "a:%d\n", i)
	}
	for name, test := range map[string]struct {
		text string
		want error
	}{
		"many images":        {many.String(), errManyImages},
		"a line without end": {strings.Repeat("x", 1<<20), errLongImage},
	} {
		images, cause := counted(t, test.text, 1000)
		if !errors.Is(images.failed, test.want) || !errors.Is(cause, test.want) {
			t.Errorf("%s: got %v, and the command ends with %v, want %v", name, images.failed, cause, test.want)
		}
		if len(images.count) > maxPodImages || len(images.pending) > maxPodImage {
			t.Errorf("%s: %d images and %d bytes are kept", name, len(images.count), len(images.pending))
		}
	}
}
