// Package execute has the hosts of a run, and the one door to them: every change on a host goes through [Session.Do]. It knows neither what is
// done, nor why.
package execute

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/report"
)

// Session is a run's work on the hosts of a cluster: which hosts there are, and the one door to them.
type Session struct {
	Name     string // of the cluster
	DataRoot string
	Report   *report.Report
	DryRun   bool
	// App is the directory of an application image below the cluster's; empty for the cluster image itself.
	App string

	Members []*Member // masters first
	// Joining are the hosts that join a running cluster in this run, which prepares no others; nil when it is about all hosts.
	Joining *Joining
	// Lead is the master that is asked for everything; nil: the first that has a control plane.
	Lead    *Member
	Abandon context.CancelCauseFunc // ends the work that is under way
	lockDir string                  // default /run
}

const (
	// ScriptLimit is how long a script of an image may run, with the time that it waits for one that an interrupted run left.
	ScriptLimit = 30 * time.Minute
	// MaxHosts is how many hosts are worked on at once.
	MaxHosts = 32
	// busy is the exit code of flock(1) for a lock that is held elsewhere (EX_TEMPFAIL of sysexits.h).
	busy = 75
	// orphanPatience is how long, in seconds, a command waits for one that an interrupted run left running.
	orphanPatience = 900
)

// Close ends the connections to all hosts.
func (s *Session) Close() error {
	var failed []error
	for _, m := range s.Members {
		failed = append(failed, m.Conn.Close())
	}
	return errors.Join(failed...)
}

// Change is one thing that is about to happen to one host.
type Change struct {
	Member *Member
	What   string
}

// Do is the only way to change a host: a dry run prints what and does not call work.
func (s *Session) Do(ctx context.Context, m *Member, what string, work func(context.Context) error) error {
	if err := s.DoTogether(ctx, []Change{{m, what}}, work); err != nil {
		return m.Failure(what, err)
	}
	return nil
}

// DoTogether is [Session.Do] for changes to several hosts that are one piece of work.
func (s *Session) DoTogether(ctx context.Context, changes []Change, work func(context.Context) error) error {
	for _, ch := range changes {
		s.Report.Record(ch.Member.String(), ch.Member.Index, ch.What)
	}
	if s.DryRun || len(changes) == 0 {
		return nil
	}
	if len(changes) == 1 {
		ctx = host.Doing(ctx, changes[0].What)
	}
	return work(ctx)
}

// Each calls work for every member at once and returns all errors.
func (s *Session) Each(ctx context.Context, members []*Member, work func(context.Context, *Member) error) error {
	return Together(MaxHosts, members, func(m *Member) error { return work(ctx, m) })
}

// Together calls work for all items, so many at a time, and returns all errors in the order of the items.
func Together[T any](limit int, items []T, work func(T) error) error {
	failed := make([]error, len(items))
	var group errgroup.Group
	group.SetLimit(limit)
	for i, item := range items {
		group.Go(func() error {
			failed[i] = work(item)
			return nil
		})
	}
	group.Wait()
	return errors.Join(failed...)
}

// Exec runs a command as root, in the rootfs unless it says where. What it prints goes to the log. Such commands run one after the other on a
// host: what an interrupted run left running ends first. The command has to set its limit.
func (s *Session) Exec(ctx context.Context, m *Member, cmd host.Command) error {
	return s.ExecTo(ctx, m, cmd, s.Report.Output(m.String()))
}

// ExecTo is [Session.Exec] with what is printed going to out, which it closes.
func (s *Session) ExecTo(ctx context.Context, m *Member, cmd host.Command, out *report.Output) error {
	defer out.Close()
	cmd.Name, cmd.Shown, cmd.Said = path.Base(cmd.Argv[0]), out.Shown, out.Last
	cmd.Argv = append([]string{
		"flock", "--close", "--wait", strconv.Itoa(orphanPatience), "--conflict-exit-code", strconv.Itoa(busy), m.Path(hostrecord.WorkLock),
	}, cmd.Argv...)
	cmd.Root, cmd.Stdout, cmd.Stderr = true, out, out
	if cmd.Dir == "" {
		cmd.Dir = m.Rootfs()
	}
	err := m.Conn.Run(ctx, cmd)
	var exit *host.ExitError
	switch {
	case !errors.As(err, &exit):
		return err
	case exit.Code == busy && exit.Stderr == "":
		return errors.New("timed out waiting for a process left by an interrupted run; find it with ps and kill it")
	default:
		return fmt.Errorf("exit code %d: %s\n(all it said is in the log)", exit.Code, exit.Stderr)
	}
}
