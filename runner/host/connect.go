package host

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// Report is what came of reaching one host.
type Report struct {
	Host  Host
	Conn  Conn   // nil when Err is set
	Facts *Facts // nil when Err is set
	Also  []byte // what the other question was answered
	Err   error
}

// maxDials is how many hosts are reached at once.
const maxDials = 32

// Connect reaches all hosts in parallel and asks each what it is like, and
// something else in the same session. The reports are in the order of hosts; the
// caller closes their connections. dial logs in to one host.
func Connect(ctx context.Context, dial func(context.Context, Host) (Conn, error), hosts []Host, dataRoot string, also Question) []Report {
	reports := make([]Report, len(hosts))
	var group errgroup.Group
	group.SetLimit(maxDials)
	for i, h := range hosts {
		group.Go(func() error {
			reports[i] = reach(ctx, dial, h, dataRoot, also)
			return nil
		})
	}
	group.Wait()
	return reports
}

func reach(ctx context.Context, dial func(context.Context, Host) (Conn, error), h Host, dataRoot string, also Question) Report {
	conn, err := dial(ctx, h)
	if err != nil {
		return Report{Host: h, Err: err}
	}
	facts, answer, err := GatherAlso(ctx, conn, dataRoot, also)
	if err != nil {
		conn.Close()
		return Report{Host: h, Err: err}
	}
	return Report{Host: h, Conn: conn, Facts: facts, Also: answer}
}
