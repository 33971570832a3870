package clean

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
)

// Verify removes the files that our own locks are on, and says which hosts are not clean.
type Verify struct {
	*execute.Session
	Removal *Removal
	// Unknown are nodes of which no host is known, and Unreached are hosts that were not reached. Earlier phases write them.
	Unknown   *[]error
	Unreached *[]host.Report
}

// Title says what the phase does, for a person.
func (*Verify) Title() string { return "Verify the cleanup" }

// Run fails when a host is not clean, and says why and what to run.
func (p *Verify) Run(ctx context.Context) error {
	failed := []error{p.Removal.unproven, p.Removal.uncleaned}
	if !p.DryRun {
		failed = append(failed, p.Each(ctx, p.Members, func(ctx context.Context, m *execute.Member) error {
			_, err := m.Ask(ctx, "rm", "-f", p.LockFile())
			return err
		}))
	}
	return errors.Join(slices.Concat(failed, *p.Unknown, []error{p.kept(), p.again()})...)
}

// kept is the error for hosts that were not reached, or nil.
func (p *Verify) kept() error {
	var failed []error
	for _, r := range *p.Unreached {
		failed = append(failed, fmt.Errorf("%s was not reached and keeps what is on it: %w", r.Host, r.Err))
	}
	return errors.Join(failed...)
}

// again says how to remove the cluster from the hosts that still have it: the state that lists them may be gone.
func (p *Verify) again() error {
	var hosts []host.Host
	for _, m := range p.Members {
		if p.Removal.Dirty[m] {
			hosts = append(hosts, m.Host)
		}
	}
	for _, r := range *p.Unreached {
		hosts = append(hosts, r.Host)
	}
	var flags []string
	for _, h := range hosts {
		flags = append(flags, h.Flag())
	}
	if len(flags) == 0 {
		return nil
	}
	return fmt.Errorf("to remove the rest, run the same command again with %s", strings.Join(flags, " "))
}
