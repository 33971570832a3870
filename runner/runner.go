// Package runner is what sealer-run does: one function per command, from options to output.
package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/clusterfile"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/host/login"
	"github.com/kubefile/kubefile/runner/leave"
	"github.com/kubefile/kubefile/runner/phase"
	"github.com/kubefile/kubefile/runner/reach"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/status"
)

// Site says which cluster on which hosts.
type Site struct {
	Clusterfile *clusterfile.Clusterfile // with a Cluster
	Env         []string                 // name=value, over all that the Clusterfile says
	Secrets     *clusterfile.Secrets
	// FirstContact is told of the key of a host that was never seen before. An error refuses it.
	FirstContact func(h host.Host, keyType, fingerprint string) error
	Progress     io.Writer // lines for a person
	// CommandLimit is how long a command of an image, or a script of a plugin, may run; 0: the default.
	CommandLimit time.Duration
}

// Options say how work is done and shown.
type Options struct {
	DryRun bool // only say what would be done
	JSON   bool // the plan, or what was done, as JSON
	// SkipPlugins removes a cluster without running its plugins.
	SkipPlugins bool
	// Prune specifies how hosts of the cluster leave that the Clusterfile does not list; nil when they stay.
	Prune *leave.Hosts
}

// shown says that what was done, or would be, is written out.
func (o Options) shown() bool { return o.DryRun || o.JSON }

// Delete removes the cluster from its hosts.
func Delete(ctx context.Context, site Site, opts Options, out io.Writer) error {
	c, err := site.cluster()
	if err != nil {
		return err
	}
	c.SkipPlugins = opts.SkipPlugins
	log := &runLog{}
	defer log.Close()
	if err := perform(ctx, c, phase.Removal(c), opts, log); err != nil {
		return err
	}
	if opts.shown() {
		return writePlan(out, opts, c)
	}
	_, err = fmt.Fprintf(out, "cluster %s removed\n", c.Name)
	return err
}

// Leave takes single hosts out of the cluster. The site names them, if it names their logins, and the masters that stay, as far as they are known.
func Leave(ctx context.Context, site Site, leaving leave.Hosts, opts Options, out io.Writer) error {
	c, err := site.cluster()
	if err != nil {
		return err
	}
	c.SkipPlugins = opts.SkipPlugins
	log := &runLog{}
	defer log.Close()
	if err := perform(ctx, c, phase.Departure(c, leaving), opts, log); err != nil {
		return err
	}
	if opts.shown() {
		return writePlan(out, opts, c)
	}
	return sayLeft(out, c, leaving)
}

func sayLeft(out io.Writer, c *phase.Cluster, leaving leave.Hosts) error {
	_, err := fmt.Fprintf(out, "%s left cluster %s\n", plural(len(leaving.Addresses()), "host"), c.Name)
	return err
}

// perform runs phases with the log of the run.
func perform(ctx context.Context, c *phase.Cluster, phases []phase.Phase, opts Options, log *runLog) error {
	defer c.Close()
	c.DryRun = opts.DryRun
	if !opts.DryRun {
		if err := log.keep(c.Name, c.Report); err != nil {
			return err
		}
	}
	return phase.Perform(ctx, c, phases)
}

// writePlan prints what was done, or would be, of all runs as one plan.
func writePlan(out io.Writer, opts Options, runs ...*phase.Cluster) error {
	var reports []*report.Report
	for _, c := range runs {
		reports = append(reports, c.Report)
	}
	return report.WritePlan(out, opts.JSON, reports...)
}

// Status asks a running cluster how it is.
func Status(ctx context.Context, site Site) (*status.Status, error) {
	c, err := site.cluster()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := phase.Reach(ctx, c); err != nil {
		return nil, err
	}
	return status.Look(ctx, &c.Session, &c.Store)
}

// Used compares the images that a running cluster names with a lock.
func Used(ctx context.Context, site Site, lock *imagespec.Lock) (used []status.Use, unused []string, err error) {
	c, err := site.cluster()
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	if err := phase.Reach(ctx, c); err != nil {
		return nil, nil, err
	}
	return status.Used(ctx, &c.Session, &c.Store, lock)
}

// Kubeconfig writes a kubeconfig for the delivery machine.
func Kubeconfig(ctx context.Context, site Site, out io.Writer) error {
	c, err := site.cluster()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := phase.Reach(ctx, c); err != nil {
		return err
	}
	return status.Kubeconfig(ctx, &c.Session, &c.Store, out)
}

// cluster is the work on a site. It has to be closed once a phase has run.
func (s Site) cluster() (*phase.Cluster, error) {
	file := s.Clusterfile
	if file.Cluster == nil {
		return nil, errors.New("no document of kind Cluster: it says which hosts are meant")
	}
	site := file.Cluster
	env, err := environment.Parse(s.Env)
	if err != nil {
		return nil, err
	}
	registry, err := s.registry()
	if err != nil {
		return nil, err
	}
	c := &phase.Cluster{
		Session: execute.Session{Name: site.Name, DataRoot: cmp.Or(site.DataRoot, execute.DefaultDataRoot), Report: report.New(s.Progress)},
		Site:    file, Env: env, Registry: registry, CommandLimit: s.CommandLimit,
	}
	for _, h := range site.Hosts {
		known, err := h.Login(s.Secrets)
		if err != nil {
			return nil, err
		}
		c.Hosts = append(c.Hosts, reach.Host{Login: known, Site: h})
	}
	if len(c.Hosts) > 0 {
		c.Unlisted = site.Unlisted(s.Secrets, c.Hosts[0].Login.Auth)
	}
	dialer, err := login.NewDialer(s.FirstContact)
	if err != nil {
		return nil, err
	}
	dialer.Waiting = c.Report.Waiting
	c.LogIn = dialer.Dial
	return c, nil
}
