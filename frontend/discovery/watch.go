package discovery

import (
	"context"
	"fmt"
	"runtime/metrics"
	"time"
)

const (
	// renderTimeout bounds the rendering of one chart or kustomization; the largest known take a second.
	renderTimeout = 15 * time.Second
	// maxHeap bounds what renderings may add to the memory, in bytes; the largest known take a tenth.
	maxHeap = 2 << 30
	// watchInterval is the time between two checks of the limits.
	watchInterval = 20 * time.Millisecond
)

var (
	errRenderTime = fmt.Errorf("it takes longer than %v", renderTimeout)
	errRenderHeap = fmt.Errorf("it takes more than %d MiB of memory", maxHeap>>20)
)

// watch waits for f, which is run beside it. What takes too long or too much cannot be stopped but by the end of the process, so that
// after an error nothing may go on.
func watch(ctx context.Context, f func()) error {
	ctx, cancel := context.WithTimeoutCause(ctx, renderTimeout, errRenderTime)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	limit := heap() + maxHeap
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			if heap() > limit {
				return errRenderHeap
			}
		}
	}
}

// heap is the memory that objects take, in bytes.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
