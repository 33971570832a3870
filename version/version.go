// Package version reports which build of the project a program is.
package version

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// The linker sets these (version.sh). It can set package variables of type string only; nothing else writes to them.
var version, commit, date string

// Info is what a program knows of its own build.
type Info struct {
	// Version is that of the release, such as v0.1.0. A build of another commit has a version such as v0.1.0-12-g02e0342bfe47 after
	// the nearest release, or the pseudo-version that Go gives it.
	Version string `json:"version"`
	// Commit is the revision of the source code.
	Commit string `json:"commit,omitempty"`
	// Date is when the commit was made, in RFC 3339 and UTC. The time of the build is not recorded, so that builds are reproducible.
	Date string `json:"date,omitempty"`
	// Modified reports that the source code has changes that are not in the commit.
	Modified bool `json:"modified,omitempty"`
	// Go is the version of the compiler.
	Go string `json:"go"`
	// Platform is what the program was compiled for, as os/architecture.
	Platform string `json:"platform"`
}

// unknown is the version of a program that was compiled without any.
const unknown = "unknown"

// Get returns what the linker was given, or else what Go itself records.
func Get() Info {
	info := Info{Version: version, Commit: commit, Date: date, Modified: strings.HasSuffix(version, "-dirty")}
	if build, ok := debug.ReadBuildInfo(); ok && version == "" {
		info = recorded(build)
	}
	info.Version = cmp.Or(info.Version, unknown)
	info.Go, info.Platform = runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH
	return info
}

// recorded reads what Go records of a build in a clone, or of one by go install.
func recorded(build *debug.BuildInfo) Info {
	info := Info{Version: build.Main.Version}
	if info.Version == "(devel)" {
		info.Version = ""
	}
	for _, setting := range build.Settings {
		switch setting.Key {
		case "vcs.revision":
			info.Commit = setting.Value
		case "vcs.time":
			info.Date = setting.Value
		case "vcs.modified":
			info.Modified = setting.Value == "true"
		}
	}
	if info.Version == "" && info.Commit != "" {
		const enough = 12
		info.Version = "v0.0.0-g" + info.Commit[:min(enough, len(info.Commit))]
	}
	return info
}

// String returns the version and what belongs to it, one line each.
func (i Info) String() string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-9s %s\n", name+":", value)
		}
	}
	line("version", i.Version)
	changed := ""
	if i.Modified {
		changed = " with local changes"
	}
	if i.Commit != "" {
		line("commit", i.Commit+changed)
	}
	line("date", i.Date)
	line("go", i.Go)
	line("platform", i.Platform)
	return b.String()
}
