package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubefile/kubefile/runner/host"
)

// notice is a line about hosts that wait for the same.
type notice struct {
	number int // of the phase
	hosts  []string
	latest host.Waiting
}

const (
	// noticeDelay collects hosts that wait for the same since about the same time.
	noticeDelay = time.Second
	// FewHosts is how many hosts are named in a line about hosts for which the same holds.
	FewHosts = 5
	// ManyHosts is how many are named where they are what the line is about.
	ManyHosts = 20
)

// Waiting prints what hosts have been busy with for a while. Hosts that wait for the same share a line.
func (r *Report) Waiting(w host.Waiting) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting == nil {
		r.waiting = map[string]*notice{}
	}
	n := r.waiting[w.What]
	if n == nil {
		n = &notice{number: r.number}
		r.waiting[w.What] = n
		time.AfterFunc(noticeDelay, func() { r.flushWaiting(w.What) })
	}
	n.latest = w
	if !slices.Contains(n.hosts, w.Host.String()) {
		n.hosts = append(n.hosts, w.Host.String())
	}
}

func (r *Report) flushWaiting(what string) {
	r.mu.Lock()
	n := r.waiting[what]
	delete(r.waiting, what)
	over := n == nil || n.number != r.number
	r.mu.Unlock()
	if over {
		return
	}
	slices.Sort(n.hosts)
	text := fmt.Sprintf("still waiting after %s: %s", n.latest.For.Round(time.Second), what)
	if n.latest.Said != "" {
		text += fmt.Sprintf(" (last output: %s)", n.latest.Said)
	}
	r.Line(Names(n.hosts, FewHosts), text)
}

// Names joins names, so many at most, and says how many more there are.
func Names(names []string, most int) string {
	text := strings.Join(names[:min(len(names), most)], ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
