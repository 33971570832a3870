package phase

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
	"github.com/kubefile/kubefile/runner/report"
)

// Unavailable is the reason why a host cannot be asked about the cluster.
type Unavailable string

const (
	// NoCluster means that nothing of the cluster is on the host.
	NoCluster Unavailable = "no cluster"
	// AnotherCluster means that the host belongs to another one.
	AnotherCluster Unavailable = "another cluster"
	// Unfinished means that the installation did not get as far as kubeadm.
	Unfinished Unavailable = "unfinished"
	// NoMaster means that the host is a node of the cluster.
	NoMaster Unavailable = "no master"
	// NoAnswer means that the API server of the master did not answer, or refused.
	NoAnswer Unavailable = "no answer"
)

// UnavailableError is returned by what only asks a cluster, for each master that it could not ask.
type UnavailableError struct {
	Host    string
	Cluster string
	Why     Unavailable
	What    string // for people
	Next    string // what to run
	Err     error  // of the question; nil when the host was not asked
}

// Error names the host, what is wrong there, and what to run next.
func (e *UnavailableError) Error() string { return e.Host + ": " + e.What + "; " + e.Next }

// Unwrap returns the error of the question.
func (e *UnavailableError) Unwrap() error { return e.Err }

// ErrNoMaster is returned when hosts answer, and no master is among them.
var ErrNoMaster = errors.New("no master of the cluster answers")

// askPatience is how long the API may take for one answer, in seconds: one that hangs does not keep the other masters from being asked.
const askPatience = 30

// askMasters calls ask for one master after the other until it succeeds. Masters that are not of this cluster are never asked: their
// API, or their credentials, are those of another one.
func (c *Cluster) askMasters(ctx context.Context, ask func(ctx context.Context, m *execute.Member) error) error {
	masters := c.Masters()
	if len(masters) == 0 {
		return fmt.Errorf("cluster %s: %w; name a master that does with -m, or fix what is reported above", c.Name, ErrNoMaster)
	}
	first := c.First()
	var failed []error
	for _, m := range append([]*execute.Member{first}, slices.DeleteFunc(masters, func(m *execute.Member) bool { return m == first })...) {
		err := c.checkAsked(m)
		if err == nil {
			err = c.explain(m, ask(ctx, m))
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			for _, f := range failed {
				c.Report.Printf("warning: %v\n", f)
			}
			return nil
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// checkAsked refuses a host that belongs to another cluster.
func (c *Cluster) checkAsked(m *execute.Member) error {
	unavailable := &UnavailableError{Host: m.String(), Cluster: c.Name, Why: AnotherCluster}
	unavailable.Next = fmt.Sprintf("name a master of cluster %s with -m", c.Name)
	kubernetes := m.Facts.HasCluster(execute.KubeletConfig) || m.Facts.HasCluster(execute.AdminConfig)
	switch dir := m.Facts.ClusterDir; {
	case dir != "" && dir != m.Dir:
		unavailable.What = fmt.Sprintf("belongs to the cluster in %s, not to %s", dir, m.Dir)
		unavailable.Next = "to ask that one, run the same command with --cluster-name " + path.Base(dir)
		if root := path.Dir(dir); root != c.DataRoot {
			unavailable.Next += " --data-root " + root
		}
		unavailable.Next += fmt.Sprintf("; otherwise name a master of cluster %s with -m", c.Name)
	case m.IsNew && kubernetes, !m.IsNew && c.inOtherCluster(m):
		unavailable.What = fmt.Sprintf("is in another Kubernetes cluster (API %s), not in cluster %s of %s", report.OrUnknown(m.Facts.Kubelet.Server), c.Name, m.Dir)
	default:
		if err := c.checkRecord(m); err != nil {
			unavailable.What, unavailable.Err = strings.TrimPrefix(err.Error(), m.String()+": "), err
			break
		}
		return nil
	}
	return unavailable
}

// explain says why a program on the host failed at a question. Any other error, as of a connection that is lost, says it itself.
func (c *Cluster) explain(m *execute.Member, err error) error {
	var exit *host.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	unavailable := &UnavailableError{Host: m.String(), Cluster: c.Name, Err: err}
	switch {
	case m.IsNew:
		unavailable.Why, unavailable.What = NoCluster, fmt.Sprintf("has no cluster %s (nothing in %s)", c.Name, m.Dir)
		unavailable.Next = fmt.Sprintf("name a master of the cluster with -m, and its --cluster-name and --data-root if it has others; "+
			"to install one, run sealer-run IMAGE -m %s", m)
	case !m.Facts.HasCluster(execute.KubeletConfig):
		unavailable.Why, unavailable.What = Unfinished, fmt.Sprintf("the installation of cluster %s did not finish: there is no control plane yet", c.Name)
		unavailable.Next = "run the sealer-run command that installs it again to resume it, or sealer-run delete --all to remove it"
	case !m.Facts.HasCluster(execute.AdminConfig):
		unavailable.Why, unavailable.What = NoMaster, fmt.Sprintf("is a node of cluster %s, not a master", c.Name)
		unavailable.Next = "name a master with -m"
	case path.Base(exit.Name) != "kubectl":
		return err
	default:
		unavailable.Why, unavailable.What = NoAnswer, "its API server does not answer as it should: "+report.LastLine(exit.Stderr)
		unavailable.Next = "run crictl ps -a and journalctl -u kubelet -n 50 on that host, or name another master with -m"
	}
	return unavailable
}

// askedAPI is the API of a master, which has to answer in time.
func (c *Cluster) askedAPI(m *execute.Member) kube.Kubectl {
	ask := c.KubeOn(m)
	return func(ctx context.Context, input []byte, args ...string) ([]byte, error) {
		return ask(ctx, input, append(slices.Clone(args), fmt.Sprintf("--request-timeout=%ds", askPatience))...)
	}
}
