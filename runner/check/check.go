// Package check has the checks of a site that run before anything is changed: whether the hosts, each by itself and all together, can become
// what an image needs. It takes facts and returns findings, and reaches no host.
package check

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/host"
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

	host func(h Host, s *Site, report func(what, fix string)) // of a host that was reached
	site func(s *Site, report func(h *Host, what, fix string))
}

// Page is the name of the check's page.
func (c Check) Page() string { return c.ID + ".md" }

// Host is one host as it was found.
type Host struct {
	host.Report
	Name string // of its node; default the host's own name
	// Ours says that the host has files of this cluster, so that what runs there may be the cluster's own.
	Ours bool
	// Begun says that kubeadm was begun there for this cluster.
	Begun bool
	// Foreign is the cluster's directory when it has files that the cluster did not make.
	Foreign string
	Paths   []host.Path // to ports of other hosts
	// TakesPods says that the site removes the taint that keeps pods of applications off this master.
	TakesPods bool
}

func (h Host) master() bool { return h.Host.Role == host.RoleMaster }

// name is that of the node; empty when it is not known.
func (h Host) name() string { return strings.ToLower(cmp.Or(h.Name, h.Facts.Hostname)) }

// Site is all hosts, and what is to run on them.
type Site struct {
	Hosts        []Host
	Architecture string
	Kubernetes   string // version
	RootfsBytes  uint64 // compressed, for every host
	ImageBytes   uint64 // for the masters
	DataRoot     string
	ClusterDir   string
	RegistryPort uint16

	// Images and Configuration are what a run refuses of the images, and of the site and the cluster that is there.
	Images, Configuration []error

	PodNetworks     []netip.Prefix
	ServiceNetworks []netip.Prefix
	ProxyMode       string // of kube-proxy; none is iptables
	SwapAllowed     bool   // by the kubelet's configuration
	CgroupV1Allowed bool   // likewise, from Kubernetes 1.35 on
}

// reached are the hosts of which there are facts.
func (s *Site) reached() []*Host {
	var reached []*Host
	for i := range s.Hosts {
		if s.Hosts[i].Facts != nil {
			reached = append(reached, &s.Hosts[i])
		}
	}
	return reached
}

// since reports whether the site's Kubernetes is of a minor version of 1, or of a later one. Of an unknown version nothing is demanded.
func (s *Site) since(minor int) bool {
	var major, have int
	if _, err := fmt.Sscanf(strings.TrimPrefix(s.Kubernetes, "v"), "%d.%d", &major, &have); err != nil {
		return true
	}
	return major > 1 || have >= minor
}

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

// Run runs all checks. Findings are in the order of the addresses of hosts, those about all hosts first, and errors before warnings.
func Run(s *Site) []Finding {
	findings := []Finding{}
	for _, c := range All() {
		add := func(h *Host, what, fix string) {
			f := Finding{Check: c.ID, Severity: c.Severity, What: oneLine(what), Fix: oneLine(fix), Page: Pages + c.Page()}
			if h != nil {
				f.Host = h.Host.String()
			}
			findings = append(findings, f)
		}
		if c.site != nil {
			c.site(s, add)
			continue
		}
		for _, h := range s.reached() {
			c.host(*h, s, func(what, fix string) { add(h, what, fix) })
		}
	}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		x, _ := netip.ParseAddr(a.Host)
		y, _ := netip.ParseAddr(b.Host)
		return cmp.Or(x.Compare(y), cmp.Compare(a.Severity, b.Severity))
	})
	return findings
}

// oneLine is a text without line breaks: what a host says cannot look like lines of the report.
func oneLine(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("\n\v\f\r\u0085\u2028\u2029", r) })
	return strings.Join(lines, "; ")
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

// All are all checks, in the order in which their findings about one host are shown.
func All() []Check {
	return slices.Concat(images(), identity(), unknowns(), clocks(), resources(), disks(), kernels(), foreign(), software(), networks(), firewalls(), connections())
}
