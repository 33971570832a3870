package frontend

import (
	"context"
	"path"
	"slices"
	"strings"

	bkllb "github.com/moby/buildkit/client/llb"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"

	"github.com/kubefile/kubefile/frontend/application"
	"github.com/kubefile/kubefile/frontend/discovery"
	"github.com/kubefile/kubefile/frontend/step"
	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/llb"
)

// inherited has the settings and commands of the base image.
type inherited struct {
	config   dockerspec.DockerOCIImageConfig
	commands []imagespec.Command // also where CMD [] takes them back
}

func (i inherited) kubernetesVersion() string {
	return i.config.Labels[imagespec.LabelKubernetesVersion]
}

// changes returns the changes of the build to its base other than added files.
func (p *platformBuild) changes(ctx context.Context, rootfs bkllb.State) (application.Changes, error) {
	runs, err := llb.Runs(ctx, rootfs)
	return application.Changes{
		Environment: !sameEnvironment(p.inherited.config.Env, p.image.Config.Env),
		WorkingDir:  path.Clean("/"+p.inherited.config.WorkingDir) != path.Clean("/"+p.image.Config.WorkingDir),
		Kubernetes:  p.inherited.kubernetesVersion() != p.base.KubernetesVersion,
		Steps:       runs,
	}, err
}

// sameEnvironment compares two environments. BuildKit adds a PATH to images that have none.
func sameEnvironment(base, derived []string) bool {
	isPath := func(entry string) bool { return strings.HasPrefix(entry, "PATH=") }
	sorted := func(env []string) []string {
		env = slices.Clone(env)
		if !slices.ContainsFunc(base, isPath) {
			env = slices.DeleteFunc(env, isPath)
		}
		slices.Sort(env)
		return slices.Compact(env)
	}
	return slices.Equal(sorted(base), sorted(derived))
}

// withoutOwnOf takes out of an answer for the whole rootfs what is the base's own: the user of a base has accepted its problems, and cannot
// correct them. A problem that the base has only with this build's changes is not among them, nor one of a template when the variables change
// that it is rendered with: what was accepted is no longer what the site gets.
func (p *platformBuild) withoutOwnOf(ctx context.Context, base bkllb.State, answer *step.Scanned) error {
	answer.Discovery.Findings = slices.DeleteFunc(answer.Discovery.Findings, func(f discovery.Finding) bool {
		return slices.ContainsFunc(p.base.Lock.Ignored, func(i imagespec.IgnoredImage) bool { return i.Reference == f.Reference })
	})
	if len(answer.Discovery.Problems) == 0 {
		return nil
	}
	config := p.inherited.config
	before, err := p.ask(ctx, base, step.ScanRequest{
		Discovery: discovery.Options{KubernetesVersion: p.inherited.kubernetesVersion(), Env: config.Env, WorkingDir: config.WorkingDir},
		Application: application.Request{
			BaseApps: p.base.Apps, Commands: p.inherited.commands, WorkingDir: config.WorkingDir, Env: config.Env, Whole: true,
		},
		BaseStore: true,
	})
	if err != nil {
		return err
	}
	sameVariables := sameEnvironment(config.Env, p.image.Config.Env)
	answer.Discovery.Problems = slices.DeleteFunc(answer.Discovery.Problems, func(problem discovery.Problem) bool {
		return (sameVariables || path.Ext(problem.File) != ".tmpl") && slices.ContainsFunc(before.Discovery.Problems, func(old discovery.Problem) bool { return sameProblem(old, problem) })
	})
	return nil
}

// withoutUnused takes out what is said of charts of the base that nothing installs any longer: they need not render. own are the charts of
// the build itself that nothing installs.
func withoutUnused(result discovery.Result, own []string) discovery.Result {
	for _, chart := range result.Uninstalled {
		if !slices.Contains(own, chart) {
			result.Problems = slices.DeleteFunc(result.Problems, func(p discovery.Problem) bool {
				return p.File == chart || strings.HasPrefix(p.File, chart+"/")
			})
		}
	}
	result.Uninstalled = slices.DeleteFunc(result.Uninstalled, func(chart string) bool { return !slices.Contains(own, chart) })
	return result
}

// sameProblem compares problems. The number of a command of the base can change.
func sameProblem(a, b discovery.Problem) bool {
	if a.File == discovery.CommandFile {
		a.Line = b.Line
	}
	return a.File == b.File && a.Line == b.Line && a.Message == b.Message
}
