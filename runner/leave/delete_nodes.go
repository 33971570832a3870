package leave

import (
	"context"
	"fmt"
)

// DeleteNodes removes the nodes of the hosts that leave from the API.
type DeleteNodes struct{ *Departure }

// Title says what the phase does, for a person.
func (*DeleteNodes) Title() string { return "Remove the nodes from the cluster" }

// Run deletes the nodes.
func (p *DeleteNodes) Run(ctx context.Context) error {
	for _, l := range p.leavers {
		if err := p.deleteNode(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// deleteNode removes the node of a host, if there is one and it is the host's.
func (d *Departure) deleteNode(ctx context.Context, l *leaver) error {
	n, err := d.Kube().Node(ctx, l.name)
	if err != nil || n == nil {
		return err
	}
	return d.Do(ctx, d.First(), fmt.Sprintf("remove node %s", l.name), func(ctx context.Context) error {
		if err := d.still(ctx, l); err != nil {
			return err
		}
		return d.Kube().DeleteNode(ctx, l.name)
	})
}
