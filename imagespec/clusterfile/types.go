// Package clusterfile is the documents of a Clusterfile as they are written: their types, their strict decoding, and a JSON Schema of them
// for editors. What they mean at a site is the runner's.
package clusterfile

import (
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// A field of the types has the name in its tag `yaml`, and old names in `also`. `check` names one of [Checks], which its text must pass.
// `ignored` is the reason why a field of old documents has no effect here; a warning prints it. `examples` are for the schema.

// ClusterDocument is `kind: Cluster`.
type ClusterDocument struct {
	APIVersion string      `yaml:"apiVersion"`
	Kind       string      `yaml:"kind"`
	Metadata   Metadata    `yaml:"metadata,omitempty"`
	Spec       ClusterSpec `yaml:"spec"`

	// Status was written by the old tool.
	Status Ignored `yaml:"status,omitempty"`
}

// Ignored is a field whose value, of any kind, means nothing.
type Ignored struct{}

// UnmarshalYAML takes everything.
func (*Ignored) UnmarshalYAML(*yaml.Node) error { return nil }

// IsZero leaves it out where the document is written.
func (Ignored) IsZero() bool { return true }

// Metadata names a document.
type Metadata struct {
	// Name of the cluster, Config, Plugin or Application.
	Name string `yaml:"name"`

	// CreationTimestamp was written by the old tool.
	CreationTimestamp Ignored `yaml:"creationTimestamp,omitempty"`
}

// ClusterSpec specifies which image runs on which hosts, and how.
type ClusterSpec struct {
	// Image is the cluster image: a registry reference, an OCI layout directory, or an archive.
	Image string `yaml:"image,omitempty"`
	// Env is for scripts, templates, plugins and commands: a map, or a list of NAME=VALUE in which a name that appears twice makes a list.
	Env Env `yaml:"env,omitempty" check:"variable"`
	// SSH is how to log in to the hosts.
	SSH SSH `yaml:"ssh,omitempty"`
	// Hosts are the hosts of the cluster, with at least one master.
	Hosts []HostSpec `yaml:"hosts"`
	// Cmd replaces the image's own commands. Its CNI and CSI are still started.
	Cmd []string `yaml:"cmd,omitempty"`
	// CmdArgs are NAME=VALUE for the commands only. They override all other env.
	CmdArgs []string `yaml:"cmd_args,omitempty" check:"variable"`
	// AppNames are the applications of the image to start; all by default, and none for [""].
	AppNames []string `yaml:"appNames,omitempty"`
	// HostAliases are names for every host's /etc/hosts.
	HostAliases []HostAlias `yaml:"hostAliases,omitempty"`
	// Registry configures the cluster's own registry and an external one.
	Registry Registry `yaml:"registry,omitempty"`
	// ContainerRuntime is the container runtime in the image.
	ContainerRuntime ContainerRuntime `yaml:"containerRuntime,omitempty"`
	// DataRoot is the directory of the cluster's files on the hosts; default /var/lib/sealer/data.
	DataRoot string `yaml:"dataRoot,omitempty" check:"path"`
}

// SSH is a login. Empty fields of a host's SSH are taken from the cluster's.
type SSH struct {
	// User is the login name; default root. Any other user needs sudo.
	User string `yaml:"user,omitempty"`
	// Passwd is the password. Use env:NAME, file:PATH or prompt to keep it out of the file.
	Passwd string `yaml:"passwd,omitempty"`
	// PK is the file of the private key; default the keys of ~/.ssh and the SSH agent.
	PK string `yaml:"pk,omitempty"`
	// PKPasswd is the passphrase of the key, written like Passwd.
	PKPasswd string `yaml:"pkPasswd,omitempty"`
	// Port of sshd; default 22.
	Port Port `yaml:"port,omitempty" check:"port"`
	// Encrypted marks passwords that the old tool encrypted with a publicly known key. They cannot be used here.
	Encrypted bool `yaml:"encrypted,omitempty"`
}

// HostSpec is one or several hosts with the same roles.
type HostSpec struct {
	// IPs are addresses, lists and ranges: 192.168.0.2-192.168.0.7.
	IPs []string `yaml:"ips" check:"addresses"`
	// Roles are master or node, and any others, which become labels node-role.kubernetes.io/ROLE.
	Roles []string `yaml:"roles" check:"role" examples:"master node"`
	// SSH is how to log in to these hosts.
	SSH SSH `yaml:"ssh,omitempty"`
	// Env is the environment of these hosts. It overrides the cluster's.
	Env Env `yaml:"env,omitempty" check:"variable"`
	// Labels are labels of the nodes.
	Labels map[string]string `yaml:"labels,omitempty" check:"label"`
	// Taints are taints of the nodes: key=value:Effect, or key:Effect-, which removes one.
	Taints []string `yaml:"taints,omitempty" check:"taint"`

	// Line and Column are its position in the file.
	Line, Column int `yaml:"-" json:"-"`
}

// UnmarshalYAML keeps the place.
func (h *HostSpec) UnmarshalYAML(node *yaml.Node) error {
	type plain HostSpec
	h.Line, h.Column = node.Line, node.Column
	return node.Decode((*plain)(h))
}

// HostAlias is an address with its names.
type HostAlias struct {
	// IP is the address.
	IP string `yaml:"ip" check:"address"`
	// Hostnames are its names.
	Hostnames []string `yaml:"hostnames" check:"hostname"`
}

// Registry configures the registry of the cluster and an external one.
type Registry struct {
	// LocalRegistry serves the images of the cluster image on every host.
	LocalRegistry LocalRegistry `yaml:"localRegistry,omitempty"`
	// ExternalRegistry serves images that are not in the cluster image.
	ExternalRegistry *ExternalRegistry `yaml:"externalRegistry,omitempty"`
}

// LocalRegistry is the registry of the cluster.
type LocalRegistry struct {
	// Domain is the name that hosts use for it; default sea.hub.
	Domain string `yaml:"domain,omitempty" check:"hostname"`
	// Port is its port on every host; default 5000.
	Port Port `yaml:"port,omitempty" check:"port"`
	// Username is required from other hosts. It needs Password.
	Username string `yaml:"username,omitempty"`
	// Password has the same forms as ssh.passwd.
	Password string `yaml:"password,omitempty"`
	// HA must be true: every master has all images.
	HA *bool `yaml:"ha,omitempty" check:"true"`
	// Insecure uses HTTP without TLS between hosts.
	Insecure bool `yaml:"insecure,omitempty"`
	// Cert has additional names for its certificate, or your own certificate.
	Cert Cert `yaml:"cert,omitempty"`
}

// Cert is the registry's certificate. Without files the cluster creates one.
type Cert struct {
	// SubjectAltName has additional names for the certificate.
	SubjectAltName SubjectAltName `yaml:"subjectAltName,omitempty"`
	// CertFile is a file on the delivery machine: the certificate, PEM. It is valid for the address of every master.
	CertFile string `yaml:"certFile,omitempty"`
	// KeyFile is the file of its key.
	KeyFile string `yaml:"keyFile,omitempty"`
	// CAFile is the file of the CA that issued it; default the certificate itself.
	CAFile string `yaml:"caFile,omitempty"`
}

// SubjectAltName is as in RFC 5280, section 4.2.1.6.
type SubjectAltName struct {
	// DNSNames are host names.
	DNSNames []string `yaml:"dnsNames,omitempty" check:"dnsName"`
	// IPs are addresses.
	IPs []string `yaml:"ips,omitempty" check:"address"`
}

// ExternalRegistry is a registry of the site.
type ExternalRegistry struct {
	// Domain is its host name.
	Domain string `yaml:"domain" check:"hostname"`
	// Port is its port; default 443.
	Port Port `yaml:"port,omitempty" check:"port"`
	// Username and Password are the login for this registry.
	Username string `yaml:"username,omitempty"`
	// Password has the same forms as ssh.passwd.
	Password string `yaml:"password,omitempty"`
}

// ContainerRuntime is the container runtime on the hosts.
type ContainerRuntime struct {
	// Type is containerd.
	Type string `yaml:"type,omitempty" check:"runtime" examples:"containerd"`
}

// OldClusterDocument is `kind: Cluster` of the first generation, recognised by its fields masters and nodes instead of hosts.
type OldClusterDocument struct {
	APIVersion string         `yaml:"apiVersion"`
	Kind       string         `yaml:"kind"`
	Metadata   Metadata       `yaml:"metadata,omitempty"`
	Spec       OldClusterSpec `yaml:"spec"`

	// Status was written by the old tool.
	Status Ignored `yaml:"status,omitempty"`
}

// OldClusterSpec specifies which image runs on which hosts.
type OldClusterSpec struct {
	// Image is the cluster image: a registry reference, an OCI layout directory, or an archive.
	Image string `yaml:"image,omitempty"`
	// Env is for scripts, templates, plugins and commands: a map, or a list of NAME=VALUE in which a name that appears twice makes a list.
	Env Env `yaml:"env,omitempty" check:"variable"`
	// Provider must be BAREMETAL: machines must already exist.
	Provider string `yaml:"provider,omitempty" check:"provider" examples:"BAREMETAL"`
	// SSH is how to log in to the hosts.
	SSH SSH `yaml:"ssh,omitempty"`
	// Network are the cluster's networks.
	Network OldNetwork `yaml:"network,omitempty"`
	// CertSANS are additional names and addresses for the API server's certificate.
	CertSANS []string `yaml:"certSANS,omitempty"`
	// Masters are the masters of the cluster, at least one.
	Masters OldHosts `yaml:"masters"`
	// Nodes are the nodes of the cluster.
	Nodes OldHosts `yaml:"nodes,omitempty"`
}

// OldNetwork are the cluster's networks.
type OldNetwork struct {
	// PodCIDR is the network of the pods.
	PodCIDR string `yaml:"podCIDR,omitempty" check:"cidr"`
	// SvcCIDR is the network of the services.
	SvcCIDR string `yaml:"svcCIDR,omitempty" check:"cidr"`

	// Interface chose the network card of the CNI.
	Interface Ignored `yaml:"interface,omitempty" ignored:"the network is the image's CNI, which a Config can change"`
	// CNIName chose the CNI.
	CNIName Ignored `yaml:"cniName,omitempty" ignored:"the network is the image's CNI"`
	// WithoutCNI left the CNI out.
	WithoutCNI Ignored `yaml:"withoutCNI,omitempty" ignored:"the network is the image's CNI, and an image without one has none"`
}

// OldHosts are hosts with one role.
type OldHosts struct {
	// IPList are addresses, lists and ranges: 192.168.0.2-192.168.0.7.
	IPList []string `yaml:"ipList" check:"addresses"`

	// CPU was for machines that the old tool created.
	CPU Ignored `yaml:"cpu,omitempty" ignored:"hosts are used as they are"`
	// Memory was for machines that the old tool created.
	Memory Ignored `yaml:"memory,omitempty" ignored:"hosts are used as they are"`
	// Count was for machines that the old tool created.
	Count Ignored `yaml:"count,omitempty" ignored:"the hosts are those of ipList"`
	// SystemDisk was for machines that the old tool created.
	SystemDisk Ignored `yaml:"systemDisk,omitempty" ignored:"hosts are used as they are"`
	// DataDisks was for machines that the old tool created.
	DataDisks Ignored `yaml:"dataDisks,omitempty" ignored:"hosts are used as they are"`

	// Line and Column are its position in the file.
	Line, Column int `yaml:"-" json:"-"`
}

// UnmarshalYAML keeps the place.
func (h *OldHosts) UnmarshalYAML(node *yaml.Node) error {
	type plain OldHosts
	h.Line, h.Column = node.Line, node.Column
	return node.Decode((*plain)(h))
}

// ConfigDocument is `kind: Config`: it changes a file of the rootfs for this site.
type ConfigDocument struct {
	APIVersion string     `yaml:"apiVersion"`
	Kind       string     `yaml:"kind"`
	Metadata   Metadata   `yaml:"metadata,omitempty"`
	Spec       ConfigSpec `yaml:"spec"`
}

// ConfigSpec specifies a file and how it is changed.
type ConfigSpec struct {
	// Path is the path of the file relative to the rootfs, or with AppName relative to the directory of that application.
	Path string `yaml:"path"`
	// Data is the new content, or the data to merge.
	Data string `yaml:"data"`
	// Strategy is overwrite (default) or merge, a deep merge of YAML.
	Strategy string `yaml:"strategy,omitempty" examples:"overwrite merge"`
	// Process converts data first: value, toJson, toBase64 and toSecret, joined by |.
	Process string `yaml:"process,omitempty" examples:"toJson toBase64 value|toBase64 value|toBase64|toSecret"`
	// AppName is the application of the image that has the file.
	AppName string `yaml:"appName,omitempty"`
}

// PluginDocument is `kind: Plugin`: work to do on the hosts at given moments.
type PluginDocument struct {
	APIVersion string     `yaml:"apiVersion"`
	Kind       string     `yaml:"kind"`
	Metadata   Metadata   `yaml:"metadata,omitempty"`
	Spec       PluginSpec `yaml:"spec"`
}

// PluginSpec specifies what runs, when and where.
type PluginSpec struct {
	// Type is HOSTNAME, SHELL, LABEL, TAINT or CLUSTERCHECK.
	Type string `yaml:"type,omitempty" examples:"HOSTNAME SHELL LABEL TAINT CLUSTERCHECK"`
	// Action is PreInit, PreJoin, PostJoin, PreGuest, PostInstall, PreClean, PostClean, or several of them joined by |.
	Action string `yaml:"action,omitempty" examples:"PreInit PreJoin PostJoin PreGuest PostInstall PreClean PostClean"`
	// On selects hosts: all by default, master, node, master0, another role, addresses and ranges, or a label selector. Unquoted, it is the
	// key true to YAML 1.1.
	On string `yaml:"on,omitempty" also:"scope true" examples:"master node master0"`
	// Data is the script of SHELL, and the lines of HOSTNAME, LABEL and TAINT.
	Data string `yaml:"data,omitempty"`
}

// ApplicationDocument is `kind: Application`: how the applications of an image are started at this site.
type ApplicationDocument struct {
	APIVersion string          `yaml:"apiVersion"`
	Kind       string          `yaml:"kind"`
	Metadata   Metadata        `yaml:"metadata,omitempty"`
	Spec       ApplicationSpec `yaml:"spec"`
}

// ApplicationSpec is about all applications of the image.
type ApplicationSpec struct {
	// Cmds run in place of the image's own commands.
	Cmds []string `yaml:"cmds,omitempty"`
	// LaunchApps are the applications to start; all by default.
	LaunchApps []string `yaml:"launchApps,omitempty"`
	// Configs are about one application each.
	Configs []ApplicationConfig `yaml:"configs,omitempty"`
}

// ApplicationConfig is about one application.
type ApplicationConfig struct {
	// Name of the application.
	Name string `yaml:"name"`
	// Env is for its commands.
	Env Env `yaml:"env,omitempty" check:"variable"`
	// Files of it, like a Config.
	Files []ApplicationFile `yaml:"files,omitempty"`
	// Launch is how it is started.
	Launch ApplicationLaunch `yaml:"launch,omitempty"`
}

// ApplicationFile is a file of an application.
type ApplicationFile struct {
	// Path relative to the application's directory.
	Path string `yaml:"path"`
	// Data is as in a Config.
	Data string `yaml:"data"`
	// Strategy is as in a Config.
	Strategy string `yaml:"strategy,omitempty" examples:"overwrite merge"`
	// Process is as in a Config.
	Process string `yaml:"process,omitempty" examples:"toJson toBase64 value|toBase64 value|toBase64|toSecret"`
}

// ApplicationLaunch is how an application is started.
type ApplicationLaunch struct {
	// Cmds run in place of what the image starts it with.
	Cmds []string `yaml:"cmds,omitempty"`
}

// Port is a port number, written as a number or as text.
type Port string

// Number returns the port; 0 for an empty text.
func (p Port) Number() (uint16, error) {
	if p == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(string(p), 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is not a valid port: write a number from 1 to 65535", string(p))
	}
	return uint16(n), nil
}
