package ask

import (
	"bytes"
	"context"
	"fmt"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
)

// PodImages counts the images that pods name, as they are written there. The answer is read as it comes, because it grows with the pods of the
// cluster; what is kept grows with the number of different images only.
func PodImages(ctx context.Context, m *execute.Member) (map[string]int, error) {
	query := ""
	for _, list := range []string{"initContainers", "containers", "ephemeralContainers"} {
		query += `{range .items[*].spec.` + list + `[*]}{.image}{"\n"}{end}`
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	images := &imageCounter{count: map[string]int{}, full: cancel}
	cmd := m.KubectlCommand("get", "pods", "--all-namespaces", "-o", "jsonpath="+query, fmt.Sprintf("--request-timeout=%ds", Patience))
	cmd.Stdout = images
	err := m.Conn.Run(ctx, cmd)
	images.add(images.pending)
	if images.failed != nil {
		return nil, fmt.Errorf("%s: listing the images of all pods: %w", m, images.failed)
	}
	return images.count, err
}

const (
	// maxPodImages is how many different images are counted.
	maxPodImages = 100_000
	// maxPodImage is how long the name of one may be, in bytes.
	maxPodImage = 4 << 10
)

var (
	errManyImages = fmt.Errorf("pods name more than %d different images", maxPodImages)
	errLongImage  = fmt.Errorf("the name of an image is longer than %d bytes", maxPodImage)
)

// imageCounter counts the lines that are written to it. Once there is too much it swallows the rest, so that the writer on the other side is
// never blocked.
type imageCounter struct {
	count   map[string]int
	pending []byte // a line whose end has not come yet
	failed  error
	full    context.CancelCauseFunc // called when it swallows
}

func (c *imageCounter) Write(p []byte) (int, error) {
	rest := p
	for c.failed == nil {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		c.pending = append(c.pending, line...)
		if len(c.pending) > maxPodImage {
			c.fail(errLongImage)
			break
		}
		if !whole {
			break
		}
		c.add(c.pending)
		c.pending, rest = c.pending[:0], after
	}
	return len(p), nil
}

// add counts one image.
func (c *imageCounter) add(line []byte) {
	name := host.WithoutControls(string(bytes.TrimSpace(line)))
	if name == "" || c.failed != nil {
		return
	}
	if _, counted := c.count[name]; !counted && len(c.count) == maxPodImages {
		c.fail(errManyImages)
		return
	}
	c.count[name]++
}

func (c *imageCounter) fail(err error) {
	c.failed, c.pending = err, nil
	c.full(err)
}
