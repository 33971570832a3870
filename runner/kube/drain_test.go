package kube

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// answeringEach is a kubectl that gives pairs of an output and an error, one after the other.
func answeringEach(calls *int, lines *[]string, answers ...any) func(context.Context, []byte, ...string) ([]byte, error) {
	return func(_ context.Context, _ []byte, args ...string) ([]byte, error) {
		at := 2 * *calls
		*calls++
		*lines = append(*lines, strings.Join(args, " "))
		err, _ := answers[at+1].(error)
		return []byte(answers[at].(string)), err
	}
}

func TestPodsOn(t *testing.T) {
	k, calls := answering("a\tweb\tRunning\tReplicaSet\t\nb\tproxy\tRunning\tDaemonSet\t\nkube-system\tetcd-h1\tRunning\tNode\thash\nc\tbare\tPending\t\t\nc\tdone\tSucceeded\t\t\n")
	pods, err := k.PodsOn(t.Context(), "h1")
	if err != nil {
		t.Fatal(err)
	}
	var alone, evictable []string
	for _, p := range pods {
		if p.Alone() {
			alone = append(alone, p.String())
		}
		if p.Evictable() {
			evictable = append(evictable, p.String())
		}
	}
	if want := []string{"c/bare"}; !slices.Equal(alone, want) {
		t.Errorf("alone are %v, want %v", alone, want)
	}
	if want := []string{"a/web", "c/bare"}; !slices.Equal(evictable, want) {
		t.Errorf("evicted are %v, want %v", evictable, want)
	}
	if !strings.Contains((*calls)[0].args, "--field-selector spec.nodeName=h1 ") {
		t.Errorf("called %v", *calls)
	}
	k, _ = answering("one column\n")
	if pods, err := k.PodsOn(t.Context(), "h1"); err == nil {
		t.Errorf("got %v", pods)
	}
}

func TestBudgets(t *testing.T) {
	k, _ := answering("a\tweb\t0\nb\tdb\t1\nc\tnew\t\n")
	names, err := k.Budgets(t.Context())
	if want := []string{"a/web", "c/new"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("got %v, %v, want %v", names, err, want)
	}
}

func TestNodeAt(t *testing.T) {
	k, _ := answering("7\th1\t\t\tTrue\tv1.34.4\t10.0.0.1\n8\th2\t\t\tTrue\tv1.34.4\t10.0.0.2 fd00::2\n")
	for address, want := range map[string]string{"10.0.0.2": "h2", "fd00::2": "h2", "10.0.0.9": ""} {
		if got, err := k.NodeAt(t.Context(), netip.MustParseAddr(address)); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", address, got, err, want)
		}
	}
}

func TestLeavingCalls(t *testing.T) {
	k, calls := answering("", " 2026-01-01T00:00:00.000000Z\n", "")
	if err := k.Drain(t.Context(), "h1", 90*time.Second); err != nil {
		t.Error(err)
	}
	if renewed, err := k.Renewed(t.Context(), "h1"); err != nil || renewed != "2026-01-01T00:00:00.000000Z" {
		t.Errorf("renewed %q, %v", renewed, err)
	}
	if err := k.DeleteNode(t.Context(), "h1"); err != nil {
		t.Error(err)
	}
	want := []string{
		"drain h1 --ignore-daemonsets --delete-emptydir-data --timeout=1m30s",
		"get lease h1 --namespace kube-node-lease -o jsonpath={.spec.renewTime} --ignore-not-found",
		"delete node h1 --ignore-not-found --timeout=60s",
	}
	for i, c := range *calls {
		if c.args != want[i] {
			t.Errorf("called %s, want %s", c.args, want[i])
		}
	}
}
