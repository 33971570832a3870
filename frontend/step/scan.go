package step

import (
	"context"
	"os"

	"github.com/kubefile/kubefile/frontend/application"
	"github.com/kubefile/kubefile/frontend/discovery"
)

// ScanRequest asks what a rootfs runs and which images it needs for it. The commands to look at are those that the application part of
// the answer has.
type ScanRequest struct {
	Discovery   discovery.Options   `json:"discovery"`
	Application application.Request `json:"application"`
}

// Scanned is the answer to a [ScanRequest].
type Scanned struct {
	Discovery   discovery.Result   `json:"discovery"`
	Application application.Result `json:"application"`
}

// Scan reads the directory in, as the request says, and writes a [Scanned].
func Scan(ctx context.Context, request, in, out string) error {
	var r ScanRequest
	if err := readRequest(request, &r); err != nil {
		return err
	}
	root, err := os.OpenRoot(in)
	if err != nil {
		return err
	}
	defer root.Close()
	planned, err := application.Plan(root.FS(), r.Application)
	if err != nil {
		return err
	}
	for _, c := range planned.Commands {
		r.Discovery.Commands = append(r.Discovery.Commands, c.String())
	}
	found, err := discovery.Discover(ctx, root.FS(), r.Discovery)
	if err != nil {
		return err
	}
	return writeAnswer(out, Findings, Scanned{Discovery: *found, Application: *planned})
}
