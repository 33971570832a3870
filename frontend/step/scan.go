package step

import (
	"context"
	"os"

	"github.com/kubefile/kubefile/frontend/discovery"
)

// Scan looks for images in the directory in, as the request (a [discovery.Options]) says, and writes a [discovery.Result].
func Scan(ctx context.Context, request, in, out string) error {
	var opts discovery.Options
	if err := readRequest(request, &opts); err != nil {
		return err
	}
	root, err := os.OpenRoot(in)
	if err != nil {
		return err
	}
	defer root.Close()
	result, err := discovery.Discover(ctx, root.FS(), opts)
	if err != nil {
		return err
	}
	return writeAnswer(out, Findings, result)
}
