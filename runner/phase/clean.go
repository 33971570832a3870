package phase

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/registryproxy"
	"github.com/kubefile/kubefile/runner/agent"
	"github.com/kubefile/kubefile/runner/balancer"
	"github.com/kubefile/kubefile/runner/execute"
	"github.com/kubefile/kubefile/runner/host"
	"github.com/kubefile/kubefile/runner/network"
	"github.com/kubefile/kubefile/runner/unit"
)

// clean leaves every host as it was: the image's own clean.sh, the registry's unit, and what the journal says was made.
type clean struct{ *Cluster }

func (*clean) Title() string { return "Clean the hosts" }

// Run cleans what it can. What it could not clean, [leftovers] says at the end: on the other hosts the work goes on.
func (p *clean) Run(ctx context.Context) error {
	failed := make([]error, len(p.Members))
	p.Each(ctx, p.Members, func(ctx context.Context, m *execute.Member) error {
		failed[m.Index] = p.host(ctx, m)
		return nil
	})
	p.uncleaned, p.dirty = errors.Join(failed...), map[*execute.Member]bool{}
	for i, m := range p.Members {
		p.dirty[m] = failed[i] != nil
	}
	return context.Cause(ctx)
}

// leftovers removes the files that our own locks are on, and says which hosts are not clean.
type leftovers struct{ *Cluster }

func (*leftovers) Title() string { return "Verify the cleanup" }

func (p *leftovers) Run(ctx context.Context) error {
	failed := []error{p.unproven, p.uncleaned}
	if !p.DryRun {
		failed = append(failed, p.Each(ctx, p.Members, func(ctx context.Context, m *execute.Member) error {
			_, err := m.Ask(ctx, "rm", "-f", p.LockFile())
			return err
		}))
	}
	return errors.Join(slices.Concat(failed, p.unknown, []error{p.Unreached(), p.again()})...)
}

// again says how to remove the cluster from the hosts that still have it: the state that lists them may be gone.
func (p *leftovers) again() error {
	var hosts []host.Host
	for _, m := range p.Members {
		if p.dirty[m] {
			hosts = append(hosts, m.Host)
		}
	}
	for _, r := range p.unreached {
		hosts = append(hosts, r.Host)
	}
	var flags []string
	for _, h := range hosts {
		flag := "-n "
		if h.Role == host.RoleMaster {
			flag = "-m "
		}
		flags = append(flags, flag+h.String())
	}
	if len(flags) == 0 {
		return nil
	}
	return fmt.Errorf("to remove the rest, run the same command again with %s", strings.Join(flags, " "))
}

func (p *clean) host(ctx context.Context, m *execute.Member) error {
	if err := p.script(ctx, m); err != nil {
		return err
	}
	for _, name := range []string{registryproxy.Unit, balancer.Unit, network.RouteUnit} {
		if err := p.stop(ctx, m, name); err != nil {
			return err
		}
	}
	var changes []execute.Change
	for _, what := range p.surveys[m].Removals() {
		changes = append(changes, execute.Change{Member: m, What: what})
	}
	if err := p.DoTogether(ctx, changes, func(ctx context.Context) error { return p.created(ctx, m) }); err != nil {
		return m.Failure("", err)
	}
	return nil
}

// created undoes the journal, and has the host take notice.
func (p *clean) created(ctx context.Context, m *execute.Member) error {
	named, err := m.Fetch(ctx, hostnamePath)
	if err != nil {
		return err
	}
	left, err := m.RemoveCreated(ctx, p.Name, p.surveys[m].ID(), p.own(m))
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
func (p *clean) own(m *execute.Member) func() (agent.Binary, error) {
	if runtime.GOOS != "linux" || m.Facts.Architecture != runtime.GOARCH {
		return nil
	}
	return agent.Own
}

// renameHost makes the host be called what its file says, if that was another name before the file was restored.
func renameHost(ctx context.Context, m *execute.Member, before []byte) error {
	now, err := m.Fetch(ctx, hostnamePath)
	if err != nil || bytes.Equal(before, now) || len(bytes.TrimSpace(now)) == 0 { // without the file, only the next boot names it
		return err
	}
	_, err = m.Ask(ctx, "hostname", string(bytes.TrimSpace(now)))
	return err
}

// inRootfs runs the first of the scripts that is there, in the rootfs. The rootfs may be gone already.
const inRootfs = `cd rootfs 2>/dev/null || exit 0
for script; do if [ -e "$script" ]; then set -- "$script"; ` + byItself + `; fi; done`

// leftPrefix begins the lines about what is not removed, of ours and of an image's clean.sh.
const leftPrefix = "left: "

func (p *clean) script(ctx context.Context, m *execute.Member) error {
	argv := []string{"sh", "-c", inRootfs, "sh", cleanScript}
	for _, runtime := range oldRuntimes {
		argv = append(argv, "scripts/uninstall-"+runtime+".sh")
	}
	return p.Do(ctx, m, "run "+cleanScript, func(ctx context.Context) error {
		out := p.Report.Output(m.String())
		out.Seen = func(line string) {
			if strings.HasPrefix(line, leftPrefix) {
				p.Report.Line(m.String(), line)
			}
		}
		return p.ExecTo(ctx, m, host.Command{Argv: argv, Dir: m.Dir, Env: p.environment(m).Variables(), Limit: scriptLimit}, out)
	})
}

func (p *clean) stop(ctx context.Context, m *execute.Member, name string) error {
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
