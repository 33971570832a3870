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
	"github.com/kubefile/kubefile/runner/host"
)

// clean leaves every host as it was: the image's own clean.sh, the registry's unit, and what the journal says was made.
type clean struct{ *Cluster }

func (*clean) Title() string { return "Clean the hosts" }

// Run cleans what it can. What it could not clean, [leftovers] says at the end: on the other hosts the work goes on.
func (p *clean) Run(ctx context.Context) error {
	p.uncleaned = p.each(ctx, p.members, func(ctx context.Context, m *member) error {
		err := p.host(ctx, m)
		m.dirty = err != nil
		return err
	})
	return context.Cause(ctx)
}

// leftovers removes the files that our own locks are on, and says which hosts are not clean.
type leftovers struct{ *Cluster }

func (*leftovers) Title() string { return "Verify the cleanup" }

func (p *leftovers) Run(ctx context.Context) error {
	failed := []error{p.unproven, p.uncleaned}
	if !p.DryRun {
		failed = append(failed, p.each(ctx, p.members, func(ctx context.Context, m *member) error {
			_, err := m.ask(ctx, "rm", "-f", p.lockFile())
			return err
		}))
	}
	return errors.Join(slices.Concat(failed, p.unknown, []error{p.Unreached(), p.again()})...)
}

// again says how to remove the cluster from the hosts that still have it: the state that lists them may be gone.
func (p *leftovers) again() error {
	var hosts []host.Host
	for _, m := range p.members {
		if m.dirty {
			hosts = append(hosts, m.host)
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

func (p *clean) host(ctx context.Context, m *member) error {
	if err := p.script(ctx, m); err != nil {
		return err
	}
	for _, unit := range []string{registryproxy.Unit, balancer.Unit, routeUnit} {
		if err := p.stop(ctx, m, unit); err != nil {
			return err
		}
	}
	var changes []change
	for _, what := range m.survey.Removals() {
		changes = append(changes, change{m, what})
	}
	if err := p.doTogether(ctx, changes, func(ctx context.Context) error { return p.created(ctx, m) }); err != nil {
		return m.failure("", err)
	}
	return nil
}

// created undoes the journal, and has the host take notice.
func (p *clean) created(ctx context.Context, m *member) error {
	named, err := m.fetch(ctx, hostnamePath)
	if err != nil {
		return err
	}
	left, err := m.RemoveCreated(ctx, p.Name, m.survey.ID(), p.own(m))
	if err != nil {
		return err
	}
	if err := m.rename(ctx, named); err != nil {
		return err
	}
	for _, line := range left {
		p.Report.Line(m.String(), leftPrefix+line)
	}
	_, err = m.ask(ctx, "systemctl", "daemon-reload")
	return err
}

// own is this program, for hosts that it can run on.
func (p *clean) own(m *member) func() (agent.Binary, error) {
	if runtime.GOOS != "linux" || m.facts.Architecture != runtime.GOARCH {
		return nil
	}
	return agent.Own
}

// rename makes the host be called what its file says, if that was another name before the file was restored.
func (m *member) rename(ctx context.Context, before []byte) error {
	now, err := m.fetch(ctx, hostnamePath)
	if err != nil || bytes.Equal(before, now) || len(bytes.TrimSpace(now)) == 0 { // without the file, only the next boot names it
		return err
	}
	_, err = m.ask(ctx, "hostname", string(bytes.TrimSpace(now)))
	return err
}

// inRootfs runs the first of the scripts that is there, in the rootfs. The rootfs may be gone already.
const inRootfs = `cd rootfs 2>/dev/null || exit 0
for script; do if [ -e "$script" ]; then set -- "$script"; ` + byItself + `; fi; done`

// leftPrefix begins the lines about what is not removed, of ours and of an image's clean.sh.
const leftPrefix = "left: "

func (p *clean) script(ctx context.Context, m *member) error {
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
		return p.runTo(ctx, m, host.Command{Argv: argv, Dir: m.Dir, Limit: scriptLimit}, out)
	})
}

func (p *clean) stop(ctx context.Context, m *member, unit string) error {
	there, err := m.holds(ctx, "test", "-e", unitDir+unit)
	if err != nil || !there {
		return err
	}
	return p.Do(ctx, m, "stop "+unit, func(ctx context.Context) error {
		if _, err := m.ask(ctx, "systemctl", "disable", "--quiet", "--now", unit); err != nil {
			return err
		}
		// systemd lists a failed unit even after its file is gone. It may have forgotten one that did not fail: the exit code says nothing.
		_, err := m.holds(ctx, "systemctl", "reset-failed", unit)
		return err
	})
}
