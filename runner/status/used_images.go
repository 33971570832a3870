package status

import (
	"context"
	"maps"
	"slices"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/runner/ask"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/store"
)

// Use is an image that pods of a running cluster name.
type Use struct {
	Reference string `json:"reference"` // in full form
	Pods      int    `json:"pods"`      // containers of pods, finished ones too
	Embedded  bool   `json:"embedded"`  // in the lock that it was compared with
}

// Used lists the images that the pods of a running cluster name, sorted, against a lock. unused are the references of the lock that no pod
// names now: jobs that are gone, and what operators have not started yet, are among them. Neither list is nil. It changes nothing.
func Used(ctx context.Context, s *execute.Session, t *store.Store, lock *imagespec.Lock) (used []Use, unused []string, err error) {
	var written map[string]int
	err = ask.Masters(ctx, s, t, func(ctx context.Context, m *execute.Member) (err error) {
		written, err = ask.PodImages(ctx, m)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	used, unused = []Use{}, []string{}
	count := map[string]int{}
	for reference, n := range written {
		if ref, err := imagespec.ParseReference(reference); err == nil {
			reference = ref.String()
		}
		count[reference] += n
	}
	for _, reference := range slices.Sorted(maps.Keys(count)) {
		_, embedded := lock.Lookup(reference)
		used = append(used, Use{Reference: reference, Pods: count[reference], Embedded: embedded})
	}
	for _, image := range lock.Images {
		if count[image.Reference] == 0 {
			unused = append(unused, image.Reference)
		}
	}
	return used, unused, nil
}
