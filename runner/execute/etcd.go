package execute

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/kube"
)

const (
	// EtcdManifest is what the kubelet of a master starts etcd from, if etcd runs on the masters.
	EtcdManifest = ManifestsDir + "etcd.yaml"
	// EtcdPatience is how long etcd may take to accept a change of its members, and to answer after one.
	EtcdPatience = 2 * time.Minute
)

// Stacked reports whether the cluster's etcd runs on its masters, as the first one was seen.
func (s *Session) Stacked() bool { return s.First().Facts.HasCluster(EtcdManifest) }

// EtcdMembers returns the members of etcd. Its pod cannot be asked yet for some seconds after the first master was made or started.
func (s *Session) EtcdMembers(ctx context.Context) ([]kube.Member, error) {
	var members []kube.Member
	var refused error
	_, err := Until(ctx, EtcdPatience, PollInterval, func(ctx context.Context) (bool, error) {
		answer, err := s.Etcd().Members(ctx)
		var exit *host.ExitError
		if errors.As(err, &exit) {
			refused = err
			return false, nil
		}
		members, refused = answer, nil
		return err == nil, err
	})
	return members, errors.Join(err, refused)
}

// RemoveEtcdMember removes a member from etcd, and returns those that are left once they answer.
func (s *Session) RemoveEtcdMember(ctx context.Context, m kube.Member) ([]kube.Member, error) {
	var refused error
	_, err := Until(ctx, EtcdPatience, PollInterval, func(ctx context.Context) (bool, error) {
		refused = s.Etcd().Remove(ctx, m.ID)
		return !errors.Is(refused, kube.ErrUnsettled), nil
	})
	if err := errors.Join(err, refused); err != nil {
		return nil, err
	}
	return s.settledEtcd(ctx, m)
}

// settledEtcd waits until the members that are left answer, without the one that was removed.
func (s *Session) settledEtcd(ctx context.Context, gone kube.Member) ([]kube.Member, error) {
	var members []kube.Member
	why := errors.New("no answer")
	settled, err := Until(ctx, EtcdPatience, PollInterval, func(ctx context.Context) (bool, error) {
		answer, err := s.Etcd().Members(ctx)
		if ctx.Err() != nil { // why is what the answer before this one showed
			return false, nil
		}
		members, why = answer, err
		if why != nil {
			return false, nil
		}
		var left []kube.Member
		if left, why = kube.Without(members, gone); why == nil && len(left) < len(members) {
			why = errors.New("it still lists that member")
		}
		return why == nil, nil
	})
	if settled {
		return members, nil
	}
	return nil, errors.Join(err, fmt.Errorf("etcd does not answer as expected within %s after %s was removed; run the same command again when it does: %w",
		EtcdPatience, gone, why))
}
