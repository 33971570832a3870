package lint

import (
	"fmt"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Built is what a build has found out.
type Built struct {
	Images  []Image
	Missing []Missing
	Charts  []string // that no command installs, by path
}

// Image is an embedded image that this Kubefile adds.
type Image struct {
	Reference string
	Place     string         // where it was found, "file:line"
	Location  []parser.Range // in the Kubefile; nil if it is not there
}

// Missing is a file that a command refers to.
type Missing struct {
	File     string
	Location []parser.Range
}

func unpinnedImage(b Built, report report) {
	for _, i := range b.Images {
		if unpinned(i.Reference) {
			report(i.Location, fmt.Sprintf("image %s of %s can be another one tomorrow: name a tag or a digest", i.Reference, i.Place))
		}
	}
}

func missingFile(b Built, report report) {
	for _, m := range b.Missing {
		report(m.Location, fmt.Sprintf("the rootfs has no file %s", m.File))
	}
}

func chartNotInstalled(b Built, report report) {
	for _, chart := range b.Charts {
		report(nil, fmt.Sprintf("no command installs the chart %s; its images are embedded as its default values want them", chart))
	}
}
