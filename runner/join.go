package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/join"
	"github.com/kubefile/kubefile/runner/kubeadm/difference"
	"github.com/kubefile/kubefile/runner/phase"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/source"
	"github.com/kubefile/kubefile/runner/state"
)

// Join adds hosts to a cluster that is running, with what its state has: the same image and applications, and the same documents of kubeadm. The site
// names masters of the cluster, and has what the state does not hold. Images that are not given are opened by the names in the state. What was
// done, or would be, is written to out; changes is how many changes that were.
func Join(ctx context.Context, images []string, from source.Options, site Site, joining execute.Joining, opts Options, out io.Writer) (changes int, err error) {
	given, err := openAll(ctx, images, from)
	defer func() { closeAll(given) }()
	if err != nil {
		return 0, err
	}
	found, read, err := recall(ctx, site, joining, opts)
	if err != nil {
		return 0, err
	}
	missing, err := found.Missing(joining)
	if err != nil {
		return 0, err
	}
	if len(missing.Addresses()) == 0 {
		if opts.shown() {
			return 0, report.WritePlan(out, opts.JSON, read)
		}
		_, err := fmt.Fprintf(out, "nothing to do: all hosts are in cluster %s\n", found.State.Cluster)
		return 0, err
	}
	named := ""
	if joining.ByFile {
		named = site.Clusterfile.Cluster.Image
	}
	artifacts, opened, err := match(ctx, given, wantedImages(found.State, named), from)
	defer func() { closeAll(opened) }()
	if err != nil {
		return 0, err
	}
	site.Clusterfile = joinedSite(site.Clusterfile, found, missing)
	if err := checkApps(site.Clusterfile, artifacts); err != nil {
		return 0, err
	}
	done, err := addHosts(ctx, artifacts, site, missing, found.State, opts)
	for _, c := range done {
		changes += len(c.Report.Changes())
	}
	if err != nil {
		return changes, err
	}
	if opts.shown() {
		return changes, writePlan(out, opts, done...)
	}
	_, err = fmt.Fprintf(out, "%s joined cluster %s\n", plural(len(missing.Addresses()), "host"), found.State.Cluster)
	return changes, err
}

// addHosts brings up the hosts with each image of the cluster, its own first.
func addHosts(ctx context.Context, artifacts []*source.Artifact, site Site, joining execute.Joining, s *state.State, opts Options) (done []*phase.Cluster, err error) {
	log := &runLog{}
	defer log.Close()
	for i, artifact := range artifacts {
		if i > 0 {
			site.Clusterfile = forOthers(site.Clusterfile)
		}
		c, err := site.cluster()
		if err != nil {
			return done, err
		}
		these := joining
		these.More = i < len(artifacts)-1
		c.Artifact, c.Joining = artifact, &these
		phases := phase.Addition(c)
		if i > 0 {
			c.App = s.Apps[i-1].Dir
			phases = phase.AppAddition(c)
			if opts.DryRun {
				c.Before = done[0]
			}
		} else if err := c.CheckJoining(s); err != nil {
			return done, err
		}
		done = append(done, c)
		if len(artifacts) > 1 {
			c.Report.Part(fmt.Sprintf("bring %s to the hosts that join", artifact.Name))
		}
		if err := perform(ctx, c, phases, opts, log); err != nil {
			return done, err
		}
	}
	return done, nil
}

// recall reads the state by the masters that the site names, of which none joins.
func recall(ctx context.Context, site Site, joining execute.Joining, opts Options) (phase.Recalled, *report.Report, error) {
	known, cluster := *site.Clusterfile, *site.Clusterfile.Cluster
	known.Cluster, site.Clusterfile = &cluster, &known
	cluster.Hosts = slices.DeleteFunc(slices.Clone(cluster.Hosts), func(h clusterfile.Host) bool {
		return slices.Contains(joining.Addresses(), h.Address)
	})
	if len(cluster.Hosts) == 0 {
		return phase.Recalled{}, nil, errors.New("all hosts of the Clusterfile join; it has to list a master of the cluster too")
	}
	c, err := site.cluster()
	if err != nil {
		return phase.Recalled{}, nil, err
	}
	defer c.Close()
	c.DryRun = opts.DryRun
	found, err := phase.Recall(ctx, c)
	switch {
	case err != nil:
		return found, nil, err
	case found.State == nil:
		return found, nil, noState(c.Name, found)
	case found.State.Digest == "":
		return found, nil, fmt.Errorf("cluster %s was never completed; run the command again that brings it up, then add hosts", c.Name)
	}
	for _, u := range found.Unreached {
		if found.State.Host(u.Host.Address) != nil {
			c.Report.Line(u.Host.String(), fmt.Sprintf("warning: not reached; the next apply adds the new hosts to its files (%v)", u.Err))
		}
	}
	for _, address := range found.Empty {
		if !slices.Contains(joining.Addresses(), address) { // these are refused
			c.Report.Line(address.String(), join.LeftEmpty)
		}
	}
	return found, c.Report, nil
}

// noState is the error for a cluster that was not found.
func noState(name string, found phase.Recalled) error {
	if len(found.Masters) > 0 {
		return fmt.Errorf("no host that was named is a master of cluster %s; its masters are %s; give one of them with --via", name, addressList(found.Masters))
	}
	failed := []error{fmt.Errorf("no master with the state of cluster %s was reached; check the addresses, --cluster-name and --data-root", name)}
	for _, u := range found.Unreached {
		failed = append(failed, fmt.Errorf("%s: %w", u.Host, u.Err))
	}
	return errors.Join(failed...)
}

// addressList joins addresses, each once.
func addressList(addresses []netip.Addr) string {
	slices.SortFunc(addresses, netip.Addr.Compare)
	var words []string
	for _, address := range slices.Compact(addresses) {
		words = append(words, address.String())
	}
	return strings.Join(words, ", ")
}

// joinedSite is the site with the hosts of the cluster that answer and are not empty, and those that join. What a Clusterfile has of them stays; the documents of
// kubeadm are those of the state, under those that it has.
func joinedSite(file *clusterfile.Clusterfile, found phase.Recalled, joining execute.Joining) *clusterfile.Clusterfile {
	joined, cluster := *file, *file.Cluster
	joined.Cluster = &cluster
	if wanted := found.State.Wanted; wanted != nil {
		joined.Kubeadm = file.Kubeadm.Over(difference.Noted(wanted.Kubeadm))
	}
	entry := func(address netip.Addr, role host.Role) clusterfile.Host {
		for _, h := range file.Cluster.Hosts {
			if h.Address == address {
				h.Role = role
				return h
			}
		}
		// The login is the same for all, but what is of one host only is not.
		return clusterfile.Host{Address: address, Role: role, SSH: file.Cluster.Hosts[0].SSH}
	}
	cluster.Hosts = nil
	for _, known := range found.State.Hosts {
		unreached := slices.ContainsFunc(found.Unreached, func(r host.Report) bool { return r.Host.Address == known.Address })
		if known.In() && !known.Leaves() && !unreached && !slices.Contains(found.Empty, known.Address) && !slices.Contains(joining.Addresses(), known.Address) {
			cluster.Hosts = append(cluster.Hosts, entry(known.Address, host.Role(known.Role)))
		}
	}
	for _, address := range joining.Masters {
		cluster.Hosts = append(cluster.Hosts, entry(address, host.RoleMaster))
	}
	for _, address := range joining.Nodes {
		cluster.Hosts = append(cluster.Hosts, entry(address, host.RoleNode))
	}
	slices.SortStableFunc(cluster.Hosts, func(a, b clusterfile.Host) int { return strings.Compare(string(a.Role), string(b.Role)) }) // master, node
	return &joined
}
