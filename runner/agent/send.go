package agent

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/source"
)

// Target is a host that layers are sent to. Its agent is in place.
type Target struct {
	Client
	Images bool // the host keeps the embedded images, not the rootfs alone
}

// name is the host's address.
func (t Target) name() string { return t.Conn.Host().String() }

// Progress is told how a transfer goes. Calls come from many goroutines.
type Progress interface {
	// Need says how many bytes a host lacks, once and before the first of them.
	Need(host string, bytes int64)
	// Sent says that so many bytes more went out to a host.
	Sent(host string, bytes int64)
}

// Transfer is what one host lacks, or lacked.
type Transfer struct {
	Host    string
	Rootfs  []imagespec.Layer // missing, in the image's order
	Images  []imagespec.Layer // missing, in the image's order
	Need    int64             // bytes of the missing layers
	Present int64             // bytes of the others
	Sent    int64             // bytes that went out to it
}

// Plan finds out what [Send] would send to each target, in their order.
func Plan(ctx context.Context, art *source.Artifact, targets []Target) ([]Transfer, error) {
	transfers := make([]Transfer, len(targets))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxHosts)
	for i, target := range targets {
		group.Go(func() error {
			var err error
			transfers[i], err = plan(ctx, art, target)
			return err
		})
	}
	return transfers, group.Wait()
}

// maxHosts is how many hosts are asked at once.
const maxHosts = 32

func plan(ctx context.Context, art *source.Artifact, target Target) (Transfer, error) {
	transfer := Transfer{Host: target.name()}
	images := art.ImageLayers
	if !target.Images {
		images = nil
	}
	var err error
	transfer.Rootfs, transfer.Images, err = target.Missing(ctx, art.RootfsLayers, images)
	if err != nil {
		return transfer, err
	}
	transfer.Need = size(transfer.Rootfs) + size(transfer.Images)
	transfer.Present = size(distinct(art.RootfsLayers)) + size(distinct(images)) - transfer.Need
	return transfer, nil
}

// distinct returns the layers without repetitions: an image may have a layer twice.
func distinct(layers []imagespec.Layer) []imagespec.Layer {
	var all []imagespec.Layer
	for _, layer := range layers {
		if !slices.ContainsFunc(all, func(l imagespec.Layer) bool { return l.Descriptor.Digest == layer.Descriptor.Digest }) {
			all = append(all, layer)
		}
	}
	return all
}

func size(layers []imagespec.Layer) (bytes int64) {
	for _, layer := range layers {
		bytes += layer.Descriptor.Size
	}
	return bytes
}

// SendOptions bound and watch a transfer.
type SendOptions struct {
	// Parallel is how many layers are under way at once; default and maximum 4,
	// which is also the number of SSH sessions in use per host.
	Parallel int
	Progress Progress // may be nil
}

const maxParallel = 4

// Send brings every target what it lacks: the rootfs layers, and to those that
// keep images the image layers, whose references become valid at the end. Each
// layer is read once and sent to all hosts that lack it at the same time, so a
// registry is asked once, and the slowest of them sets the pace. A host that
// fails does not stop the others; the error names every one. What was sent is
// kept: the next Send goes on with the next layer.
func Send(ctx context.Context, art *source.Artifact, targets []Target, opts SendOptions) ([]Transfer, error) {
	transfers, err := Plan(ctx, art, targets)
	if err != nil {
		return nil, err
	}
	s := sender{art: art, receivers: make([]*receiver, len(targets))}
	for i, target := range targets {
		s.receivers[i] = &receiver{Target: target, progress: opts.Progress}
		if opts.Progress != nil {
			opts.Progress.Need(transfers[i].Host, transfers[i].Need)
		}
	}
	if opts.Parallel <= 0 || opts.Parallel > maxParallel {
		opts.Parallel = maxParallel
	}
	err = s.layers(ctx, transfers, opts.Parallel)
	for i, r := range s.receivers {
		transfers[i].Sent = r.sent.Load()
	}
	if err != nil {
		return transfers, err
	}
	return transfers, s.commit(ctx)
}

// sender is one transfer.
type sender struct {
	art       *source.Artifact
	receivers []*receiver
}

// receiver is a target while it is sent to.
type receiver struct {
	Target
	progress Progress
	sent     atomic.Int64

	mu  sync.Mutex
	err error // the first one; the host gets nothing more then
}

func (r *receiver) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = cmp.Or(r.err, err)
}

func (r *receiver) failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err != nil
}

// layers sends every missing layer.
func (s *sender) layers(ctx context.Context, transfers []Transfer, parallel int) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	send := func(layers []imagespec.Layer, missing func(Transfer) []imagespec.Layer, put putter) {
		for _, layer := range distinct(layers) {
			var to []*receiver
			for i, transfer := range transfers {
				if slices.ContainsFunc(missing(transfer), func(l imagespec.Layer) bool { return l.Descriptor.Digest == layer.Descriptor.Digest }) {
					to = append(to, s.receivers[i])
				}
			}
			if len(to) > 0 {
				group.Go(func() error { return s.layer(groupCtx, layer, to, put) })
			}
		}
	}
	send(s.art.RootfsLayers, func(t Transfer) []imagespec.Layer { return t.Rootfs }, Client.PutBlob)
	send(s.art.ImageLayers, func(t Transfer) []imagespec.Layer { return t.Images }, Client.PutLayer)
	err := group.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, r := range s.receivers {
		err = errors.Join(err, r.err)
	}
	return err
}

// putter is Client.PutBlob or Client.PutLayer.
type putter func(Client, context.Context, imagespec.Layer, io.Reader) error

// layer reads a layer once and sends it to all who lack it. The error is the
// source's; those of hosts are kept with them.
func (s *sender) layer(ctx context.Context, layer imagespec.Layer, to []*receiver, put putter) error {
	var streams []*stream
	var running sync.WaitGroup
	for _, r := range to {
		if r.failed() {
			continue
		}
		st := &stream{receiver: r, pieces: make(chan []byte, chunksAhead), ended: make(chan struct{})}
		streams = append(streams, st)
		running.Go(func() {
			defer close(st.ended)
			st.result = put(r.Client, ctx, layer, st)
		})
	}
	if len(streams) == 0 {
		return nil
	}
	err := feed(ctx, s.art, layer.Descriptor, streams)
	for _, st := range streams {
		st.err = err
		close(st.pieces)
	}
	running.Wait()
	if err != nil || ctx.Err() != nil {
		return err // the hosts' errors follow from it
	}
	for _, st := range streams {
		if st.result != nil {
			st.receiver.fail(st.result)
		}
	}
	return nil
}

// chunk is how much is read at once; chunksAhead how many of them a host may lag
// behind the fastest. With four layers under way that is 4 MiB in all, and the
// garbage collector's share.
const (
	chunk       = 256 << 10
	chunksAhead = 4
)

// feed reads a blob and hands every piece to all streams, until its verified end
// or until nobody listens.
func feed(ctx context.Context, art *source.Artifact, d ocispec.Descriptor, streams []*stream) error {
	content, err := art.OpenBlob(ctx, d)
	if err != nil {
		return err
	}
	defer content.Close()
	for err == nil {
		piece := make([]byte, chunk) // shared by the streams, written by nobody
		n := 0
		for n < len(piece) && err == nil {
			var read int
			read, err = content.Read(piece[n:])
			n += read
		}
		alive := false
		for _, st := range streams {
			alive = st.offer(ctx, piece[:n]) || alive
		}
		if !alive {
			return ctx.Err()
		}
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// stream is what one host reads of a layer.
type stream struct {
	receiver *receiver
	pieces   chan []byte
	err      error         // of the source; to be read when pieces is closed
	rest     []byte        // of the piece that is being read
	ended    chan struct{} // closed when the host reads no more
	result   error         // of the host; to be read when ended is closed
}

// offer hands over a piece, and says whether the host still reads.
func (s *stream) offer(ctx context.Context, piece []byte) bool {
	select {
	case s.pieces <- piece:
		return true
	case <-s.ended:
	case <-ctx.Done():
	}
	return false
}

// Read is called by the host's connection.
func (s *stream) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		piece, ok := <-s.pieces
		if !ok {
			return 0, cmp.Or(s.err, io.EOF)
		}
		s.rest = piece
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	s.receiver.sent.Add(int64(n))
	if s.receiver.progress != nil {
		s.receiver.progress.Sent(s.receiver.name(), int64(n))
	}
	return n, nil
}

// commit makes the images valid on the hosts that keep them.
func (s *sender) commit(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxHosts)
	for _, r := range s.receivers {
		if r.Images && len(s.art.ImageLayers) > 0 {
			group.Go(func() error {
				_, err := r.CommitImages(ctx, s.art.ImageLayers)
				return err
			})
		}
	}
	return group.Wait()
}
