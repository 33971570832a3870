package lint

import (
	"fmt"
	"regexp"

	"github.com/kubefile/kubefile/frontend/kubefile"
)

// Built has the results of a build for the rules.
type Built struct {
	Images  []Image
	Missing []Missing
	Charts  []string // that no command installs, by path
}

// Image is an embedded image that this Kubefile adds and no lock pins.
type Image struct {
	Reference string
	Found     string         // where, "file:line"
	At        kubefile.Place // of the command that led there, if the Kubefile has it
}

// Missing is a file that a command refers to.
type Missing struct {
	File string
	At   kubefile.Place
}

func unpinnedImage(b Built, report report) {
	for _, i := range b.Images {
		if unpinned(i.Reference) {
			report(i.At, "", fmt.Sprintf("image %s of %s can be another one tomorrow: name a tag or a digest", i.Reference, i.Found))
		}
	}
}

func missingFile(b Built, report report) {
	for _, m := range b.Missing {
		report(m.At, regexp.QuoteMeta(m.File), fmt.Sprintf("the rootfs has no file %s", m.File))
	}
}

func chartNotInstalled(b Built, report report) {
	for _, chart := range b.Charts {
		report(kubefile.Place{}, "", fmt.Sprintf("no command installs the chart %s; its images are embedded using the chart's default values", chart))
	}
}
