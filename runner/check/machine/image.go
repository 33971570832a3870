package machine

import "github.com/kubefile/kubefile/runner/check"

func images() []check.Check {
	return []check.Check{
		{ID: "image-intact", Severity: check.Error, Title: "The images are whole, and their embedded images are those of their locks", Site: damaged},
		{ID: "image-fits-site", Severity: check.Error, Title: "Image, Clusterfile and the cluster that is there fit together", Site: unfit},
	}
}

func damaged(s *check.Site, report func(h *check.Host, what, fix string)) {
	for _, err := range s.Images {
		report(nil, err.Error(), "sealer-run verify IMAGE lists everything that is wrong with it; copy, push or build the image again")
	}
}

func unfit(s *check.Site, report func(h *check.Host, what, fix string)) {
	for _, err := range s.Configuration {
		report(nil, err.Error(), "correct that in the Clusterfile, on the command line or in the image; sealer-run plan shows what a run would do then")
	}
}
