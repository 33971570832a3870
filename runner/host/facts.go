package host

import (
	"bytes"
	"context"
	_ "embed"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Facts is what a host is like. Everything in it was said by the host: it is
// fit to be shown and compared, and never part of a command.
type Facts struct {
	Hostname     string
	MachineID    string // /etc/machine-id
	BootID       string // changes with every boot
	OS           string // PRETTY_NAME of os-release(5)
	OSID         string // ID, such as debian
	OSVersion    string // VERSION_ID
	Architecture string // as in an OCI platform: amd64, arm64, ...
	Kernel       string // uname -r
	Init         string // name of process 1
	Cgroup       int    // 1 or 2
	CPUs         int
	MemoryBytes  uint64
	SwapBytes    uint64
	Time         time.Time     // the host's clock, to the second
	ClockSkew    time.Duration // how far it is ahead of ours; within the duration of the question, zero
	Path         string        // PATH of root's commands in this login, as sudo or the login sets it
	Addresses    []netip.Addr
	Networks     []NetworkAddress // those of the addresses
	Routes       []Route
	// ServiceRoutes are those that a unit of ours sets.
	ServiceRoutes []ServiceRoute
	Listening     []Listener        // TCP
	Units         map[string]string // container runtimes, firewalls, clocks: state of those installed
	Commands      []string          // of those that the phases ask for
	Cluster       []string          // files of a Kubernetes that is or was here
	Kubelet       Kubelet           // what kubelet.conf says
	ClusterDir    string            // of the cluster whose registry is installed here
	Data          []string          // directories of etcd and containerd that hold something
	EtcdGrown     bool              // its etcd has taken a snapshot: it has been in use for a while
	Processes     []string          // those of Kubernetes, etcd and container runtimes that run

	FileSystems  []FileSystem
	Symlinks     []string          // directories for data that are symbolic links
	Controllers  []string          // of control groups
	TimeSync     string            // yes or no; empty when the host did not say
	CNI          []string          // configurations of pod networks
	Sockets      []string          // of container runtimes
	ResolvConf   string            // what the kubelet is given; empty when it cannot be read
	Resolv       []string          // its lines: nameserver, search, domain and options
	HostsFile    []netip.Addr      // what /etc/hosts has for the host's own name
	Sysctls      map[string]string // by name
	NoForwarding []string          // settings, with file, that turn forwarding off
	Modules      map[string]string // loaded, builtin, loadable or missing; what is not in it is unknown
	SELinux      string            // 1 when it is enforcing
	Firewalls    []string          // ufw, input-drop, forward-drop
	CloudHosts   []string          // files of cloud-init that have it write /etc/hosts
	NMUnmanaged  bool              // NetworkManager leaves the interfaces of pods alone
	Proxies      []string          // names of variables

	// Unknown has the topics that the host did not report, with the reasons.
	Unknown map[Topic]string

	items int // of lists, that were taken in
}

// FileSystem is what a directory, or the nearest one above it that exists, is on.
type FileSystem struct {
	Purpose    string // the directory, or data-root
	FreeBytes  uint64
	FreeInodes uint64
	HasInodes  bool
	Type       string
	Options    []string
	Device     string
	Mount      string
}

// ID tells file systems apart.
func (f FileSystem) ID() string {
	if strings.HasPrefix(f.Device, "/") {
		return f.Device
	}
	return f.Mount
}

// DataRoot is the purpose of the file system of the data root.
const DataRoot = "data-root"

// FileSystem returns the file system for a purpose.
func (f *Facts) FileSystem(purpose string) (FileSystem, bool) {
	i := slices.IndexFunc(f.FileSystems, func(s FileSystem) bool { return s.Purpose == purpose })
	if i < 0 {
		return FileSystem{}, false
	}
	return f.FileSystems[i], true
}

// NetworkAddress is an address of the host with its network.
type NetworkAddress struct {
	Prefix    netip.Prefix // with the address
	Interface string
	Passing   bool // temporary, deprecated or not known to be unique: not a node's
}

// Route is one entry of the main routing table.
type Route struct {
	Destination netip.Prefix
	Interface   string // or blackhole, unreachable, prohibit
	Metric      int    // 0: none
}

// ServiceRoute is what the unit kubefile-service-route is to set: a route to a network of services, through the interface with an address.
type ServiceRoute struct {
	Address netip.Addr
	Network netip.Prefix
}

// ServiceMetric is the metric of routes that the unit sets.
const ServiceMetric = 4096

// SetByUs reports whether a route is one that our unit sets, and not one of the site's to the same network.
func (f *Facts) SetByUs(r Route) bool {
	return r.Metric == ServiceMetric && slices.ContainsFunc(f.ServiceRoutes, func(s ServiceRoute) bool {
		return s.Network == r.Destination && f.Interface(s.Address) == r.Interface
	})
}

// Kubelet is what the kubelet's credentials say about its cluster.
type Kubelet struct {
	Authority []byte // PEM; empty when there is no kubelet.conf
	Server    string // URL of the API
}

// The directories that are named in [Facts.Data].
const (
	EtcdDir       = "/var/lib/etcd"
	ContainerdDir = "/var/lib/containerd"
)

// Runs reports whether a process with this name runs, of those that facts.sh asks for.
func (f *Facts) Runs(name string) bool { return slices.Contains(f.Processes, name) }

// HasData reports whether a directory of [Facts.Data] holds something.
func (f *Facts) HasData(dir string) bool { return slices.Contains(f.Data, dir) }

// HasCluster reports whether a file of a Kubernetes is there.
func (f *Facts) HasCluster(file string) bool { return slices.Contains(f.Cluster, file) }

// Listener is a TCP port that something listens on.
type Listener struct {
	Port    uint16
	Process string // empty when the host did not say
}

//go:embed facts.sh
var factsScript string

// gatherScript is facts.sh with the programs of all usual directories, and with PATH as it was before in login_path.
func gatherScript() string { return "login_path=$PATH\n" + ExtendPath + "\n" + factsScript }

// factsLimit is how long a host may take to say what it is like.
const factsLimit = time.Minute

// Gather asks the host what it is like, in one session and changing nothing.
// dataRoot is where the cluster's files are going to be; it need not exist.
// An answer that is not whole is an error, of type *Problem as all of its errors.
func Gather(ctx context.Context, conn Conn, dataRoot string) (*Facts, error) {
	facts, _, err := GatherAlso(ctx, conn, dataRoot, Question{})
	return facts, err
}

// Question is a script for sh that changes nothing on a host, with its arguments.
type Question struct {
	Script string
	Args   []string
}

// GatherAlso is [Gather] with another question in the same session, and returns what that printed. Its script runs after that of the facts, as
// root and with the same PATH.
func GatherAlso(ctx context.Context, conn Conn, dataRoot string, also Question) (facts *Facts, answer []byte, err error) {
	script := gatherScript()
	if also.Script != "" {
		script += "set -- " + Quote(also.Args) + "\n" + also.Script
	}
	before := time.Now()
	out, err := Output(ctx, conn, Command{
		Argv: []string{"sh", "-c", script, "sh", dataRoot}, Root: true, ReadOnly: true, LoginPath: true, Name: "asking the host what it is like", Limit: factsLimit,
	})
	if err != nil {
		return nil, nil, Unanswered(conn.Host(), err, "run the same command again; if it fails again, log in and check that sh runs there as root")
	}
	said, answer := splitAnswer(out)
	if facts, err = parseFacts(said); err != nil {
		return nil, nil, &Problem{
			Host: conn.Host().String(), What: "asking the host what it is like: " + err.Error(), Cause: err,
			Mend: "run the same command again; if it fails again, check what ForceCommand in its sshd_config and the profile of its shell run",
		}
	}
	if facts.Knows(TopicTime) {
		facts.ClockSkew = skew(facts.Time, before, time.Now())
	}
	return facts, answer, nil
}

// splitAnswer divides what a host said after the last line of facts.sh.
func splitAnswer(out []byte) (facts, answer []byte) {
	const end = "\nend\tfacts\n"
	at := bytes.Index(out, []byte(end))
	if at < 0 {
		return out, nil
	}
	at += len(end)
	return out[:at], bytes.Clone(out[at:]) // the facts need not stay in memory as text
}

// skew is how far a clock that was read between before and after, to the
// second, is certainly off.
func skew(read, before, after time.Time) time.Duration {
	switch {
	case read.After(after):
		return read.Sub(after)
	case read.Add(time.Second).Before(before):
		return read.Add(time.Second).Sub(before)
	}
	return 0
}

// Listener returns the entry of a port, or nil.
func (f *Facts) Listener(port uint16) *Listener {
	i := slices.IndexFunc(f.Listening, func(l Listener) bool { return l.Port == port })
	if i < 0 {
		return nil
	}
	return &f.Listening[i]
}
