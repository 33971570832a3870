package host

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubefile/kubefile/imagespec"
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
	FreeBytes    uint64        // on the file system of the data root
	Time         time.Time     // the host's clock, to the second
	ClockSkew    time.Duration // how far it is ahead of ours; within the duration of the question, zero
	Addresses    []netip.Addr
	Listening    []Listener        // TCP
	Units        map[string]string // kubelet, containerd, docker: state of those installed
	Commands     []string          // of those that the phases ask for
	Cluster      []string          // files of a Kubernetes that is or was here
	Kubelet      Kubelet           // what kubelet.conf says
	ClusterDir   string            // of the cluster whose registry is installed here
	Data         []string          // directories of etcd and containerd that hold something
	EtcdGrown    bool              // its etcd has taken a snapshot: it has been in use for a while
	Processes    []string          // those of Kubernetes, etcd and container runtimes that run
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

// Gather asks the host what it is like, in one session and changing nothing.
// dataRoot is where the cluster's files are going to be; it need not exist.
func Gather(ctx context.Context, conn Conn, dataRoot string) (*Facts, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	before := time.Now()
	out, err := Output(ctx, conn, Command{Argv: []string{"sh", "-c", factsScript, "sh", dataRoot}, Root: true})
	if err != nil {
		return nil, fmt.Errorf("asking the host what it is like: %w", err)
	}
	facts, err := parseFacts(out)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", conn.Host(), err)
	}
	facts.ClockSkew = skew(facts.Time, before, time.Now())
	return facts, nil
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

const (
	maxFactLine  = 4096
	maxFactItems = 2000 // of each list
)

// parseFacts reads what facts.sh prints. Unknown keys are passed over; what is
// there must be well-formed.
func parseFacts(out []byte) (*Facts, error) {
	f := &Facts{Units: make(map[string]string)}
	said := false
	scanner := bufio.NewScanner(bytes.NewReader(out))
	scanner.Buffer(nil, maxFactLine)
	for scanner.Scan() {
		key, value, ok := strings.Cut(scanner.Text(), "\t")
		if !ok {
			continue // a login's greeting
		}
		said = said || key == "facts"
		value = printable(strings.TrimSpace(value))
		if value == "" {
			continue // the host could not say
		}
		if err := f.set(key, value); err != nil {
			return nil, fmt.Errorf("the host's answer is not understood: %s: %w", key, err)
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("the host's answer is not understood: %w", err)
	}
	if !said {
		return nil, errors.New("the host's answer is not understood: the login's shell must run commands")
	}
	return f, nil
}

// set takes in one line of the answer.
func (f *Facts) set(key, value string) (err error) {
	switch key {
	case "hostname":
		f.Hostname = value
	case "machine-id":
		f.MachineID = value
	case "boot-id":
		f.BootID = value
	case "os-PRETTY_NAME":
		f.OS = strings.Trim(value, `"'`)
	case "os-ID":
		f.OSID = strings.Trim(value, `"'`)
	case "os-VERSION_ID":
		f.OSVersion = strings.Trim(value, `"'`)
	case "arch":
		f.Architecture = ociArchitecture(value)
		err = imagespec.CheckArchitecture(f.Architecture)
	case "kernel":
		f.Kernel = value
	case "init":
		f.Init = value
	case "cgroup":
		f.Cgroup, err = strconv.Atoi(value)
	case "cpus":
		f.CPUs, err = strconv.Atoi(value)
	case "time":
		var seconds int64
		seconds, err = strconv.ParseInt(value, 10, 64)
		f.Time = time.Unix(seconds, 0)
	case "MemTotal":
		f.MemoryBytes, err = kibibytes(value)
	case "SwapTotal":
		f.SwapBytes, err = kibibytes(value)
	case "free-kib":
		f.FreeBytes, err = kibibytes(value)
	case "kubelet-ca":
		f.Kubelet.Authority, _ = base64.StdEncoding.DecodeString(value) // what is none is nobody's we know
	case "kubelet-server":
		f.Kubelet.Server = value
	case "cluster-dir":
		f.ClusterDir = value
	case "etcd-grown":
		f.EtcdGrown = true
	case "address", "listen", "owner", "command", "cluster", "data", "process":
		return f.add(key, value)
	default:
		if unit, ok := strings.CutPrefix(key, "unit-"); ok && len(f.Units) < maxFactItems {
			f.Units[unit] = value
		}
	}
	return err
}

// add takes in one line of those that may come many times.
func (f *Facts) add(key, value string) error {
	if max(len(f.Addresses), len(f.Listening), len(f.Commands), len(f.Cluster), len(f.Data), len(f.Processes)) >= maxFactItems {
		return fmt.Errorf("more than %d", maxFactItems)
	}
	switch key {
	case "address":
		text, _, _ := strings.Cut(value, "/")
		address, err := netip.ParseAddr(text)
		if err != nil {
			return err
		}
		f.Addresses = append(f.Addresses, address.WithZone("").Unmap())
	case "listen":
		port, err := strconv.ParseUint(value, 16, 16)
		if err != nil {
			return err
		}
		if f.listener(uint16(port)) == nil {
			f.Listening = append(f.Listening, Listener{Port: uint16(port)})
		}
	case "owner":
		number, name, _ := strings.Cut(value, " ")
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return err
		}
		if l := f.listener(uint16(port)); l != nil {
			l.Process = name
		}
	case "command":
		f.Commands = append(f.Commands, value)
	case "cluster":
		f.Cluster = append(f.Cluster, value)
	case "data":
		f.Data = append(f.Data, value)
	case "process":
		f.Processes = append(f.Processes, value)
	}
	return nil
}

// listener returns the entry of a port, or nil.
func (f *Facts) listener(port uint16) *Listener {
	i := slices.IndexFunc(f.Listening, func(l Listener) bool { return l.Port == port })
	if i < 0 {
		return nil
	}
	return &f.Listening[i]
}

func kibibytes(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 53) // 53+10 bits: no overflow
	return n << 10, err
}

// ociArchitecture translates uname -m to the names of an OCI platform (Go's
// GOARCH); unknown ones stay as they are.
func ociArchitecture(machine string) string {
	switch machine {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	case "armv7l", "armv6l":
		return "arm"
	}
	return machine
}

// printable drops what must not reach a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}
