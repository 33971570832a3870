// Package client is the delivery machine's end of the wire: it copies the runner to a host, and asks the agent there, once per request, as
//
//	sealer-run agent VERB REQUEST
//
// over one SSH session: REQUEST is JSON, content follows on standard input, the answer is JSON on standard output, and a failure is a sentence on
// standard error.
package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/host"
)

// Client asks the agent of one host, as root.
type Client struct {
	Conn host.Conn
	// Dir is the cluster's directory on the host, <data root>/<cluster>. Every
	// path of the agent is below it, but for the runner and for WriteFile.
	Dir string

	path  string        // of the agent; default Path, tests have another
	stall time.Duration // how long the host may take no data; default host.UploadStall
}

// agent is where the runner is on the host.
func (c Client) agent() string { return cmp.Or(c.path, wire.Path) }

// Binary is a runner for a host's platform, on the delivery machine. It is what
// [source.Artifact.Runner] extracts.
type Binary struct {
	File   string
	Digest digest.Digest
	Size   int64
}

// call serves a request on the host: content goes to the agent, the answer is
// decoded into answer.
func (c Client) call(ctx context.Context, agentPath, verb string, request any, content io.Reader, answer any) error {
	raw, err := json.Marshal(request)
	if err != nil {
		return err
	}
	cmd := host.Command{Argv: []string{agentPath, "agent", verb, string(raw)}, Name: "agent " + verb, Stdin: content, Root: true, ReadOnly: readOnly(verb)}
	cmd.Limit, cmd.Stall = c.limits(verb)
	out, err := host.Output(ctx, c.Conn, cmd)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, answer); err != nil {
		return fmt.Errorf("%s: answer of the agent to %s: %w", c.Conn.Host(), verb, err)
	}
	return nil
}

// readOnly reports whether a verb changes nothing that another one reads.
func readOnly(verb string) bool {
	return slices.Contains([]string{wire.VerbObserve, wire.VerbProbe, wire.VerbProtocol, wire.VerbUnit, wire.VerbHave}, verb)
}

const (
	// diskLimit is how long the agent may work on the disk: read what is there, remove it, or bring what
	// it received to a slow disk.
	diskLimit = 10 * time.Minute
	// unpackLimit is how long unpacking a rootfs may take.
	unpackLimit = 30 * time.Minute
)

// limits are how long a verb may run, and how long it may take no input.
func (c Client) limits(verb string) (limit, stall time.Duration) {
	switch verb {
	case wire.VerbBlob, wire.VerbLayer:
		return diskLimit, cmp.Or(c.stall, host.UploadStall)
	case wire.VerbHave, wire.VerbCommit, wire.VerbRemove, wire.VerbRemoveLayers, wire.VerbObserve:
		return diskLimit, 0
	case wire.VerbUnpack:
		return unpackLimit, 0
	}
	return host.AskLimit, 0
}

// uploadScript writes its standard input to the file $1, whose SHA-256 must be
// $2. It is the only step without an agent.
const uploadScript = `umask 077
if cat >"$1" && printf '%s  %s\n' "$2" "$1" | sha256sum -c >/dev/null 2>&1 && chmod 755 "$1"; then exit 0; fi
rm -f "$1"
echo "the runner did not arrive whole: is the file system full?" >&2
exit 1`

// checkScript fails when the file $1 does not have the SHA-256 $2.
const checkScript = `printf '%s  %s\n' "$2" "$1" | sha256sum -c >/dev/null 2>&1`

// Ensure makes the runner at [wire.Path] on the host be b, and the cluster's directory
// exist. Both are in the journal. It does nothing when they are right already.
func (c Client) Ensure(ctx context.Context, b Binary) (bool, error) {
	runner := c.agent()
	request := wire.InstallRequest{Dir: c.Dir, Path: runner, Digest: b.Digest}
	check := host.Command{Argv: []string{"sh", "-c", checkScript, "sh", runner, b.Digest.Encoded()}, Root: true}
	err := c.Conn.Run(ctx, check)
	var exit *host.ExitError
	if err != nil && !errors.As(err, &exit) {
		return false, err
	}
	if err != nil {
		request.Temp = runner + ".new-" + b.Digest.Encoded()[:12]
		runner = request.Temp
		if err := c.upload(ctx, b, request.Temp); err != nil {
			return false, fmt.Errorf("copying the runner: %w", err)
		}
	}
	var answer wire.InstallAnswer
	if err := c.call(ctx, runner, wire.VerbInstall, request, nil, &answer); err != nil {
		return false, fmt.Errorf("installing the runner: %w", err)
	}
	if answer.Protocol != wire.Protocol {
		return false, fmt.Errorf("%s: the image's runner speaks protocol %d, this one %d: use the sealer-run that came with the image",
			c.Conn.Host(), answer.Protocol, wire.Protocol)
	}
	return answer.Changed, nil
}

// upload copies the runner to a file on the host.
func (c Client) upload(ctx context.Context, b Binary, to string) error {
	f, err := os.Open(b.File)
	if err != nil {
		return err
	}
	defer f.Close()
	return c.Conn.Run(ctx, host.Command{
		Argv:  []string{"sh", "-c", uploadScript, "sh", to, b.Digest.Encoded()},
		Name:  "copy the runner",
		Stdin: f,
		Stall: host.UploadStall,
		Root:  true,
	})
}

// Missing returns the layers that the host does not have, whole, and clears away
// what interrupted transfers left there.
func (c Client) Missing(ctx context.Context, rootfs, images []imagespec.Layer) (missingRootfs, missingImages []imagespec.Layer, err error) {
	request := wire.HaveRequest{Dir: c.Dir}
	for _, layer := range distinct(rootfs) {
		request.Blobs = append(request.Blobs, wire.Blob{Digest: layer.Descriptor.Digest, Size: layer.Descriptor.Size})
	}
	for _, layer := range distinct(images) {
		request.Layers = append(request.Layers, layer.Descriptor.Digest)
	}
	var answer wire.HaveAnswer
	if err := c.call(ctx, c.agent(), wire.VerbHave, request, nil, &answer); err != nil {
		return nil, nil, fmt.Errorf("asking what is there: %w", err)
	}
	lacks := func(present []digest.Digest, layers []imagespec.Layer) []imagespec.Layer {
		return slices.DeleteFunc(distinct(layers), func(l imagespec.Layer) bool { return slices.Contains(present, l.Descriptor.Digest) })
	}
	return lacks(answer.Blobs, rootfs), lacks(answer.Layers, images), nil
}

// PutBlob sends a rootfs layer, as it is.
func (c Client) PutBlob(ctx context.Context, layer imagespec.Layer, content io.Reader) error {
	request := wire.BlobRequest{Dir: c.Dir, Blob: wire.Blob{Digest: layer.Descriptor.Digest, Size: layer.Descriptor.Size}}
	if err := c.call(ctx, c.agent(), wire.VerbBlob, request, content, new(struct{})); err != nil {
		return fmt.Errorf("sending rootfs layer %s: %w", layer.Descriptor.Digest, err)
	}
	return nil
}

// PutLayer sends a layer of embedded images, which is taken apart into the
// host's image store as it arrives.
func (c Client) PutLayer(ctx context.Context, layer imagespec.Layer, content io.Reader) error {
	if err := c.call(ctx, c.agent(), wire.VerbLayer, c.layer(layer), content, new(struct{})); err != nil {
		return fmt.Errorf("sending image layer %s: %w", layer.Descriptor.Digest, err)
	}
	return nil
}

func (c Client) layer(l imagespec.Layer) wire.LayerRequest {
	return wire.LayerRequest{Dir: c.Dir, Digest: l.Descriptor.Digest, Size: l.Descriptor.Size, DiffID: l.DiffID}
}

// CommitImages makes the references of the image layers, which are all there,
// valid in the host's store, and says whether that changed anything.
func (c Client) CommitImages(ctx context.Context, images []imagespec.Layer) (bool, error) {
	request := wire.CommitRequest{Dir: c.Dir}
	for _, layer := range images {
		request.Layers = append(request.Layers, layer.Descriptor.Digest)
	}
	var answer wire.Changed
	if err := c.call(ctx, c.agent(), wire.VerbCommit, request, nil, &answer); err != nil {
		return false, fmt.Errorf("completing the image store: %w", err)
	}
	return answer.Changed, nil
}

// UnpackRootfs makes Dir/rootfs of the rootfs layers, which are all there, and
// replaces the one of other layers at once. It does nothing when it has been
// made of just these; what was written into it since stays then.
func (c Client) UnpackRootfs(ctx context.Context, rootfs []imagespec.Layer) (bool, error) {
	request := wire.UnpackRequest{Dir: c.Dir}
	for _, layer := range rootfs {
		l := c.layer(layer)
		l.Dir = ""
		request.Layers = append(request.Layers, l)
	}
	var answer wire.Changed
	if err := c.call(ctx, c.agent(), wire.VerbUnpack, request, nil, &answer); err != nil {
		return false, fmt.Errorf("unpacking the rootfs: %w", err)
	}
	return answer.Changed, nil
}

// WriteFile makes the file at an absolute path have this content (at most 16
// MiB) and mode, owned by root. It reports whether that changed anything. Outside
// of Dir, the journal remembers what was made, and what was there is kept.
// Content is not in any process list: it may be secret.
func (c Client) WriteFile(ctx context.Context, path string, mode fs.FileMode, content []byte) (bool, error) {
	var answer wire.Changed
	request := wire.FileRequest{Dir: c.Dir, Path: path, Mode: mode.Perm()}
	if err := c.call(ctx, c.agent(), wire.VerbWrite, request, bytes.NewReader(content), &answer); err != nil {
		return false, fmt.Errorf("writing %s: %w", path, err)
	}
	return answer.Changed, nil
}
