package frontend

import (
	"io/fs"

	"github.com/containerd/platforms"

	"github.com/kubefile/kubefile/frontend/application"
	"github.com/kubefile/kubefile/frontend/kubefile"
)

// Commands returns the command lines that the last stage of a Kubefile makes a cluster run, with those that start its applications as they
// are in the rootfs, without those of the base image.
func Commands(data []byte, rootfs fs.FS) ([]string, error) {
	file, err := kubefile.Parse(data)
	if err != nil {
		return nil, err
	}
	content, err := file.Content(kubefile.Scope{
		Platform:   platformArgs(platforms.DefaultSpec(), platforms.DefaultSpec()),
		IsReplaced: func(string) bool { return false },
	})
	if err != nil {
		return nil, err
	}
	planned, err := application.Plan(rootfs, withContent(content, application.Request{}))
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, c := range planned.Commands {
		lines = append(lines, c.String())
	}
	return lines, nil
}

// withContent adds what a Kubefile wants to run to a request.
func withContent(content *kubefile.Content, r application.Request) application.Request {
	for _, a := range content.Apps {
		r.Apps = append(r.Apps, application.App{Name: a.Name, Role: a.Role})
	}
	for _, s := range content.Steps {
		step := application.Step{Command: s.Command}
		if l := s.Launch; l != nil {
			step.Launch = &application.Launch{App: l.App, Namespace: l.Namespace, Values: l.Values, Set: l.Set}
		}
		r.Steps = append(r.Steps, step)
	}
	return r
}
