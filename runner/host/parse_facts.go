package host

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/kubefile/kubefile/imagespec"
)

const (
	maxFactLine  = 4096
	maxFactItems = 6000 // of all lists

	maxServiceRoutes = 2
)

// errCutOff says that an answer has no end: what is missing in it is not known, and nothing must be concluded from that.
var errCutOff = errors.New("its answer breaks off")

// parseFacts reads what facts.sh prints. Unknown keys are passed over; what is
// there must be well-formed.
func parseFacts(out []byte) (*Facts, error) {
	f := &Facts{Units: map[string]string{}, Sysctls: map[string]string{}, Modules: map[string]string{}, Unknown: unreported()}
	said, ended, last := false, false, ""
	scanner := bufio.NewScanner(bytes.NewReader(out))
	scanner.Buffer(nil, maxFactLine)
	for scanner.Scan() {
		key, value, ok := strings.Cut(scanner.Text(), "\t")
		if !ok {
			continue // a login's greeting
		}
		said, ended, last = said || key == "facts", key == "end", printable(key)
		value = printable(strings.TrimSpace(value))
		f.learn(key, value)
		if value == "" {
			continue
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
	if !ended {
		return nil, fmt.Errorf("%w after %q", errCutOff, last)
	}
	return f, nil
}

// set takes in one line of the answer.
func (f *Facts) set(key, value string) (err error) {
	if text := f.text(key); text != nil {
		*text = value
		return nil
	}
	switch key {
	case "os-PRETTY_NAME":
		f.OS = strings.Trim(value, `"'`)
	case "os-ID":
		f.OSID = strings.Trim(value, `"'`)
	case "os-VERSION_ID":
		f.OSVersion = strings.Trim(value, `"'`)
	case "arch":
		f.Architecture = ociArchitecture(value)
		err = imagespec.CheckArchitecture(f.Architecture)
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
	case "service-route":
		f.addServiceRoutes(value)
	case "controllers":
		f.Controllers = strings.Fields(value)
	case "nm-unmanaged":
		f.NMUnmanaged = true
	case "kubelet-ca":
		f.Kubelet.Authority, _ = base64.StdEncoding.DecodeString(value) // what is none is nobody's we know
	case "etcd-grown":
		f.EtcdGrown = true
	default:
		return f.add(key, value)
	}
	return err
}

// text are the facts that are taken as they are.
func (f *Facts) text(key string) *string {
	return map[string]*string{
		"hostname": &f.Hostname, "machine-id": &f.MachineID, "boot-id": &f.BootID, "kernel": &f.Kernel, "init": &f.Init, "path": &f.Path,
		"time-sync": &f.TimeSync, "resolv-conf": &f.ResolvConf, "selinux": &f.SELinux, "kubelet-server": &f.Kubelet.Server, "cluster-dir": &f.ClusterDir,
	}[key]
}

// add takes in one line of those that may come many times.
func (f *Facts) add(key, value string) error {
	if f.items++; f.items > maxFactItems {
		return fmt.Errorf("more than %d", maxFactItems)
	}
	if list := f.texts(key); list != nil {
		*list = append(*list, value)
		return nil
	}
	switch key {
	case "address":
		return f.addAddress(value)
	case "route":
		return f.addRoute(value)
	case "hosts-file":
		if address, err := netip.ParseAddr(value); err == nil { // people may write anything there
			f.HostsFile = append(f.HostsFile, address.WithZone("").Unmap())
		}
	case "listen":
		port, err := strconv.ParseUint(value, 16, 16)
		if err != nil {
			return err
		}
		if f.Listener(uint16(port)) == nil {
			f.Listening = append(f.Listening, Listener{Port: uint16(port)})
		}
	case "owner":
		number, name, _ := strings.Cut(value, " ")
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return err
		}
		if l := f.Listener(uint16(port)); l != nil {
			l.Process = name
		}
	case "file-system":
		return f.addFileSystem(value)
	case "sysctl", "module":
		name, setting, _ := strings.Cut(value, " ")
		map[string]map[string]string{"sysctl": f.Sysctls, "module": f.Modules}[key][name] = setting
	default:
		if unit, ok := strings.CutPrefix(key, "unit-"); ok {
			f.Units[unit] = value
		}
	}
	return nil
}

// texts are the lists whose lines are taken as they are.
func (f *Facts) texts(key string) *[]string {
	return map[string]*[]string{
		"command": &f.Commands, "cluster": &f.Cluster, "data": &f.Data, "process": &f.Processes, "symlink": &f.Symlinks, "cni": &f.CNI,
		"socket": &f.Sockets, "resolv": &f.Resolv, "no-forwarding": &f.NoForwarding, "firewall": &f.Firewalls,
		"cloud-hosts": &f.CloudHosts, "proxy": &f.Proxies,
	}[key]
}

// addAddress reads ADDRESS[/BITS] [INTERFACE [passing]].
func (f *Facts) addAddress(value string) error {
	words := append(strings.Fields(value), "", "", "")
	text, bits, _ := strings.Cut(words[0], "/")
	address, err := netip.ParseAddr(text)
	if err != nil {
		return err
	}
	address = address.WithZone("").Unmap()
	f.Addresses = append(f.Addresses, address)
	n, err := strconv.Atoi(bits)
	if bits == "" { // of a point-to-point link
		n, err = address.BitLen(), nil
	}
	if words[1] != "" && err == nil && n >= 0 && n <= address.BitLen() {
		f.Networks = append(f.Networks, NetworkAddress{Prefix: netip.PrefixFrom(address, n), Interface: words[1], Passing: words[2] == "passing"})
	}
	return nil
}

// addRoute reads FAMILY DESTINATION [INTERFACE [METRIC]]. A destination that is not understood is passed over.
func (f *Facts) addRoute(value string) error {
	words := append(strings.Fields(value), "", "", "", "")
	family, destination, name := words[0], words[1], words[2]
	if destination == "default" {
		destination = "0.0.0.0/0"
		if family == "6" {
			destination = "::/0"
		}
	}
	prefix, err := netip.ParsePrefix(destination)
	if err != nil {
		address, err := netip.ParseAddr(destination)
		if err != nil {
			return nil
		}
		prefix = netip.PrefixFrom(address, address.BitLen())
	}
	metric, err := strconv.Atoi(words[3])
	if err != nil {
		metric = 0 // it has none
	}
	f.Routes = append(f.Routes, Route{Destination: prefix.Masked(), Interface: name, Metric: metric})
	return nil
}

// addServiceRoutes reads ADDRESS NETWORK, once or twice: a cluster has a network of services for each family. What is not understood is passed
// over, as a unit can be edited.
func (f *Facts) addServiceRoutes(value string) {
	words := strings.Fields(value)
	for i := 0; i+1 < len(words) && len(f.ServiceRoutes) < maxServiceRoutes; i += 2 {
		address, invalid := netip.ParseAddr(words[i])
		network, err := netip.ParsePrefix(words[i+1])
		if err == nil && invalid == nil {
			f.ServiceRoutes = append(f.ServiceRoutes, ServiceRoute{Address: address, Network: network.Masked()})
		}
	}
}

// addFileSystem reads PURPOSE|FREE KIB|FREE INODES|TYPE|OPTIONS|DEVICE|MOUNTED ON.
func (f *Facts) addFileSystem(value string) error {
	words := strings.SplitN(value, "|", 7)
	if len(words) < 7 {
		return errors.New("too short")
	}
	free, err := kibibytes(words[1])
	if err != nil {
		return err
	}
	s := FileSystem{Purpose: words[0], FreeBytes: free, Type: words[3], Options: strings.Split(words[4], ","), Device: words[5], Mount: words[6]}
	if inodes, err := strconv.ParseUint(words[2], 10, 64); err == nil {
		s.FreeInodes, s.HasInodes = inodes, true
	}
	f.FileSystems = append(f.FileSystems, s)
	return nil
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
