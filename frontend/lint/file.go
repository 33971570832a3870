package lint

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/kubefile/kubefile/frontend/command"
	"github.com/kubefile/kubefile/frontend/kubefile"
)

// unpinned reports whether a reference may mean another image tomorrow.
func unpinned(ref string) bool {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return false // whoever uses it says so
	}
	if _, ok := named.(reference.Digested); ok {
		return false
	}
	tagged, ok := reference.TagNameOnly(named).(reference.Tagged)
	return ok && tagged.Tag() == "latest"
}

func unpinnedBase(f *kubefile.File, scope kubefile.Scope, report report) error {
	bases, err := f.Bases(scope)
	for _, b := range bases {
		if unpinned(b.Reference) {
			report(b.Location, fmt.Sprintf("base image %q can be another one tomorrow: name a tag or a digest", b.Reference))
		}
	}
	return err
}

func ignoredInstruction(f *kubefile.File, scope kubefile.Scope, report report) error {
	list, err := f.Instructions(scope)
	for _, c := range list {
		keyword := strings.ToUpper(c.Name())
		switch i := c.(type) {
		case *instructions.EntrypointCommand:
			report(i.Location(), "ENTRYPOINT has no effect: nothing is started in a cluster image. What runs on the cluster is said by CMD")
		case *instructions.HealthCheckCommand, *instructions.ExposeCommand, *instructions.StopSignalCommand, *instructions.VolumeCommand:
			report(c.Location(), keyword+" has no effect: a cluster image is not run as a container")
		case *instructions.UserCommand:
			report(i.Location(), "USER is for RUN only: commands run as root on the first master")
		case *instructions.OnbuildCommand:
			if first, _, _ := strings.Cut(strings.TrimSpace(i.Expression), " "); strings.EqualFold(first, "CMD") {
				report(i.Location(), "ONBUILD CMD has no effect: say CMD in the image that needs it")
			}
		}
	}
	return err
}

func commandList(f *kubefile.File, scope kubefile.Scope, report report) error {
	list, err := f.Instructions(scope)
	for _, c := range list {
		if cmd, ok := c.(*instructions.CmdCommand); ok && !cmd.PrependShell && kubefile.IsCommandList(cmd.CmdLine) {
			report(cmd.Location(), "this list is run as one command line per element; CMDS says so, a list for CMD is one command with its arguments")
		}
	}
	return err
}

// eachCommand makes a rule of a function that returns what is wrong with a command line.
func eachCommand(check func(command.Simple) string) func(*kubefile.File, kubefile.Scope, report) error {
	return func(f *kubefile.File, scope kubefile.Scope, report report) error {
		content, err := f.Content(scope)
		if err != nil {
			return err
		}
		for _, s := range content.Steps {
			if s.Command == nil {
				continue
			}
			for _, c := range command.Read(*s.Command) {
				if message := check(c); message != "" {
					report(s.Location, message)
				}
			}
		}
		return nil
	}
}

func nonIdempotent(c command.Simple) string {
	program, verb := c.Verb()
	switch {
	case c.Guarded:
		return ""
	case program == "helm" && verb == "install":
		return "helm install fails when the release exists: say helm upgrade --install"
	case program == "kubectl" && slices.Contains([]string{"create", "run", "expose"}, verb) && !strings.Contains(strings.Join(c.Words, " "), "--dry-run"):
		return "kubectl " + verb + " fails when the object exists: say kubectl apply"
	}
	return ""
}

// secretName finds settings that hold secrets; a variable or a reference to a Secret is none.
var secretName = regexp.MustCompile(`(?i)[\w.-]*(passw(or)?d|client_?secret|secret_?key|token|api_?key|private_?key)=["']?([^$"',\s{]+)`)

func secret(c command.Simple) string {
	for _, word := range c.Words {
		if m := secretName.FindStringSubmatch(word); m != nil && !slices.Contains([]string{"true", "false", "null"}, m[len(m)-1]) {
			name, _, _ := strings.Cut(m[0], "=")
			return fmt.Sprintf("the value of %s is readable in the image: take it from the environment ($NAME), which sealer-run -e or a Clusterfile sets", name)
		}
	}
	return ""
}

// copiedDirectory finds COPY x . where a command then names x/…: with the old tool the directory itself was copied.
func copiedDirectory(f *kubefile.File, scope kubefile.Scope, report report) error {
	list, err := f.Instructions(scope)
	if err != nil {
		return err
	}
	content, err := f.Content(scope)
	if err != nil {
		return err
	}
	for _, c := range list {
		cp, ok := c.(*instructions.CopyCommand)
		if !ok || cp.From != "" || len(cp.SourcePaths) != 1 || !slices.Contains([]string{".", "./", "/"}, cp.DestPath) {
			continue
		}
		name := path.Base(cp.SourcePaths[0])
		if name == "." || name == "/" || strings.ContainsAny(name, "*?[") {
			continue
		}
		for _, s := range content.Steps {
			if s.Command != nil && slices.ContainsFunc(strings.Fields(s.Command.String()), func(word string) bool { return strings.HasPrefix(strings.TrimPrefix(word, "./"), name+"/") }) {
				report(cp.Location(), fmt.Sprintf("a command names %s/, but COPY %s %s copies what is in it: say COPY %s %s/", name, cp.SourcePaths[0], cp.DestPath, cp.SourcePaths[0], name))
				break
			}
		}
	}
	return nil
}
