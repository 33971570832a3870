// Package runner is what sealer-run does: one function per command, from options to output.
package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"time"

	"github.com/kubefile/kubefile/imagespec"
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

// Options say how work is done and shown.
type Options struct {
	DryRun bool // only say what would be done
	JSON   bool // the plan, or what was done, as JSON
}

// Run brings the cluster image up on the site. The plan, or what was done, is written to out.
func Run(ctx context.Context, image string, from source.Options, site Site, opts Options, out io.Writer) error {
	c, err := site.cluster()
	if err != nil {
		return err
	}
	if n := masters(site.Hosts); n > 1 {
		return fmt.Errorf("%d masters: this version makes clusters with one master; give the others with -n", n)
	}
	artifact, err := source.Open(ctx, image, from)
	if err != nil {
		return err
	}
	defer artifact.Close()
	c.Artifact = artifact
	if err := perform(ctx, c, phase.Bringup(c), opts, out); err != nil || opts != (Options{}) {
		return err
	}
	said := "cluster %s runs %s\n"
	if len(c.Report.Actions()) == 0 {
		said = "nothing to do: " + said
	}
	_, err = fmt.Fprintf(out, said, c.Name, image)
	return err
}

// Delete removes the cluster from its hosts.
func Delete(ctx context.Context, site Site, opts Options, out io.Writer) error {
	c, err := site.cluster()
	if err != nil {
		return err
	}
	if err := perform(ctx, c, phase.Removal(c), opts, out); err != nil || opts != (Options{}) {
		return err
	}
	_, err = fmt.Fprintf(out, "cluster %s is gone\n", c.Name)
	return err
}

// perform runs phases with a log, and prints what they did if that was asked for.
func perform(ctx context.Context, c *phase.Cluster, phases []phase.Phase, opts Options, out io.Writer) error {
	defer c.Close()
	c.DryRun = opts.DryRun
	if !opts.DryRun {
		log, err := openLog(c.Name)
		if err != nil {
			return err
		}
		defer log.Close()
		c.Report.Log(log)
		fmt.Fprintf(c.Report, "log: %s\n", log.Name())
	}
	if err := phase.Perform(ctx, c, phases); err != nil || opts == (Options{}) {
		return err
	}
	return c.Report.WritePlan(out, opts.JSON)
}

// Status asks a running cluster how it is.
func Status(ctx context.Context, site Site) (*phase.Status, error) {
	c, err := site.cluster()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return phase.Look(ctx, c)
}

// Used compares the images that a running cluster names with a lock.
func Used(ctx context.Context, site Site, lock *imagespec.Lock) (used []phase.Use, unused []string, err error) {
	c, err := site.cluster()
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	return phase.Used(ctx, c, lock)
}

// Kubeconfig writes a kubeconfig for the delivery machine.
func Kubeconfig(ctx context.Context, site Site, out io.Writer) error {
	c, err := site.cluster()
	if err != nil {
		return err
	}
	defer c.Close()
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

// cluster is the work on a site. It has to be closed once a phase has run.
func (s Site) cluster() (*phase.Cluster, error) {
	if masters(s.Hosts) == 0 {
		return nil, errors.New("no master: name one with -m")
	}
	if !clusterName.MatchString(s.Cluster) {
		return nil, fmt.Errorf("cluster name %q: lower case letters, digits and dashes, at most 63 of them", s.Cluster)
	}
	dataRoot := cmp.Or(s.DataRoot, phase.DefaultDataRoot)
	if path.Clean(dataRoot) != dataRoot || !path.IsAbs(dataRoot) || dataRoot == "/" {
		return nil, fmt.Errorf("data root %q: write it as an absolute path, like %s", s.DataRoot, phase.DefaultDataRoot)
	}
	env, err := environment.Parse(s.Env)
	if err != nil {
		return nil, err
	}
	dialer, err := host.NewDialer(s.FirstContact)
	if err != nil {
		return nil, err
	}
	return &phase.Cluster{
		Name: s.Cluster, DataRoot: dataRoot, Hosts: s.Hosts, Env: env, Dialer: dialer,
		Report: phase.NewReport(s.Progress),
	}, nil
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
