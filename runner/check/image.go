package check

func images() []Check {
	return []Check{
		{ID: "image-intact", Severity: Error, Title: "The images are whole, and their embedded images are those of their locks", site: damaged},
		{ID: "image-fits-site", Severity: Error, Title: "Image, Clusterfile and the cluster that is there fit together", site: unfit},
	}
}

func damaged(s *Site, report func(h *Host, what, fix string)) {
	for _, err := range s.Images {
		report(nil, err.Error(), "sealer-run verify IMAGE lists everything that is wrong with it; copy, push or build the image again")
	}
}

func unfit(s *Site, report func(h *Host, what, fix string)) {
	for _, err := range s.Configuration {
		report(nil, err.Error(), "correct that in the Clusterfile, on the command line or in the image; sealer-run plan shows what a run would do then")
	}
}
