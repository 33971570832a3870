package version

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

const revision = "02e0342bfe4702e0342bfe4702e0342bfe470000"

func TestRecorded(t *testing.T) {
	clone := []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: revision}, {Key: "vcs.time", Value: "2026-11-29T12:00:00Z"}}
	for name, test := range map[string]struct {
		main     string
		settings []debug.BuildSetting
		want     Info
	}{
		"go install":       {"v0.1.0", nil, Info{Version: "v0.1.0"}},
		"a clone":          {"v0.1.1-0.20261129120000-02e0342bfe47", clone, Info{Version: "v0.1.1-0.20261129120000-02e0342bfe47", Commit: revision, Date: "2026-11-29T12:00:00Z"}},
		"changes":          {"v0.1.0+dirty", append(clone, debug.BuildSetting{Key: "vcs.modified", Value: "true"}), Info{Version: "v0.1.0+dirty", Commit: revision, Date: "2026-11-29T12:00:00Z", Modified: true}},
		"only a revision":  {"(devel)", clone, Info{Version: "v0.0.0-g02e0342bfe47", Commit: revision, Date: "2026-11-29T12:00:00Z"}},
		"a short revision": {"(devel)", []debug.BuildSetting{{Key: "vcs.revision", Value: "02e0"}}, Info{Version: "v0.0.0-g02e0", Commit: "02e0"}},
		"nothing":          {"(devel)", nil, Info{}},
	} {
		if got := recorded(&debug.BuildInfo{Main: debug.Module{Version: test.main}, Settings: test.settings}); got != test.want {
			t.Errorf("%s: got %+v, want %+v", name, got, test.want)
		}
	}
}

func TestGet(t *testing.T) {
	info := Get()
	if info.Version == "" || strings.Contains(info.Version, "devel") {
		t.Errorf("got version %q, want one that means something", info.Version)
	}
	if info.Go != runtime.Version() || info.Platform != runtime.GOOS+"/"+runtime.GOARCH {
		t.Errorf("got Go %q for %q", info.Go, info.Platform)
	}
}

func TestString(t *testing.T) {
	for want, info := range map[string]Info{
		"version:  v0.1.0\ncommit:   02e0 with local changes\ndate:     2026-11-29T12:00:00Z\ngo:       go1.26.8\nplatform: linux/arm64\n": {
			Version: "v0.1.0", Commit: "02e0", Date: "2026-11-29T12:00:00Z", Modified: true, Go: "go1.26.8", Platform: "linux/arm64"},
		"version:  unknown\ngo:       go1.26.8\nplatform: linux/arm64\n": {Version: unknown, Go: "go1.26.8", Platform: "linux/arm64"},
	} {
		if got := info.String(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}
