package main

import (
	"fmt"
	"iter"
)

// hostsCases run sealer-run on many hosts of one machine, with rising numbers of them.
func hostsCases(settings) iter.Seq[Case] {
	return func(yield func(Case) bool) {
		for _, n := range []int{50, 200, 500} {
			c := Case{
				Name:    fmt.Sprintf("%d hosts", n),
				Command: []string{"go", "test", "-count=1", "-timeout=55m", "-tags=scale", "-run=^TestHosts$", "./integration/scale", fmt.Sprintf("-hosts=%d", n)},
			}
			if !yield(c) {
				return
			}
		}
	}
}
