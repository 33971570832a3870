package clusterfile

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kubeadm"
	"github.com/kubefile/kubefile/runner/plugin"
)

// Cluster is the cluster of a site.
type Cluster struct {
	Name      string // default "default"
	Image     string
	Env       environment.Set
	Hosts     []Host // masters first, in the order written
	Cmd       []string
	CmdArgs   environment.Set
	AppNames  []string // nil for all
	Apps      map[string]App
	Aliases   []Alias
	Registry  Registry
	DataRoot  string
	Positions string // of the document, for messages
}

// Host is one host of the cluster.
type Host struct {
	Address netip.Addr
	Role    host.Role
	Roles   []string // beyond master and node
	SSH     SSH
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
func (r *reader) cluster(d *document) error {
	if r.out.Cluster != nil {
		return fmt.Errorf("%s: a second Cluster, the first is at %s: one site is one cluster", d.at(d.root), r.out.Cluster.Positions)
	}
	var written ClusterDocument
	if field(d.root, "spec", "masters") != nil || field(d.root, "spec", "nodes") != nil {
		old := oldCluster{}
		if err := d.decode(&old); err != nil {
			return err
		}
		if p := old.Spec.Provider; p != "" && p != "BAREMETAL" {
			return fmt.Errorf("%s: provider %s: hosts are not made here, only used: write BAREMETAL", d.at(field(d.root, "spec", "provider")), p)
		}
		r.network = kubeadm.Old(old.Spec.Network.PodCIDR, old.Spec.Network.SvcCIDR, old.Spec.CertSANS)
		written = old.modern()
	} else if err := d.decode(&written); err != nil {
		return err
	}
	cluster, err := written.cluster(d.file)
	if err != nil {
		return err
	}
	cluster.Positions = d.at(d.root)
	r.out.Cluster = cluster
	return nil
}

// modern is the same in the form of today.
func (o *oldCluster) modern() ClusterDocument {
	spec := ClusterSpec{Image: o.Spec.Image, Env: o.Spec.Env, SSH: o.Spec.SSH}
	for _, list := range []struct {
		role  string
		hosts oldHosts
	}{{masterRole, o.Spec.Masters}, {nodeRole, o.Spec.Nodes}} {
		if hosts := list.hosts; len(hosts.IPList) > 0 {
			spec.Hosts = append(spec.Hosts, HostSpec{IPs: hosts.IPList, Roles: []string{list.role}, line: hosts.line, column: hosts.column})
		}
	}
	return ClusterDocument{APIVersion: o.APIVersion, Kind: o.Kind, Metadata: o.Metadata, Spec: spec}
}

// UnmarshalYAML keeps the place.
func (h *HostSpec) UnmarshalYAML(node *yaml.Node) error {
	type plain HostSpec
	h.line, h.column = node.Line, node.Column
	return node.Decode((*plain)(h))
}

// UnmarshalYAML keeps the place.
func (h *oldHosts) UnmarshalYAML(node *yaml.Node) error {
	type plain oldHosts
	h.line, h.column = node.Line, node.Column
	return node.Decode((*plain)(h))
}

// cluster makes the cluster of a document whose texts have been checked. It returns all that is wrong with it as a whole.
func (w *ClusterDocument) cluster(file string) (*Cluster, error) {
	spec := w.Spec
	c := &Cluster{
		Name: cmp.Or(w.Metadata.Name, "default"), Image: spec.Image, Env: environment.Set(spec.Env),
		Cmd: spec.Cmd, AppNames: spec.AppNames, Registry: spec.Registry, DataRoot: spec.DataRoot,
	}
	var failed []error
	if t := spec.ContainerRuntime.Type; t != "" && t != "containerd" {
		failed = append(failed, fmt.Errorf("%s: containerRuntime.type %s: cluster images bring containerd", file, t))
	}
	args, err := environment.Parse(spec.CmdArgs)
	if err != nil {
		failed = append(failed, err)
	}
	c.CmdArgs = args
	for _, alias := range spec.HostAliases {
		address, err := oneAddress(alias.IP)
		if err != nil {
			failed = append(failed, err)
		}
		c.Aliases = append(c.Aliases, Alias{address, alias.Hostnames})
	}
	seen := map[netip.Addr]int{}
	for _, entry := range spec.Hosts {
		hosts, err := entry.hosts(file, spec.SSH, seen)
		if err != nil {
			failed = append(failed, err)
		}
		c.Hosts = append(c.Hosts, hosts...)
	}
	slices.SortStableFunc(c.Hosts, func(a, b Host) int { return strings.Compare(string(a.Role), string(b.Role)) }) // master, node
	return c, errors.Join(failed...)
}

// hosts are those of one entry of the list. seen are the lines of the addresses so far.
func (h HostSpec) hosts(file string, ssh SSH, seen map[netip.Addr]int) ([]Host, error) {
	var hosts []Host
	at := position(file, h.line, h.column)
	one, err := h.host(ssh)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	if len(h.IPs) == 0 {
		return nil, fmt.Errorf("%s: no ips", at)
	}
	var failed []error
	for _, list := range h.IPs {
		addresses, err := host.ParseAddresses(list)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		for _, address := range addresses {
			if line, twice := seen[address]; twice {
				failed = append(failed, fmt.Errorf("%s: the host %s stands in line %d already: a host is either master or node, and stands once",
					at, address, line))
			}
			seen[address] = h.line
			one.Address = address
			hosts = append(hosts, one)
		}
	}
	return hosts, errors.Join(failed...)
}

// host is what all hosts of the entry have.
func (h HostSpec) host(ssh SSH) (Host, error) {
	one := Host{SSH: h.SSH.over(ssh), Env: environment.Set(h.Env), Labels: h.Labels}
	for _, role := range h.Roles {
		switch role {
		case masterRole, "master0":
			one.Role += host.RoleMaster
		case nodeRole:
			one.Role += host.RoleNode
		default:
			one.Roles = append(one.Roles, role)
		}
	}
	switch one.Role {
	case host.RoleMaster, host.RoleNode:
	case "":
		return one, fmt.Errorf("roles: one of them is master or node")
	default:
		return one, fmt.Errorf("roles: a host is either master or node, and once")
	}
	for key, value := range h.Labels {
		if err := plugin.CheckLabel(key, value); err != nil {
			return one, fmt.Errorf("labels: %w", err)
		}
	}
	for _, text := range h.Taints {
		taint, err := plugin.ParseTaint(text)
		if err != nil {
			return one, fmt.Errorf("taints: %w", err)
		}
		one.Taints = append(one.Taints, taint)
	}
	return one, nil
}
