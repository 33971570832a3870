package main

import "iter"

// rareClusters are the scenarios on real hosts that make test has no time for.
func rareClusters() []string { return []string{"ipv6-only", "unhealthy-settings"} }

// clustersCases run each of these scenarios.
func clustersCases(s settings) iter.Seq[Case] {
	return func(yield func(Case) bool) {
		for _, name := range rareClusters() {
			c := test(s, "integration/e2e", "^TestClusters$", "-test.timeout="+killLimit, "-rare="+name)
			c.Name = name
			if !yield(c) {
				return
			}
		}
	}
}
