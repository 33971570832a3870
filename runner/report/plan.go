package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// Change is one change to one host.
type Change struct {
	Phase string `json:"phase"`
	Host  string `json:"host"`
	What  string `json:"what"`

	number int // of the phase
	place  int // of the host in the list
}

// Record notes a change to a host, whose place in the list of hosts orders what is printed. A dry run does not print it, because the plan that
// it ends with has it: on a terminal it would be there twice.
func (r *Report) Record(host string, place int, what string) {
	r.mu.Lock()
	r.changes = append(r.changes, Change{Phase: r.title, Host: host, What: what, number: r.number, place: place})
	planned := r.dryRun
	r.mu.Unlock()
	if !planned {
		r.Line(host, what)
	}
}

// Changes returns every change that was made, or in a dry run would be made: by phase, by host, and in the order they were made there.
func (r *Report) Changes() []Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	changes := append([]Change{}, r.changes...)
	slices.SortStableFunc(changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.place, b.place))
	})
	return changes
}

// planVersion changes when what reads a plan as JSON has to change.
const planVersion = 1

// planDocument is a plan, or what a run did, as JSON.
type planDocument struct {
	Version int      `json:"version"`
	DryRun  bool     `json:"dryRun"` // nothing of it was done
	Changes []Change `json:"actions"`
}

// WritePlan prints the changes of several reports, one after the other, as text or JSON.
func WritePlan(w io.Writer, asJSON bool, reports ...*Report) error {
	changes, dryRun := []Change{}, false
	for _, r := range reports {
		changes = append(changes, r.Changes()...)
		dryRun = dryRun || r.isDryRun()
	}
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(planDocument{planVersion, dryRun, changes})
	}
	if len(changes) == 0 {
		fmt.Fprintln(w, "nothing to do")
	}
	title := ""
	for _, a := range changes {
		if a.Phase != title {
			title = a.Phase
			fmt.Fprintln(w, title)
		}
		if _, err := fmt.Fprintf(w, "  %s: %s\n", a.Host, a.What); err != nil {
			return err
		}
	}
	return nil
}
