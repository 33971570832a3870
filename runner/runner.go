// Package runner is what sealer-run does: one function per command, from options to output.
package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/phase"
	"github.com/kubefile/kubefile/runner/source"
)

// Site says which cluster on which hosts.
type Site struct {
	Cluster      string // name; the directory of the cluster's files on the hosts
	Hosts        []host.Host
	Env          []string // name=value
	DataRoot     string   // default phase.DefaultDataRoot
	FirstContact func(h host.Host, keyType, fingerprint string) error
	Progress     io.Writer // lines for a person
}

// Run brings the cluster image up on the site, or with dryRun only says what it would do. The plan, or what was done, is written to out.
func Run(ctx context.Context, image string, opts source.Options, site Site, dryRun, asJSON bool, out io.Writer) error {
	artifact, err := source.Open(ctx, image, opts)
	if err != nil {
		return err
	}
	defer artifact.Close()
	c, done, err := site.cluster()
	if err != nil {
		return err
	}
	defer done()
	c.Artifact, c.DryRun = artifact, dryRun
	if n := masters(site.Hosts); n > 1 {
		return fmt.Errorf("%d masters: this version makes clusters with one master; give the others with -n", n)
	}
	if err := phase.Perform(ctx, c, phase.Bringup(c)); err != nil {
		return err
	}
	if dryRun || asJSON {
		return c.Report.WritePlan(out, asJSON)
	}
	if len(c.Report.Actions()) == 0 {
		_, err := fmt.Fprintf(out, "nothing to do: cluster %s runs %s\n", c.Name, image)
		return err
	}
	_, err = fmt.Fprintf(out, "cluster %s runs %s\n", c.Name, image)
	return err
}

// Delete removes the cluster from its hosts.
func Delete(ctx context.Context, site Site, dryRun, asJSON bool, out io.Writer) error {
	c, done, err := site.cluster()
	if err != nil {
		return err
	}
	defer done()
	c.DryRun = dryRun
	if err := phase.Perform(ctx, c, phase.Removal(c)); err != nil {
		return err
	}
	if dryRun || asJSON {
		return c.Report.WritePlan(out, asJSON)
	}
	_, err = fmt.Fprintf(out, "cluster %s is gone\n", c.Name)
	return err
}

// Status asks a running cluster how it is.
func Status(ctx context.Context, site Site) (*phase.Status, error) {
	c, done, err := site.cluster()
	if err != nil {
		return nil, err
	}
	defer done()
	return phase.Look(ctx, c)
}

// Kubeconfig writes a kubeconfig for the delivery machine.
func Kubeconfig(ctx context.Context, site Site, out io.Writer) error {
	c, done, err := site.cluster()
	if err != nil {
		return err
	}
	defer done()
	return phase.Kubeconfig(ctx, c, out)
}

// clusterName is a label as in RFC 1123, and safe as a directory's name.
var clusterName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func masters(hosts []host.Host) (n int) {
	for _, h := range hosts {
		if h.Role == host.RoleMaster {
			n++
		}
	}
	return n
}

// cluster prepares the work on a site. The function it returns ends it.
func (s Site) cluster() (*phase.Cluster, func() error, error) {
	if masters(s.Hosts) == 0 {
		return nil, nil, errors.New("no master: name one with -m")
	}
	if !clusterName.MatchString(s.Cluster) {
		return nil, nil, fmt.Errorf("cluster name %q: lower case letters, digits and dashes, at most 63 of them", s.Cluster)
	}
	env, err := environment.Parse(s.Env)
	if err != nil {
		return nil, nil, err
	}
	dialer, err := host.NewDialer(s.FirstContact)
	if err != nil {
		return nil, nil, err
	}
	log, err := openLog(s.Cluster)
	if err != nil {
		return nil, nil, err
	}
	dataRoot := s.DataRoot
	if dataRoot == "" {
		dataRoot = phase.DefaultDataRoot
	}
	fmt.Fprintf(s.Progress, "log: %s\n", log.Name())
	c := &phase.Cluster{
		Name: s.Cluster, DataRoot: dataRoot, Hosts: s.Hosts, Env: env, Dialer: dialer,
		Report: phase.NewReport(s.Progress, log),
	}
	return c, func() error { return errors.Join(c.Close(), log.Close()) }, nil
}

// openLog makes the file for everything that hosts print, in the user's state directory (XDG Base Directory Specification).
func openLog(cluster string) (*os.File, error) {
	dir := os.Getenv("XDG_STATE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("finding a place for the log: %w", err)
		}
		dir = filepath.Join(home, ".local", "state")
	}
	dir = filepath.Join(dir, "sealer-run")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making a place for the log: %w", err)
	}
	name := fmt.Sprintf("%s-%s-%d.log", cluster, time.Now().UTC().Format("20060102T150405"), os.Getpid())
	return os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
}
