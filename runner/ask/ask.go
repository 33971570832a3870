// Package ask asks the masters of a running cluster, one after the other until one answers. A master that cannot be asked has an error that tells
// why, and what to run next. Nothing is changed.
package ask

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
	"github.com/kubefile/kubefile/runner/store"
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

// Patience is how long the API may take for one answer, in seconds: one that hangs does not keep the other masters from being asked.
const Patience = 30

// Masters calls ask for one master after the other until it succeeds. Masters that are not of this cluster are never asked: their
// API, or their credentials, are those of another one.
func Masters(ctx context.Context, s *execute.Session, t *store.Store, ask func(ctx context.Context, m *execute.Member) error) error {
	masters := s.Masters()
	if len(masters) == 0 {
		return fmt.Errorf("cluster %s: %w; name a master that does with -m, or fix what is reported above", s.Name, ErrNoMaster)
	}
	first := s.First()
	var failed []error
	for _, m := range append([]*execute.Member{first}, slices.DeleteFunc(masters, func(m *execute.Member) bool { return m == first })...) {
		err := checkAsked(s, t, m)
		if err == nil {
			err = explain(s.Name, m, ask(ctx, m))
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			for _, f := range failed {
				s.Report.Printf("warning: %v\n", f)
			}
			return nil
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// checkAsked refuses a host that belongs to another cluster.
func checkAsked(s *execute.Session, t *store.Store, m *execute.Member) error {
	unavailable := &UnavailableError{Host: m.String(), Cluster: s.Name, Why: AnotherCluster}
	unavailable.Next = fmt.Sprintf("name a master of cluster %s with -m", s.Name)
	kubernetes := m.Facts.HasCluster(execute.KubeletConfig) || m.Facts.HasCluster(execute.AdminConfig)
	switch dir := m.Facts.ClusterDir; {
	case dir != "" && dir != m.Dir:
		unavailable.What = fmt.Sprintf("belongs to the cluster in %s, not to %s", dir, m.Dir)
		unavailable.Next = "to ask that one, run the same command with --cluster-name " + path.Base(dir)
		if root := path.Dir(dir); root != s.DataRoot {
			unavailable.Next += " --data-root " + root
		}
		unavailable.Next += fmt.Sprintf("; otherwise name a master of cluster %s with -m", s.Name)
	case m.IsNew && kubernetes, !m.IsNew && t.InOtherCluster(s, m):
		unavailable.What = fmt.Sprintf("is in another Kubernetes cluster (API %s), not in cluster %s of %s", report.OrUnknown(m.Facts.Kubelet.Server), s.Name, m.Dir)
	default:
		if err := t.CheckRecord(s, m); err != nil {
			unavailable.What, unavailable.Err = strings.TrimPrefix(err.Error(), m.String()+": "), err
			break
		}
		return nil
	}
	return unavailable
}

// explain says why a program on the host failed at a question. Any other error, as of a connection that is lost, says it itself.
func explain(cluster string, m *execute.Member, err error) error {
	var exit *host.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	unavailable := &UnavailableError{Host: m.String(), Cluster: cluster, Err: err}
	switch {
	case m.IsNew:
		unavailable.Why, unavailable.What = NoCluster, fmt.Sprintf("has no cluster %s (nothing in %s)", cluster, m.Dir)
		unavailable.Next = fmt.Sprintf("name a master of the cluster with -m, and its --cluster-name and --data-root if it has others; "+
			"to install one, run sealer-run IMAGE -m %s", m)
	case !m.Facts.HasCluster(execute.KubeletConfig):
		unavailable.Why, unavailable.What = Unfinished, fmt.Sprintf("the installation of cluster %s did not finish: there is no control plane yet", cluster)
		unavailable.Next = "run the sealer-run command that installs it again to resume it, or sealer-run delete --all to remove it"
	case !m.Facts.HasCluster(execute.AdminConfig):
		unavailable.Why, unavailable.What = NoMaster, fmt.Sprintf("is a node of cluster %s, not a master", cluster)
		unavailable.Next = "name a master with -m"
	case path.Base(exit.Name) != "kubectl":
		return err
	default:
		unavailable.Why, unavailable.What = NoAnswer, "its API server does not answer as it should: "+report.LastLine(exit.Stderr)
		unavailable.Next = "run crictl ps -a and journalctl -u kubelet -n 50 on that host, or name another master with -m"
	}
	return unavailable
}

// API is the API of a master, which has to answer within [Patience].
func API(m *execute.Member) kube.Kubectl {
	ask := m.Kube(0)
	return func(ctx context.Context, input []byte, args ...string) ([]byte, error) {
		return ask(ctx, input, append(slices.Clone(args), fmt.Sprintf("--request-timeout=%ds", Patience))...)
	}
}
