package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/kubefile/kubefile/runner/host"
)

var (
	// ErrUnsettled says that etcd does not change its members yet: it has just done so, or one of them does not answer.
	ErrUnsettled = errors.New("etcd does not change its members now")
	// ErrNoMajority says that too few members of etcd would be healthy for it to go on.
	ErrNoMajority = errors.New("etcd would lose its majority")
	// ErrOtherMember says that a member of etcd has only the name or only the address of a host.
	ErrOtherMember = errors.New("a member of etcd has the name or the address of another host")
)

// Member is a member of a cluster's etcd.
type Member struct {
	ID         uint64   `json:"ID"`
	Name       string   `json:"name"` // of its node; empty when it has never started
	PeerURLs   []string `json:"peerURLs"`
	ClientURLs []string `json:"clientURLs"`
	Learner    bool     `json:"isLearner"`
	Healthy    bool     `json:"-"` // it answered
}

// String names the member for a person.
func (m Member) String() string {
	name := m.Name
	if name == "" {
		name = "that never started"
	}
	return host.WithoutControls(name + " (" + strings.Join(m.PeerURLs, ", ") + ")")
}

// Addresses are where the other members reach it. What is no address is left out.
func (m Member) Addresses() (addresses []netip.Addr) {
	for _, text := range m.PeerURLs {
		parsed, err := url.Parse(text)
		if err != nil {
			continue
		}
		if peer, err := netip.ParseAddr(parsed.Hostname()); err == nil {
			addresses = append(addresses, peer)
		}
	}
	return addresses
}

// at reports whether the member is at an address.
func (m Member) at(address netip.Addr) bool { return slices.Contains(m.Addresses(), address) }

// Etcd is the etcd of a cluster that kubeadm made: a pod on each control plane. It is asked by the etcdctl in the pod of one node.
type Etcd struct {
	Kubectl Kubectl
	Node    string
}

// certificates are where kubeadm's pods of etcd have them.
const certificates = "/etc/kubernetes/pki/etcd/"

// etcdctl runs it in the pod, and returns what it printed even if it failed.
func (e Etcd) etcdctl(ctx context.Context, args ...string) ([]byte, error) {
	return e.Kubectl(ctx, nil, append([]string{"exec", "etcd-" + e.Node, "--namespace", "kube-system", "--container", "etcd", "--",
		"etcdctl", "--endpoints", "https://127.0.0.1:2379", "--cacert", certificates + "ca.crt",
		"--cert", certificates + "healthcheck-client.crt", "--key", certificates + "healthcheck-client.key"}, args...)...)
}

// Members are all members, with whether they answer.
func (e Etcd) Members(ctx context.Context) ([]Member, error) {
	out, err := e.etcdctl(ctx, "member", "list", "--write-out", "json")
	if err != nil {
		return nil, fmt.Errorf("asking etcd on node %s for its members: %w", e.Node, err)
	}
	var list struct {
		Members []Member `json:"members"`
	}
	if err := json.Unmarshal(out, &list); err != nil || len(list.Members) == 0 {
		return nil, fmt.Errorf("asking etcd on node %s for its members: %w: %q", e.Node, ErrUnexpected, host.WithoutControls(string(out)))
	}
	healthy, err := e.healthy(ctx)
	if err != nil {
		return nil, err
	}
	for i, m := range list.Members {
		list.Members[i].Healthy = slices.ContainsFunc(m.ClientURLs, func(client string) bool { return healthy[client] })
	}
	return list.Members, nil
}

// healthy are the addresses for clients of the members that answer. etcdctl fails when one does not, and prints the list anyway.
func (e Etcd) healthy(ctx context.Context) (map[string]bool, error) {
	out, err := e.etcdctl(ctx, "endpoint", "health", "--cluster", "--write-out", "json")
	var exit *host.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	var list []struct {
		Endpoint string `json:"endpoint"`
		Health   bool   `json:"health"`
	}
	if unread := json.Unmarshal(out, &list); unread != nil {
		return nil, fmt.Errorf("asking etcd on node %s which of its members answer: %w", e.Node, errors.Join(err, unread))
	}
	healthy := map[string]bool{}
	for _, one := range list {
		healthy[one.Endpoint] = one.Health
	}
	return healthy, nil
}

// Remove takes a member out. It is not an error if the member is no longer there; [ErrUnsettled] is worth another try.
func (e Etcd) Remove(ctx context.Context, id uint64) error {
	_, err := e.etcdctl(ctx, "member", "remove", strconv.FormatUint(id, 16))
	var exit *host.ExitError
	switch {
	case !errors.As(err, &exit):
		return err
	case saidByEtcd(exit, "member not found"):
		return nil
	case saidByEtcd(exit, "unhealthy cluster"), saidByEtcd(exit, "not enough started members"):
		return fmt.Errorf("%w: %w", ErrUnsettled, err)
	}
	return err
}

// saidByEtcd reports whether etcd answered with an error (api/v3rpc/rpctypes/error.go), of which etcdctl prints the text only.
func saidByEtcd(exit *host.ExitError, text string) bool {
	return strings.Contains(exit.Stderr, "etcdserver: ") && strings.Contains(exit.Stderr, text)
}

// MemberOf finds the member of a host by its name and its address, or nil. A member with only one of the two is somebody else's:
// [ErrOtherMember]. One that has never started has no name.
func MemberOf(members []Member, name string, address netip.Addr) (*Member, error) {
	for _, m := range members {
		switch {
		case m.at(address) && (m.Name == name || m.Name == ""):
			return &m, nil
		case m.at(address), m.Name == name && name != "":
			return nil, fmt.Errorf("%w: found %s, expected %s at %s", ErrOtherMember, m, name, address)
		}
	}
	return nil, nil
}

// MemberAt finds the member at an address, whatever its name is, or nil.
func MemberAt(members []Member, address netip.Addr) *Member {
	for _, m := range members {
		if m.at(address) {
			return &m
		}
	}
	return nil
}

// Without returns the members that are left without one of them. It fails with [ErrNoMajority] unless the healthy ones are a majority of them:
// then etcd would stop, and the API with it.
func Without(members []Member, gone Member) ([]Member, error) {
	left := slices.DeleteFunc(slices.Clone(members), func(m Member) bool { return m.ID == gone.ID })
	voters, healthy := 0, 0
	var silent []string
	for _, m := range left {
		switch {
		case m.Learner:
		case m.Healthy:
			voters++
			healthy++
		default:
			voters++
			silent = append(silent, m.String())
		}
	}
	if healthy > voters/2 {
		return left, nil
	}
	text := ""
	if len(silent) > 0 {
		text = "; without an answer: " + strings.Join(silent, ", ")
	}
	return left, fmt.Errorf("%w: without %s, %d of %d members would be healthy%s", ErrNoMajority, gone, healthy, voters, text)
}
