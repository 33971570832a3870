package machine

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/kubefile/kubefile/runner/check"
	"github.com/kubefile/kubefile/runner/host"
)

const (
	// maxSkew is by how much certificates of kubeadm are dated back.
	maxSkew = 5 * time.Minute
	// bearableSkew is what may be an effect of the measurement.
	bearableSkew = 10 * time.Second
)

func clocks() []check.Check {
	return []check.Check{
		{ID: "clock-between-hosts", Severity: check.Error, Title: "The clocks of the hosts differ by less than five minutes", Site: clockBetween(maxSkew, 1<<62)},
		{ID: "clock-drift", Severity: check.Warning, Title: "The clocks of the hosts differ by less than ten seconds", Site: clockBetween(bearableSkew, maxSkew)},
		{ID: "clock-delivery-machine", Severity: check.Warning, Title: "The clocks of the hosts agree with that of the delivery machine", Site: ownClock},
		{ID: "time-synchronized", Severity: check.Warning, Title: "The host synchronizes its clock", Host: synchronized},
	}
}

// clocked are the hosts whose clock is known.
func clocked(s *check.Site) []*check.Host {
	return slices.DeleteFunc(s.Reached(), func(h *check.Host) bool { return !h.Facts.Knows(host.TopicTime) })
}

// middle is the host with the clock in the middle.
func middle(s *check.Site) *check.Host {
	hosts := clocked(s)
	slices.SortStableFunc(hosts, func(a, b *check.Host) int { return cmp.Compare(a.Facts.ClockSkew, b.Facts.ClockSkew) })
	if len(hosts) == 0 {
		return nil
	}
	return hosts[(len(hosts)-1)/2]
}

// clockBetween compares each clock with the one in the middle: that of the delivery machine may be the wrong one.
func clockBetween(above, upTo time.Duration) func(s *check.Site, report func(h *check.Host, what, fix string)) {
	return func(s *check.Site, report func(h *check.Host, what, fix string)) {
		reference := middle(s)
		for _, h := range clocked(s) {
			if by := h.Facts.ClockSkew - reference.Facts.ClockSkew; by.Abs() > above && by.Abs() <= upTo {
				report(h, fmt.Sprintf("its clock is %s that of %s: certificates of one are not valid on the other, and etcd elects leaders again and again",
					difference(by), reference.Host), "set the clocks right (chrony, systemd-timesyncd)")
			}
		}
	}
}

func ownClock(s *check.Site, report func(h *check.Host, what, fix string)) {
	if m := middle(s); m != nil && m.Facts.ClockSkew.Abs() > maxSkew {
		report(nil, fmt.Sprintf("the clock of %s is %s this machine's: a kubeconfig may not be valid here yet, or no longer", m.Host, difference(m.Facts.ClockSkew)),
			"find out which is right, and correct the other")
	}
}

func difference(by time.Duration) string {
	direction := "ahead of"
	if by < 0 {
		direction = "behind"
	}
	return fmt.Sprint(by.Abs().Round(time.Second), " ", direction)
}

func synchronized(h check.Host, _ *check.Site, report func(what, fix string)) {
	for _, unit := range []string{"chronyd", "chrony", "systemd-timesyncd", "ntpd", "ntp", "ntpsec"} {
		if h.Facts.Units[unit] == "active" && h.Facts.TimeSync != "no" {
			return
		}
	}
	if h.Facts.TimeSync == "yes" || h.Facts.TimeSync == "" && !h.Facts.Knows(host.TopicUnits) {
		return
	}
	report("its clock is not synchronized, and drifts until certificates and etcd fail",
		"point chrony or systemd-timesyncd at a time server of the site; a host of the site can be one")
}
