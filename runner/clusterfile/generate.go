package clusterfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.yaml.in/yaml/v3"

	format "github.com/kubefile/kubefile/imagespec/clusterfile"
	"github.com/kubefile/kubefile/runner/environment"
)

// apiVersion is what is written.
const apiVersion = "sealer.io/v2"

// NewDocument is the Cluster that runs an image on masters and nodes, both in the form of [host.ParseAddresses].
func NewDocument(name, image, masters, nodes string) *format.ClusterDocument {
	d := &format.ClusterDocument{APIVersion: apiVersion, Kind: "Cluster", Metadata: format.Metadata{Name: name}, Spec: format.ClusterSpec{Image: image}}
	for _, list := range []struct{ role, ips string }{{masterRole, masters}, {nodeRole, nodes}} {
		if list.ips != "" {
			d.Spec.Hosts = append(d.Spec.Hosts, format.HostSpec{IPs: []string{list.ips}, Roles: []string{list.role}})
		}
	}
	return d
}

// FromDocument is the Clusterfile of one Cluster, exactly as if it had been written and read.
func FromDocument(d *format.ClusterDocument) (*Clusterfile, error) {
	text, err := encode(d)
	if err != nil {
		return nil, err
	}
	return Parse("the command line", text)
}

// Override puts commands, arguments and applications of the command line in the place of those of the Clusterfile.
func (c *Clusterfile) Override(cmd, arguments, apps []string) error {
	args, err := environment.Parse(arguments)
	if err != nil {
		return err
	}
	if len(cmd) > 0 {
		c.Cluster.Cmd = cmd
	}
	if len(apps) > 0 {
		c.Cluster.AppNames = apps
	}
	c.Cluster.CmdArgs = environment.Merge(c.Cluster.CmdArgs, args)
	return nil
}

// Generate writes the document with what may accompany it, for a person to continue from.
func Generate(w io.Writer, d *format.ClusterDocument, env []string) error {
	variables, err := environment.Parse(env)
	if err != nil {
		return err
	}
	complete := *d
	complete.Spec.Env = format.Env{}
	for name, value := range variables {
		complete.Spec.Env[name] = value
	}
	if complete.Spec.SSH.Passwd == "" && complete.Spec.SSH.PK == "" {
		complete.Spec.SSH.Passwd = "prompt"
	}
	complete.Spec.SSH.User, complete.Spec.SSH.Port = orDefault(d.Spec.SSH.User, "root"), orDefault(d.Spec.SSH.Port, "22")
	complete.Spec.DataRoot = orDefault(d.Spec.DataRoot, "/var/lib/sealer/data")
	complete.Spec.Registry.LocalRegistry.Domain = "sea.hub"
	complete.Spec.Registry.LocalRegistry.Port = "5000"
	if _, err := FromDocument(&complete); err != nil {
		return err
	}
	text, err := encode(&complete)
	if err != nil {
		return err
	}
	_, err = w.Write(slices.Concat([]byte(generatedHead), text, []byte(generatedTail)))
	return err
}

func orDefault[T ~string](value, otherwise T) T {
	if value == "" {
		return otherwise
	}
	return value
}

const (
	generatedHead = `# sealer-run apply -f Clusterfile
`
	generatedTail = `# More documents may follow: Config (files of the image as this site has them), Plugin (what to do on the hosts), and those of kubeadm,
# of which only what differs from the image has to be written:
#---
#apiVersion: kubeadm.k8s.io/v1beta4
#kind: ClusterConfiguration
#networking:
#  podSubnet: 10.244.0.0/16
`
)

func encode(d *format.ClusterDocument) ([]byte, error) {
	var buf bytes.Buffer
	encoder := yaml.NewEncoder(&buf)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(d), encoder.Close()); err != nil {
		return nil, fmt.Errorf("writing the Clusterfile: %w", err)
	}
	return buf.Bytes(), nil
}
