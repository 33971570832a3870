package phase

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/agent/wire"
	"github.com/kubefile/kubefile/runner/execute"
)

const (
	testID = "5f0e7a52-3c1e-4a53-9c4c-0d1c9b9a2f11"
	record = `{"version":1,"cluster":"default","id":"` + testID + `","begun":["install"]}`
)

// Of a host that cannot prove that it is of the cluster, nothing is run, stopped or removed, and the removal does not succeed.
func TestRemovalNeedsProof(t *testing.T) {
	cases := map[string]struct {
		files map[string]string // in the cluster's directory
		want  string
	}{
		"nothing there":           {nil, "no cluster default below /var/lib/sealer/data on 10.0.0.1: nothing was removed"},
		"somebody's files":        {map[string]string{"rootfs/scripts/clean.sh": "x", "state.json": "x", "farewell.json": "{"}, "no cluster default"},
		"an empty journal":        {map[string]string{hostrecord.JournalFile: ""}, "damaged journal"},
		"half a journal":          {map[string]string{hostrecord.JournalFile: `{"version":2,"entr`}, "damaged journal"},
		"a journal of nothing":    {map[string]string{hostrecord.JournalFile: `null`}, "damaged journal"},
		"a journal of the future": {map[string]string{hostrecord.JournalFile: `{"version":9}`}, "unknown journal version 9"},
		"a copied journal":        {map[string]string{hostrecord.JournalFile: journalOf("/srv/default")}, `begun for "/srv/default"`},
		"another cluster's":       {map[string]string{hostrecord.JournalFile: journalOf(execute.DefaultDataRoot + "/default"), hostrecord.RecordFile: strings.Replace(record, "default", "prod", 1)}, `names the cluster "prod"`},
		"a damaged record":        {map[string]string{hostrecord.JournalFile: journalOf(execute.DefaultDataRoot + "/default"), hostrecord.RecordFile: "{"}, "damaged record"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := newPark(t, 1, 0)
			f := p.machines[0]
			f.files[wire.Path] = "the agent"
			for file, content := range c.files {
				f.files[p.Members[0].Path(file)] = content
			}
			before := maps.Clone(f.files)
			err := p.remove(t)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if len(f.ran) > 0 {
				t.Errorf("ran %q", f.ran)
			}
			if !maps.Equal(f.files, before) {
				t.Errorf("the files are %q, and were %q", slices.Sorted(maps.Keys(f.files)), slices.Sorted(maps.Keys(before)))
			}
		})
	}
}

// The dry run of a removal names the directory and the files that a removal takes, and nothing on hosts without the cluster.
func TestDryRemovalSaysWhatGoes(t *testing.T) {
	p := removable(t)
	p.DryRun = true
	p.machines[2].files = map[string]string{p.Members[2].Path("precious"): "x"}
	if err := p.remove(t); err != nil {
		t.Fatal(err)
	}
	plan := p.plan(t)
	for _, want := range []string{"remove " + execute.DefaultDataRoot + "/default", "take the cluster's lines out of /etc/hosts", "remove " + wire.Path} {
		if strings.Count(plan, want+"\n") != 2 {
			t.Errorf("the plan does not say twice %q:\n%s", want, plan)
		}
	}
	if strings.Contains(plan, "10.0.0.3") {
		t.Errorf("the plan is about a host without the cluster:\n%s", plan)
	}
	if !strings.Contains(p.out.String(), "10.0.0.3: no cluster default here") {
		t.Errorf("said\n%s", p.out)
	}
}

// A host that another cluster of the same name has is left alone; the others are cleaned, and the error comes at the end.
func TestRemovalLeavesHostOfAnotherCluster(t *testing.T) {
	p := removable(t)
	p.State.ID = testID
	for i, m := range p.Members {
		p.machines[i].files[m.Path(hostrecord.RecordFile)] = record
	}
	p.machines[2].files[p.Members[2].Path(hostrecord.RecordFile)] = strings.Replace(record, testID, "another", 1)
	err := p.remove(t)
	if !errors.Is(err, wire.ErrForeign) || !strings.Contains(err.Error(), "10.0.0.3") || !strings.Contains(err.Error(), testID) {
		t.Errorf("got %v", err)
	}
	for i, f := range p.machines {
		if removed := len(f.calls(wire.Path+" agent remove-created")) == 1; removed != (i < 2) {
			t.Errorf("%s: removed is %v", f.host, removed)
		}
	}
}

// Without an agent that can do it, and on a host that this program cannot run on, the removal says so.
func TestRemovalWithoutAgent(t *testing.T) {
	p := removable(t)
	f := p.machines[0]
	p.Members[0].Facts.Architecture = "riscv64"
	f.noAgent = true
	p.without(2).without(1)
	if err := p.remove(t); err == nil || !strings.Contains(err.Error(), "on a machine with the host's platform") {
		t.Errorf("got %v", err)
	}
}
