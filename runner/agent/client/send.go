package client

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/host"
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
	// Apart says that a host does not keep pace, for any layer, and gets it apart from the others.
	Apart(host string)
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
	// Stall is how long a host may take no data; default [host.UploadStall].
	Stall time.Duration
}

const maxParallel = 4

// Send brings every target what it lacks: the rootfs layers, and to those that
// keep images the image layers, whose references become valid at the end. A
// layer is read once for all hosts that keep pace; one that does not is served
// by a reading of its own, so it does not hold the others up. A host that stalls
// is given up, and tried once more when the others are done. A host that fails
// does not stop the others; the error names every one. What was sent is kept:
// the next Send goes on with the next layer.
func Send(ctx context.Context, art *source.Artifact, targets []Target, opts SendOptions) ([]Transfer, error) {
	transfers, err := Plan(ctx, art, targets)
	if err != nil {
		return nil, err
	}
	if opts.Parallel <= 0 || opts.Parallel > maxParallel {
		opts.Parallel = maxParallel
	}
	receivers := make([]*receiver, len(targets))
	for i, target := range targets {
		target.stall = opts.Stall
		receivers[i] = &receiver{Target: target, transfer: &transfers[i], progress: opts.Progress, slots: make(chan struct{}, opts.Parallel)}
		if opts.Progress != nil {
			opts.Progress.Need(transfers[i].Host, transfers[i].Need)
		}
	}
	s := sender{art: art, parallel: opts.Parallel}
	sending := host.Doing(ctx, "sending layers, of which the host takes no data")
	if err := s.layers(sending, receivers); err != nil {
		return transfers, err
	}
	if err := s.again(sending, receivers); err != nil {
		return transfers, err
	}
	var failed []error
	for _, r := range receivers {
		r.transfer.Sent = r.sent.Load()
		failed = append(failed, r.err)
	}
	if err := errors.Join(failed...); err != nil {
		return transfers, err
	}
	return transfers, s.commit(ctx, receivers)
}

// sender is one transfer.
type sender struct {
	art      *source.Artifact
	parallel int
}

// receiver is a target while it is sent to.
type receiver struct {
	Target
	transfer *Transfer
	progress Progress
	sent     atomic.Int64
	slots    chan struct{} // one token per session in use

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

// lacks reports whether a layer is missing on the host.
func (r *receiver) lacks(layer imagespec.Layer) bool {
	same := func(l imagespec.Layer) bool { return l.Descriptor.Digest == layer.Descriptor.Digest }
	return slices.ContainsFunc(r.transfer.Rootfs, same) || slices.ContainsFunc(r.transfer.Images, same)
}

// again sends the rest to hosts that stalled: the agent that hung was ended.
func (s *sender) again(ctx context.Context, receivers []*receiver) error {
	var stalled []*receiver
	var mu sync.Mutex
	var asking errgroup.Group
	asking.SetLimit(maxHosts)
	for _, r := range receivers {
		var limit *host.LimitError
		if !errors.As(r.err, &limit) || limit.Source {
			continue
		}
		asking.Go(func() error {
			limited, cancel := context.WithTimeout(ctx, host.AskLimit)
			defer cancel()
			rest, err := plan(limited, s.art, r.Target)
			if err != nil {
				return nil // the host does not answer at all: the first error says more
			}
			r.transfer.Rootfs, r.transfer.Images, r.err = rest.Rootfs, rest.Images, nil
			mu.Lock()
			defer mu.Unlock()
			stalled = append(stalled, r)
			return nil
		})
	}
	asking.Wait()
	if len(stalled) == 0 {
		return ctx.Err()
	}
	return s.layers(ctx, stalled)
}

// layers sends every missing layer. The error is the source's; those of hosts are
// kept with them.
func (s *sender) layers(ctx context.Context, receivers []*receiver) error {
	sending, cancel := context.WithCancel(ctx)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(s.parallel)
	var running sync.WaitGroup // of hosts that go on apart
	send := func(layers []imagespec.Layer, put putter) {
		for _, layer := range distinct(layers) {
			var to []*receiver
			for _, r := range receivers {
				if r.lacks(layer) {
					to = append(to, r)
				}
			}
			if len(to) > 0 {
				group.Go(func() error {
					err := s.layer(sending, &running, layer, to, put)
					if err != nil {
						cancel()
					}
					return err
				})
			}
		}
	}
	send(s.art.RootfsLayers, Client.PutBlob)
	send(s.art.ImageLayers, Client.PutLayer)
	err := group.Wait()
	running.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// commit makes the images valid on the hosts that keep them.
func (s *sender) commit(ctx context.Context, receivers []*receiver) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxHosts)
	for _, r := range receivers {
		if r.Images && len(s.art.ImageLayers) > 0 {
			group.Go(func() error {
				_, err := r.CommitImages(ctx, s.art.ImageLayers)
				return err
			})
		}
	}
	return group.Wait()
}
