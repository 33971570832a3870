package clusterfile

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	format "github.com/kubefile/kubefile/imagespec/clusterfile"
)

// notePlaces records where the fields of a document for kubeadm are.
func (c *Clusterfile) notePlaces(d *format.Document, name string, node *yaml.Node) {
	c.places[name] = d.At(node)
	if node.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i < len(node.Content); i += 2 {
		c.notePlaces(d, name+"."+node.Content[i].Value, node.Content[i+1])
	}
}

// Locate writes the place in the Clusterfile in front of each error that is about a field of a document for kubeadm, as those of
// [kubeadm.Documents.Check] are. Errors about what is not written there stay as they are.
func (c *Clusterfile) Locate(err error) error {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		var located []error
		for _, one := range several.Unwrap() {
			located = append(located, c.Locate(one))
		}
		return errors.Join(located...)
	}
	if err == nil {
		return nil
	}
	name, _, _ := strings.Cut(err.Error(), ": ")
	for more := true; more; {
		if place, there := c.places[strings.TrimRight(name, "[]0123456789")]; there {
			return fmt.Errorf("%s: %w", place, err)
		}
		dot := strings.LastIndex(name, ".")
		more = dot >= 0
		name = name[:max(dot, 0)]
	}
	return err
}
