package clusterfile

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	format "github.com/kubefile/kubefile/imagespec/clusterfile"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/plugin"
)

// Cluster is the cluster of a site.
type Cluster struct {
	Name     string // default "default"; a label as in RFC 1123
	Image    string
	Env      environment.Set
	Hosts    []Host     // masters first, one at least, in the order written
	SSH      format.SSH // of hosts that name no login
	Cmd      []string   // nil for what the image says
	CmdArgs  environment.Set
	AppNames []string // nil for all
	Apps     map[string]App
	Aliases  []Alias
	Registry format.Registry
	DataRoot string
}

// Host is one host of the cluster.
type Host struct {
	Address netip.Addr
	Role    host.Role
	Roles   []string // beyond master and node
	SSH     format.SSH
	Env     environment.Set // of this host only
	Labels  map[string]string
	Taints  []plugin.TaintChange
}

// App is how an application is started here.
type App struct {
	Env  environment.Set
	Cmds []string // nil for what the image says
}

// Alias gives an address names.
type Alias struct {
	Address netip.Addr
	Names   []string
}

// masterRole and nodeRole are the roles that say what a host is. Older generations call the first master master0.
const (
	masterRole = "master"
	nodeRole   = "node"
)

// cluster takes in a Cluster of either generation, which its shape tells apart.
func (r *reader) cluster(d *format.Document) error {
	if r.clusterAt != "" {
		return fmt.Errorf("%s: a second Cluster, the first is at %s: one site is one cluster", d.At(d.Root), r.clusterAt)
	}
	r.clusterAt = d.At(d.Root)
	var written format.ClusterDocument
	if isOld(d) {
		var old format.OldClusterDocument
		if err := r.decode(d, &old); err != nil {
			return err
		}
		network := old.Spec.Network
		r.network = kubeadm.Old(network.PodCIDR, network.SvcCIDR, old.Spec.CertSANS)
		for name, node := range map[string]*yaml.Node{
			"networking.podSubnet": d.Field("spec", "network", "podCIDR"), "networking.serviceSubnet": d.Field("spec", "network", "svcCIDR"),
			"apiServer.certSANs": d.Field("spec", "certSANS"),
		} {
			if name = "ClusterConfiguration." + name; node != nil && r.out.places[name] == "" {
				r.out.places[name] = d.At(node)
			}
		}
		written = modern(old)
	} else if err := r.decode(d, &written); err != nil {
		return err
	}
	cluster, err := makeCluster(d, written)
	if err == nil {
		r.out.Cluster = cluster
	}
	return err
}

// isOld reports whether a Cluster is of the first generation: it has no hosts, and something that only that has.
func isOld(d *format.Document) bool {
	return d.Field("spec", "hosts") == nil && slices.ContainsFunc([]string{"masters", "nodes", "network", "certSANS", "provider"},
		func(name string) bool { return d.Field("spec", name) != nil })
}

// modern is the same in the form of today.
func modern(o format.OldClusterDocument) format.ClusterDocument {
	spec := format.ClusterSpec{Image: o.Spec.Image, Env: o.Spec.Env, SSH: o.Spec.SSH}
	for _, list := range []struct {
		role  string
		hosts format.OldHosts
	}{{masterRole, o.Spec.Masters}, {nodeRole, o.Spec.Nodes}} {
		if hosts := list.hosts; len(hosts.IPList) > 0 {
			spec.Hosts = append(spec.Hosts, format.HostSpec{IPs: hosts.IPList, Roles: []string{list.role}, Line: hosts.Line, Column: hosts.Column})
		}
	}
	return format.ClusterDocument{APIVersion: o.APIVersion, Kind: o.Kind, Metadata: o.Metadata, Spec: spec}
}

// set is an environment as it is meant.
func set(written format.Env) environment.Set {
	if written == nil {
		return nil
	}
	meant := environment.Set{}
	for name, value := range written {
		meant[name] = value
	}
	return meant
}

// makeCluster makes the cluster of a document whose texts have been checked. It returns all that is wrong with it as a whole.
func makeCluster(d *format.Document, w format.ClusterDocument) (*Cluster, error) {
	spec := w.Spec
	c := &Cluster{
		Name: cmp.Or(w.Metadata.Name, "default"), Image: spec.Image, Env: set(spec.Env),
		SSH: spec.SSH, Cmd: spec.Cmd, AppNames: spec.AppNames, Registry: spec.Registry, DataRoot: spec.DataRoot,
	}
	var failed []error
	if !clusterName.MatchString(c.Name) {
		failed = append(failed, fmt.Errorf("%s: cluster name %q: lower case letters, digits and dashes, at most 63 of them",
			d.At(d.Field("metadata", "name")), c.Name))
	}
	args, err := environment.Parse(spec.CmdArgs)
	failed = append(failed, err)
	c.CmdArgs = args
	for _, alias := range spec.HostAliases {
		address, err := oneAddress(alias.IP)
		failed = append(failed, err)
		c.Aliases = append(c.Aliases, Alias{address, alias.Hostnames})
	}
	seen := map[netip.Addr]int{}
	for _, entry := range spec.Hosts {
		hosts, err := makeHosts(d.File, entry, spec.SSH, seen)
		if failed = append(failed, err); len(c.Hosts)+len(hosts) > maxHosts {
			failed = append(failed, fmt.Errorf("%s: too many hosts (at most %d)", d.At(d.Root), maxHosts))
			break
		}
		c.Hosts = append(c.Hosts, hosts...)
	}
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	slices.SortStableFunc(c.Hosts, func(a, b Host) int { return strings.Compare(string(a.Role), string(b.Role)) }) // master, node
	if len(c.Hosts) == 0 || c.Hosts[0].Role != host.RoleMaster {
		example := "hosts: [{ips: [192.168.0.2], roles: [master]}]"
		if isOld(d) {
			example = "masters: {ipList: [192.168.0.2]}"
		}
		return nil, fmt.Errorf("%s: no master: write %s", d.At(d.Root), example)
	}
	return c, nil
}

// maxHosts is what Kubernetes is made for (https://kubernetes.io/docs/setup/best-practices/cluster-large/).
const maxHosts = 5000

// makeHosts makes those of one entry of the list. seen are the lines of the addresses so far.
func makeHosts(file string, entry format.HostSpec, ssh format.SSH, seen map[netip.Addr]int) ([]Host, error) {
	fail := func(err error) error { return fmt.Errorf("%s:%d:%d: %w", file, entry.Line, entry.Column, err) }
	one, err := makeHost(entry, ssh)
	failed := []error{err}
	if len(entry.IPs) == 0 {
		failed = append(failed, errors.New("no ips: write ips: [192.168.0.2]"))
	}
	var hosts []Host
	for _, list := range entry.IPs {
		addresses, err := host.ParseAddresses(list)
		if failed = append(failed, err); len(hosts)+len(addresses) > maxHosts {
			failed = append(failed, fmt.Errorf("too many hosts (at most %d)", maxHosts))
			break
		}
		for _, address := range addresses {
			if line, twice := seen[address]; twice {
				failed = append(failed, fmt.Errorf("the host %s is already listed in line %d: list each host once, as master or node",
					address, line))
			}
			seen[address] = entry.Line
			one.Address = address
			hosts = append(hosts, one)
		}
	}
	for i, err := range failed {
		if err != nil {
			failed[i] = fail(err)
		}
	}
	return hosts, errors.Join(failed...)
}

// makeHost makes what all hosts of the entry have.
func makeHost(entry format.HostSpec, ssh format.SSH) (Host, error) {
	one := Host{SSH: over(entry.SSH, ssh), Env: set(entry.Env), Labels: entry.Labels}
	for _, role := range entry.Roles {
		switch role {
		case masterRole, "master0":
			one.Role += host.RoleMaster
		case nodeRole:
			one.Role += host.RoleNode
		default:
			one.Roles = append(one.Roles, role)
		}
	}
	for _, text := range entry.Taints {
		taint, err := plugin.ParseTaint(text)
		if err != nil {
			return one, fmt.Errorf("taints: %w", err)
		}
		one.Taints = append(one.Taints, taint)
	}
	switch one.Role {
	case host.RoleMaster, host.RoleNode:
		return one, nil
	case "":
		return one, errors.New("roles: one of them is master or node: write roles: [node]")
	}
	return one, errors.New("roles: set exactly one of master or node")
}
