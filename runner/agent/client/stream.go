package client

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/source"
)

const (
	// chunk is how much is read at once; chunksAhead how many of them a host may lag behind the fastest.
	// With four layers under way that is 4 MiB in all, and the garbage collector's share.
	chunk       = 256 << 10
	chunksAhead = 4

	// A host is served by a reading of its own when it has held the others up for longer than
	// heldUpLimit and for more than half of the time, or at once for pieceLimit.
	heldUpLimit = 2 * time.Second
	pieceLimit  = 5 * time.Second
	// tailLimit is how long the next layer waits for hosts to end with the last one.
	tailLimit = 10 * time.Second
)

// putter is Client.PutBlob or Client.PutLayer.
type putter func(Client, context.Context, imagespec.Layer, io.Reader) error

// layer reads a layer once and sends it to all who lack it and have a session left. Hosts that are still
// busy with other layers read it on their own, later. It returns when those that keep pace have it;
// running counts the others.
func (s *sender) layer(ctx context.Context, running *sync.WaitGroup, layer imagespec.Layer, to []*receiver, put putter) error {
	together, later := s.streams(ctx, layer, to)
	for _, st := range later {
		running.Go(func() {
			select {
			case st.receiver.slots <- struct{}{}:
				st.send(ctx, layer, put)
			case <-ctx.Done():
			}
		})
	}
	if len(together) == 0 {
		return nil
	}
	for _, st := range together {
		running.Go(func() { st.send(ctx, layer, put) })
	}
	err := feed(ctx, s.art, layer.Descriptor, together)
	for _, st := range together {
		if st.pace != apart {
			st.err = err
			close(st.pieces)
		}
	}
	late := time.NewTimer(tailLimit)
	defer late.Stop()
	for _, st := range together {
		select {
		case <-st.ended:
		case <-late.C:
			return err
		}
	}
	return err
}

// streams divides hosts into those that a layer is read for together, which have a slot each, and those
// that read it on their own.
func (s *sender) streams(ctx context.Context, layer imagespec.Layer, to []*receiver) (together, later []*stream) {
	for _, r := range to {
		st := &stream{ctx: ctx, art: s.art, blob: layer.Descriptor, receiver: r, ended: make(chan struct{})}
		if r.failed() {
			continue
		}
		select {
		case r.slots <- struct{}{}:
			st.pieces = make(chan []byte, chunksAhead)
			together = append(together, st)
		default:
			later = append(later, st)
		}
	}
	if len(together) == 1 { // there are no others to keep pace with
		<-together[0].receiver.slots
		together[0].pieces = nil
		return nil, append(later, together[0])
	}
	return together, later
}

// send sends a layer to one host, which has a slot for it.
func (s *stream) send(ctx context.Context, layer imagespec.Layer, put putter) {
	defer close(s.ended)
	defer func() { <-s.receiver.slots }()
	defer s.close()
	if s.receiver.failed() {
		return
	}
	err := put(s.receiver.Client, ctx, layer, s)
	if err == nil || ctx.Err() != nil {
		return
	}
	var unread *sourceError
	if errors.As(err, &unread) { // the host is not to blame
		err = unread.error
	}
	s.receiver.fail(err)
}

// sourceError says that a layer could not be read.
type sourceError struct{ error }

// feed reads a blob and hands every piece to all streams that keep pace, until its verified end or until
// there are none.
func feed(ctx context.Context, art *source.Artifact, d ocispec.Descriptor, streams []*stream) error {
	content, err := art.OpenBlob(ctx, d)
	if err != nil {
		return err
	}
	defer content.Close()
	begin := time.Now()
	for err == nil {
		piece := make([]byte, chunk) // shared by the streams, never written
		n := 0
		for n < len(piece) && err == nil {
			var read int
			read, err = content.Read(piece[n:])
			n += read
		}
		alive := false
		for _, st := range streams {
			alive = st.offer(ctx, piece[:n], begin) || alive
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

// pace is how a stream goes with the others.
type pace int

const (
	inStep pace = iota
	apart       // it reads on its own
	over        // its host reads no more
)

// stream is what one host reads of a layer.
type stream struct {
	ctx      context.Context
	art      *source.Artifact
	blob     ocispec.Descriptor
	receiver *receiver
	pieces   chan []byte   // nil: it reads on its own from the beginning
	err      error         // of the source; to be read when pieces is closed
	ended    chan struct{} // closed when the host reads no more

	// Of whom feeds it:
	pace   pace
	heldUp time.Duration // how long the others waited for it

	// Of the host that reads it:
	rest []byte        // of the piece that is being read
	at   int64         // how much was read
	own  io.ReadCloser // once it reads on its own

	mu      sync.Mutex
	reading bool // a Read is in progress
	closed  bool
}

// offer hands over a piece, and reports whether the stream is in step. One that holds the others up goes
// on apart, from where it is.
func (s *stream) offer(ctx context.Context, piece []byte, begin time.Time) bool {
	if s.pace != inStep {
		return false
	}
	select {
	case s.pieces <- piece:
		return true
	default:
	}
	waits := time.Now()
	late := time.NewTimer(s.patience(waits.Sub(begin)))
	defer late.Stop()
	select {
	case s.pieces <- piece:
		s.heldUp += time.Since(waits)
		return true
	case <-late.C:
		s.pace = apart
		close(s.pieces)
		if s.receiver.progress != nil {
			s.receiver.progress.Apart(s.receiver.name())
		}
	case <-s.ended:
		s.pace = over
	case <-ctx.Done():
		s.pace = over
	}
	return false
}

// patience is how long the others wait for the stream now.
func (s *stream) patience(elapsed time.Duration) time.Duration {
	return max(0, min(pieceLimit, max(heldUpLimit-s.heldUp, elapsed-2*s.heldUp)))
}

// Read is called by the host's connection, which may still be reading when its command has ended.
func (s *stream) Read(p []byte) (int, error) {
	if !s.begin() {
		return 0, io.ErrClosedPipe
	}
	defer s.end()
	n, err := s.read(p)
	s.at += int64(n)
	s.receiver.sent.Add(int64(n))
	if n > 0 && s.receiver.progress != nil {
		s.receiver.progress.Sent(s.receiver.name(), int64(n))
	}
	return n, err
}

func (s *stream) read(p []byte) (int, error) {
	for len(s.rest) == 0 && s.own == nil && s.pieces != nil {
		piece, ok := <-s.pieces
		switch {
		case ok:
			s.rest = piece
		case s.err != nil:
			return 0, s.err
		case s.at == s.blob.Size:
			return 0, io.EOF
		default: // the others went on
			s.pieces = nil
		}
	}
	if len(s.rest) > 0 {
		n := copy(p, s.rest)
		s.rest = s.rest[n:]
		return n, nil
	}
	if s.own == nil {
		var err error
		if s.own, err = s.art.OpenBlob(s.ctx, s.blob); err != nil {
			return 0, &sourceError{err}
		}
		if _, err := io.CopyN(io.Discard, s.own, s.at); err != nil {
			return 0, &sourceError{err}
		}
	}
	n, err := s.own.Read(p)
	if err != nil && err != io.EOF {
		err = &sourceError{err}
	}
	return n, err
}

// begin begins a Read, unless the stream is closed.
func (s *stream) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = !s.closed
	return s.reading
}

func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = false
	if s.closed {
		s.release()
	}
}

// close ends reading. It does not wait for a Read, which a source that hangs may hold.
func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if !s.reading {
		s.release()
	}
}

func (s *stream) release() {
	if s.own != nil {
		s.own.Close()
	}
}
