// Package check is what the checks of a site are made of: a check takes the facts of hosts, each by itself or all together, and returns
// findings. It reaches no host. The checks themselves are in the packages machine and network.
package check

import (
	"cmp"
	"net/netip"
	"slices"
)

// Pages is where each check has a page that says why it exists and how to fix what it finds.
const Pages = "https://github.com/kubefile/kubefile/blob/main/docs/checks/"

// Severity says what becomes of a finding.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // the run stops before it changes a host
	Warning Severity = "warning" // the run goes on; the finding names the consequence
)

// Check is one thing that has to be right.
type Check struct {
	ID       string // kebab-case, and the name of the page
	Severity Severity
	Title    string // what has to be right

	// One of both finds what is not right: of each host that was reached, or of the site.
	Host func(h Host, s *Site, report func(what, fix string))
	Site func(s *Site, report func(h *Host, what, fix string))
}

// Page is the name of the check's page.
func (c Check) Page() string { return c.ID + ".md" }

// Finding is one thing that is not right. Without a host it is about all of them.
type Finding struct {
	Check    string   `json:"check"`
	Severity Severity `json:"severity"`
	Host     string   `json:"host,omitempty"`
	What     string   `json:"what"`
	Fix      string   `json:"fix,omitempty"`
	Page     string   `json:"page"`
}

// Text is the finding on one line, without its severity.
func (f Finding) Text() string {
	text := f.What
	if f.Fix != "" {
		text += "; " + f.Fix
	}
	text += " (" + f.Check + ")"
	if f.Host != "" {
		text = f.Host + ": " + text
	}
	return text
}

// Run runs checks on a site. Findings are in the order of the addresses of hosts, those about all hosts first, and errors before warnings.
func Run(s *Site, checks []Check) []Finding {
	findings := []Finding{}
	for _, c := range checks {
		add := func(h *Host, what, fix string) {
			f := Finding{Check: c.ID, Severity: c.Severity, What: oneLine(what), Fix: oneLine(fix), Page: Pages + c.Page()}
			if h != nil {
				f.Host = h.Host.String()
			}
			findings = append(findings, f)
		}
		if c.Site != nil {
			c.Site(s, add)
			continue
		}
		for _, h := range s.Reached() {
			c.Host(*h, s, func(what, fix string) { add(h, what, fix) })
		}
	}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		x, _ := netip.ParseAddr(a.Host)
		y, _ := netip.ParseAddr(b.Host)
		return cmp.Or(x.Compare(y), cmp.Compare(a.Severity, b.Severity))
	})
	return findings
}

// Count returns how many findings are of a severity.
func Count(findings []Finding, severity Severity) (n int) {
	for _, f := range findings {
		if f.Severity == severity {
			n++
		}
	}
	return n
}
