package deliver

import (
	"context"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/report"
	"github.com/kubefile/kubefile/runner/state"
)

// LackedApp is an application image of the cluster that masters of a run do not have, as they are new or were not part of its installation. Were the
// others lost, its images would be lost with them.
type LackedApp struct {
	state.App
	Masters []netip.Addr
}

// LackedApps lists the application images that masters lack, of those that the cluster has, and that can be brought to them after this run. It warns
// of those that cannot. find is asked for each, and reports whether it can be brought.
func LackedApps(ctx context.Context, s *execute.Session, apps []state.App, find func(context.Context, state.App) (bool, error)) (all []LackedApp, err error) {
	for _, app := range apps {
		lacking := LackedApp{App: app}
		has := make([]bool, len(s.Members))
		masters := s.Masters()
		if err := s.Each(ctx, masters, func(ctx context.Context, m *execute.Member) (err error) {
			has[m.Index], err = hasApp(ctx, m, app)
			return err
		}); err != nil {
			return nil, err
		}
		for _, m := range masters {
			if !has[m.Index] {
				lacking.Masters = append(lacking.Masters, m.Host.Address)
			}
		}
		if len(lacking.Masters) == 0 {
			continue
		}
		bring, err := find(ctx, app)
		switch {
		case err != nil:
			warnOfLackedApp(s, lacking, err)
		case bring:
			all = append(all, lacking)
		}
	}
	return all, nil
}

// hasApp reports whether a master has all of an application image. Of one that an earlier version of this program noted, that is not known for each
// version of the image.
func hasApp(ctx context.Context, m *execute.Member, app state.App) (bool, error) {
	marker, err := m.Read(ctx, m.Path(execute.AppsDir, app.Dir, UnpackedMarker))
	if err != nil || len(marker) == 0 {
		return false, err
	}
	if len(app.Layers) == 0 || app.Layers[0].Digest != app.Digest {
		return true, nil
	}
	return strings.TrimSpace(string(marker)) == state.LayersKey(app.Layers[0].Layers), nil
}

// warnOfLackedApp tells how to bring an application image to masters that lack it.
func warnOfLackedApp(s *execute.Session, lacking LackedApp, reason error) {
	var named, masters []string
	for _, address := range lacking.Masters {
		named = append(named, address.String())
	}
	for _, m := range s.Masters() {
		masters = append(masters, m.String())
	}
	command := []string{"sealer-run", path.Base(lacking.Dir) + ".tar", "-m", strings.Join(slices.Sorted(slices.Values(masters)), ",")}
	if s.Name != execute.DefaultName {
		command = append(command, "--cluster-name", s.Name)
	}
	if s.DataRoot != execute.DefaultDataRoot {
		command = append(command, "--data-root", s.DataRoot)
	}
	s.Report.Printf("warning: the images of application %s are not on %s, and would be lost with the other masters; to bring them after this run, give a file or reference of %s, as in %s: %v\n",
		lacking.Dir, report.Names(named, report.ManyHosts), lacking.Image, strings.Join(command, " "), reason)
}
