package execute

import (
	"context"
	"time"
)

// PollInterval is how long to wait before the same question is asked again.
const PollInterval = 2 * time.Second

// Until asks until the answer is that something is done, and reports whether it was within the limit. An error of ask ends it, and so does ctx,
// whose cause is the error then. Reaching the limit is not an error: the caller knows what it means.
func Until(ctx context.Context, limit, interval time.Duration, ask func(context.Context) (done bool, err error)) (done bool, err error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		done, err := ask(limited)
		switch {
		case done:
			return true, nil
		case limited.Err() != nil: // an answer that was cut off says nothing
			return false, context.Cause(ctx)
		case err != nil:
			return false, err
		case Pause(limited, interval) != nil:
			return false, context.Cause(ctx)
		}
	}
}

// Pause waits for a time, or returns the error of ctx as soon as that ends.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
