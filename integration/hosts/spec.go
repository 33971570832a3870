package hosts

import (
	"fmt"
	"strconv"
)

// DefaultName is the name of the lab that make hosts starts.
const DefaultName = "kf"

// Spec describes the hosts of a lab.
type Spec struct {
	Name  string // distinguishes labs that are up at the same time; default DefaultName
	Hosts []HostSpec
}

// HostSpec describes one host. The zero value is a friendly host with the default system.
type HostSpec struct {
	System string // release of Debian: bullseye, bookworm, trixie
	Harsh  []Property
}

// Property is something that makes a host harsh; hosts.sh harsh describes each.
type Property string

// The properties, each a file in harsh.
const (
	DataRootHome       Property = "data-root-home"
	DualStack          Property = "dual-stack"
	Firewall           Property = "firewall"
	ForeignContainerd  Property = "foreign-containerd"
	ForeignEtcd        Property = "foreign-etcd"
	IPv6Only           Property = "ipv6-only"
	LoopbackNameserver Property = "loopback-nameserver"
	NameLocalhost      Property = "name-localhost"
	NoConntrack        Property = "no-conntrack"
	NoDefaultRoute     Property = "no-default-route"
	NoNameserver       Property = "no-nameserver"
	NoexecTmp          Property = "noexec-tmp"
	ReadonlyUsr        Property = "readonly-usr"
	SecurePath         Property = "secure-path"
	SlowLink           Property = "slow-link"
	TwoNICs            Property = "two-nics"
	Umask077           Property = "umask-077"
)

// arguments returns the arguments of hosts.sh.
func (s Spec) arguments() []string {
	args := []string{"up", strconv.Itoa(len(s.Hosts))}
	for i, host := range s.Hosts {
		if host.System != "" {
			args = append(args, "--system", fmt.Sprintf("%d=%s", i+1, host.System))
		}
		for _, property := range host.Harsh {
			args = append(args, "--harsh", fmt.Sprintf("%d=%s", i+1, property))
		}
	}
	return args
}
