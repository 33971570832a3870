package frontend

import (
	"context"
	"regexp"
	"time"
)

// maxAttempts limits the requests to a registry with temporary failures.
const maxAttempts = 5

// attempt repeats what asks a registry by way of BuildKit, with growing pauses, as long as registry or network fail for the moment. (A build
// step cannot be repeated in this way: BuildKit remembers for the whole build that it failed.)
func (r *resolver) attempt(ctx context.Context, do func() error) error {
	for n := range maxAttempts {
		err := do()
		if err == nil || n == maxAttempts-1 || !isTransient(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(r.pause << n):
		}
	}
	return nil
}

// transient matches BuildKit's messages about temporary failures of a registry or the network. Its errors reach a frontend as text.
var transient = regexp.MustCompile(`unexpected status[^\n]*: (408|429|5\d\d)\b|connection re(set|fused)|i/o timeout|TLS handshake timeout|\bEOF\b`)

func isTransient(err error) bool { return transient.MatchString(err.Error()) }
