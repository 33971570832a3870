// Package clean leaves hosts as they were before they were in a cluster: it proves that they are of this cluster, runs what the image and its
// plugins have for that moment, removes what was made, and says what is left.
package clean

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"

	"github.com/kubefile/kubefile/runner/agent/client"
	"github.com/kubefile/kubefile/runner/agent/hostrecord"
	"github.com/kubefile/kubefile/runner/command"
	"github.com/kubefile/kubefile/runner/environment"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/unit"
)

// Removal is what is known of a removal, and what became of it: its phases hand it on.
type Removal struct {
	// Surveys are what was found of the cluster on the hosts.
	Surveys map[*execute.Member]*hostrecord.Survey
	// Dirty are the hosts that could not be cleaned.
	Dirty map[*execute.Member]bool

	unproven  error // of hosts that were left alone, because they are not of the cluster
	uncleaned error // what could not be done
}

// Clean leaves every host as it was: the image's own clean.sh, the registry's unit, and what the journal says was made.
type Clean struct {
	*execute.Session
	// Units are those of ours that may run on a host.
	Units []string
	// Environment is what the image's script sees on a host.
	Environment func(*execute.Member) environment.Set
	Removal     *Removal
}

// Title says what the phase does, for a person.
func (*Clean) Title() string { return "Clean the hosts" }

// Run cleans what it can. What it could not clean, [Verify] says at the end: on the other hosts the work goes on.
func (p *Clean) Run(ctx context.Context) error {
	failed := make([]error, len(p.Members))
	p.Each(ctx, p.Members, func(ctx context.Context, m *execute.Member) error {
		failed[m.Index] = p.host(ctx, m)
		return nil
	})
	p.Removal.uncleaned, p.Removal.Dirty = errors.Join(failed...), map[*execute.Member]bool{}
	for i, m := range p.Members {
		p.Removal.Dirty[m] = failed[i] != nil
	}
	return context.Cause(ctx)
}

func (p *Clean) host(ctx context.Context, m *execute.Member) error {
	if err := p.script(ctx, m); err != nil {
		return err
	}
	for _, name := range p.Units {
		if err := p.stop(ctx, m, name); err != nil {
			return err
		}
	}
	var changes []execute.Change
	for _, what := range p.Removal.Surveys[m].Removals() {
		changes = append(changes, execute.Change{Member: m, What: what})
	}
	if err := p.DoTogether(ctx, changes, func(ctx context.Context) error { return p.created(ctx, m) }); err != nil {
		return m.Failure("", err)
	}
	return nil
}

// created undoes the journal, and has the host take notice.
func (p *Clean) created(ctx context.Context, m *execute.Member) error {
	named, err := m.Fetch(ctx, command.HostnameFile)
	if err != nil {
		return err
	}
	left, err := m.RemoveCreated(ctx, p.Name, p.Removal.Surveys[m].ID(), p.own(m))
	if err != nil {
		return err
	}
	if err := renameHost(ctx, m, named); err != nil {
		return err
	}
	for _, line := range left {
		p.Report.Line(m.String(), leftPrefix+line)
	}
	_, err = m.Ask(ctx, "systemctl", "daemon-reload")
	return err
}

// own is this program, for hosts that it can run on.
func (p *Clean) own(m *execute.Member) func() (client.Binary, error) {
	if runtime.GOOS != "linux" || m.Facts.Architecture != runtime.GOARCH {
		return nil
	}
	return client.Own
}

// renameHost makes the host be called what its file says, if that was another name before the file was restored.
func renameHost(ctx context.Context, m *execute.Member, before []byte) error {
	now, err := m.Fetch(ctx, command.HostnameFile)
	if err != nil || bytes.Equal(before, now) || len(bytes.TrimSpace(now)) == 0 { // without the file, only the next boot names it
		return err
	}
	_, err = m.Ask(ctx, "hostname", string(bytes.TrimSpace(now)))
	return err
}

// cleanScript is an image's. Older images have one that is named after the container runtime that they bring.
const cleanScript = "scripts/clean.sh"

// inRootfs runs the first of the scripts that is there, in the rootfs. The rootfs may be gone already.
const inRootfs = `cd rootfs 2>/dev/null || exit 0
for script; do if [ -e "$script" ]; then set -- "$script"; ` + execute.RunScript + `; fi; done`

// leftPrefix begins the lines about what is not removed, of ours and of an image's clean.sh.
const leftPrefix = "left: "

func (p *Clean) script(ctx context.Context, m *execute.Member) error {
	argv := []string{"sh", "-c", inRootfs, "sh", cleanScript, "scripts/uninstall-containerd.sh", "scripts/uninstall-docker.sh"}
	return p.Do(ctx, m, "run "+cleanScript, func(ctx context.Context) error {
		out := p.Report.Output(m.String())
		out.Seen = func(line string) {
			if strings.HasPrefix(line, leftPrefix) {
				p.Report.Line(m.String(), line)
			}
		}
		return p.ExecTo(ctx, m, host.Command{Argv: argv, Dir: m.Dir, Env: p.Environment(m).Variables(), Limit: execute.ScriptLimit}, out)
	})
}

func (p *Clean) stop(ctx context.Context, m *execute.Member, name string) error {
	there, err := m.Holds(ctx, "test", "-e", unit.Dir+name)
	if err != nil || !there {
		return err
	}
	return p.Do(ctx, m, "stop "+name, func(ctx context.Context) error {
		if _, err := m.Ask(ctx, "systemctl", "disable", "--quiet", "--now", name); err != nil {
			return err
		}
		// systemd lists a failed unit even after its file is gone. It may have forgotten one that did not fail: the exit code says nothing.
		_, err := m.Holds(ctx, "systemctl", "reset-failed", name)
		return err
	})
}
