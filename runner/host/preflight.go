package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Report is what came of reaching one host.
type Report struct {
	Host  Host
	Conn  Conn   // nil when Err is set
	Facts *Facts // nil when Err is set
	Err   error
}

// maxDials is how many hosts are reached at once.
const maxDials = 32

// Connect reaches all hosts in parallel and asks each what it is like. The
// reports are in the order of hosts; the caller closes their connections.
func Connect(ctx context.Context, d *Dialer, hosts []Host, dataRoot string) []Report {
	reports := make([]Report, len(hosts))
	var group errgroup.Group
	group.SetLimit(maxDials)
	for i, h := range hosts {
		group.Go(func() error {
			reports[i] = reach(ctx, d, h, dataRoot)
			return nil
		})
	}
	group.Wait()
	return reports
}

func reach(ctx context.Context, d *Dialer, h Host, dataRoot string) Report {
	conn, err := d.Dial(ctx, h)
	if err != nil {
		return Report{Host: h, Err: err}
	}
	facts, err := Gather(ctx, conn, dataRoot)
	if err != nil {
		conn.Close()
		return Report{Host: h, Err: err}
	}
	return Report{Host: h, Conn: conn, Facts: facts}
}

// Needs is what a host has to offer. Zero values ask for nothing.
type Needs struct {
	Architecture string        // of the cluster image
	FreeBytes    uint64        // at the data root
	MemoryBytes  uint64        // less is a warning
	CPUs         int           // fewer is a warning
	Ports        []uint16      // TCP ports that nothing may listen on
	Commands     []string      // that must be installed; see facts.sh for those known
	NoSwap       bool          // swap is a warning
	NoCluster    bool          // a Kubernetes that is or was here is a problem
	NoEtcd       bool          // so is an etcd
	NoContainerd bool          // so are images and containers of containerd
	ClusterDir   string        // where the cluster is to be: files of one elsewhere are a problem
	Systemd      bool          // process 1 must be systemd
	MaxClockSkew time.Duration // against the machine we run on
}

// Preflight holds every host against what is needed of it, and the hosts
// against each other, and returns all problems of all hosts at once, in the
// order of the reports.
func Preflight(reports []Report, needs func(Host) Needs) Problems {
	var problems Problems
	for _, r := range reports {
		if r.Err != nil {
			problems = append(problems, asProblem(r.Host, r.Err))
			continue
		}
		c := checker{host: r.Host, facts: r.Facts}
		c.check(needs(r.Host))
		problems = append(problems, c.problems...)
	}
	return append(problems, compareHosts(reports)...)
}

// asProblem turns an error of Connect into a problem.
func asProblem(h Host, err error) Problem {
	var p *Problem
	if errors.As(err, &p) {
		return *p
	}
	return Problem{Host: h.String(), What: err.Error(), cause: err}
}

// checker collects the problems of one host.
type checker struct {
	host     Host
	facts    *Facts
	problems Problems
}

func (c *checker) add(warning bool, what, mend string) {
	c.problems = append(c.problems, Problem{Host: c.host.String(), What: what, Mend: mend, Warning: warning})
}

func (c *checker) check(n Needs) {
	f := c.facts
	if n.Architecture != "" && f.Architecture != n.Architecture {
		c.add(false, fmt.Sprintf("its architecture is %s, the image is for %s", f.Architecture, n.Architecture),
			"use an image for "+f.Architecture+", or another host")
	}
	if !c.host.Local && !slices.Contains(f.Addresses, c.host.Address) {
		c.add(false, fmt.Sprintf("the machine that answers has no interface with this address (it has %s)", join(f.Addresses)),
			"give the host's own address, not one that is translated on the way")
	}
	if f.FreeBytes < n.FreeBytes {
		c.add(false, fmt.Sprintf("%s free where %s are needed", size(f.FreeBytes), size(n.FreeBytes)),
			"free some space, or put the data root on a larger file system")
	}
	if n.Systemd && f.Init != "systemd" {
		c.add(false, fmt.Sprintf("process 1 is %q, not systemd", f.Init), "use a host that was booted with systemd")
	}
	if n.MaxClockSkew > 0 && f.ClockSkew.Abs() > n.MaxClockSkew {
		direction := "ahead of"
		if f.ClockSkew < 0 {
			direction = "behind"
		}
		c.add(false, fmt.Sprintf("its clock is %s %s this machine's", f.ClockSkew.Abs().Round(time.Second), direction),
			"set the clocks right (chrony, systemd-timesyncd): certificates depend on them")
	}
	c.foreign(n)
	for _, name := range n.Commands {
		if !slices.Contains(f.Commands, name) {
			c.add(false, "the command "+name+" is missing", "install the package that has it")
		}
	}
	for _, port := range n.Ports {
		if l := f.listener(port); l != nil {
			c.add(false, fmt.Sprintf("port %d is in use%s", port, by(l.Process)), "stop what listens there, or use another host")
		}
	}
	c.warn(n)
}

// foreign adds what is on the host and is not of the cluster. It would be overwritten, or removed one day.
func (c *checker) foreign(n Needs) {
	f := c.facts
	switch {
	case n.ClusterDir != "" && f.ClusterDir != "" && f.ClusterDir != n.ClusterDir:
		c.add(false, fmt.Sprintf("it is a host of the cluster in %s, but this run is for the one in %s", f.ClusterDir, n.ClusterDir),
			"use the --cluster-name and --data-root (metadata.name and spec.dataRoot of a Clusterfile) that it was installed with, or another host")
	case n.NoCluster && len(f.Cluster) > 0:
		c.add(false, "a Kubernetes is or was on it: "+strings.Join(f.Cluster, ", ")+server(f.Kubelet.Server),
			"use another host, or remove it first (kubeadm reset) if you do not need it")
	case n.NoCluster && f.Runs("kubelet"):
		c.add(false, "a kubelet runs on it", "use another host, or stop and remove it first if you do not need it")
	}
	if n.NoEtcd && (f.HasData(EtcdDir) || f.Runs("etcd")) {
		what := "an etcd runs on it"
		if f.HasData(EtcdDir) {
			what = "etcd data in " + EtcdDir
		}
		c.add(false, what+", which this cluster did not create", "use another host, or stop that etcd and move its data away")
	}
	if n.NoContainerd && f.HasData(ContainerdDir) {
		c.add(false, "containerd data in "+ContainerdDir+", which this cluster did not create",
			"use another host, or remove containerd and that directory if you do not need them")
	}
}

// server names the cluster that a kubelet is of.
func server(url string) string {
	if url == "" {
		return ""
	}
	return " (its API is at " + url + ")"
}

// warn adds what kubeadm grumbles about and a cluster survives.
func (c *checker) warn(n Needs) {
	f := c.facts
	if f.CPUs < n.CPUs {
		c.add(true, fmt.Sprintf("%d CPU where %d are recommended", f.CPUs, n.CPUs), "")
	}
	if f.MemoryBytes < n.MemoryBytes {
		c.add(true, fmt.Sprintf("%s of memory where %s are recommended", size(f.MemoryBytes), size(n.MemoryBytes)), "")
	}
	if n.NoSwap && f.SwapBytes > 0 {
		c.add(true, size(f.SwapBytes)+" of swap are on", "turn it off: swapoff -a, and its line in /etc/fstab")
	}
}

// compareHosts finds hosts that cannot be told apart.
func compareHosts(reports []Report) Problems {
	var problems Problems
	for i, r := range reports {
		for _, other := range reports[:i] {
			if r.Facts == nil || other.Facts == nil {
				continue
			}
			problem := Problem{Host: r.Host.String()}
			switch {
			case sameMachine(r, other):
				problem.What = "is the same machine as " + other.Host.String()
				problem.Mend = "name each host once"
			case strings.EqualFold(r.Facts.Hostname, other.Facts.Hostname):
				problem.What = fmt.Sprintf("its host name %q is also that of %s", r.Facts.Hostname, other.Host)
				problem.Mend = "give each host a name of its own: hostnamectl set-hostname NAME"
			default:
				continue
			}
			problems = append(problems, problem)
			break
		}
	}
	return problems
}

// sameMachine says whether two addresses lead to one machine. Its identifiers
// alone do not tell: cloned machines share /etc/machine-id, containers the boot.
func sameMachine(a, b Report) bool {
	return a.Facts.MachineID == b.Facts.MachineID && a.Facts.BootID == b.Facts.BootID &&
		slices.Contains(a.Facts.Addresses, b.Host.Address) && slices.Contains(b.Facts.Addresses, a.Host.Address)
}

func by(process string) string {
	if process == "" {
		return ""
	}
	return " by " + process
}

func join[T fmt.Stringer](items []T) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = item.String()
	}
	return strings.Join(texts, ", ")
}

// size is a number of bytes for a person.
func size(n uint64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
