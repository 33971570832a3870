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
		return false // reported where it is used
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
			report(b.Place, regexp.QuoteMeta(b.Written), fmt.Sprintf("base image %q can be another one tomorrow: name a tag or a digest", b.Reference))
		}
	}
	return err
}

func ignoredInstruction(f *kubefile.File, scope kubefile.Scope, report report) error {
	list, err := f.Instructions(scope)
	if err != nil {
		return err
	}
	content, err := f.Content(scope)
	if err != nil {
		return err
	}
	var user *instructions.UserCommand
	for _, c := range list {
		ignored := func(message string) { report(kubefile.PlaceOf(c), "^\\s*(?i:"+c.Name()+")", message) }
		switch i := c.(type) {
		case *instructions.EntrypointCommand:
			ignored("ENTRYPOINT has no effect: nothing is started in a cluster image. What runs on the cluster is said by CMD")
		case *instructions.HealthCheckCommand, *instructions.ExposeCommand, *instructions.StopSignalCommand, *instructions.VolumeCommand:
			ignored(strings.ToUpper(c.Name()) + " has no effect: a cluster image is not run as a container")
		case *instructions.ShellCommand:
			if slices.ContainsFunc(content.Steps, func(s kubefile.Step) bool { return s.Command != nil && s.Command.Shell != "" }) {
				ignored("SHELL is for RUN only: on the cluster, commands are run by sh")
			}
		case *instructions.UserCommand:
			user = i
		case *instructions.OnbuildCommand:
			if words := strings.Fields(i.Expression); len(words) > 0 && strings.EqualFold(words[0], "CMD") {
				ignored("ONBUILD CMD has no effect: say CMD in the image that needs it")
			}
		}
	}
	if user != nil && !isRoot(user.User) {
		report(kubefile.PlaceOf(user), "^\\s*(?i:USER)", "USER is for RUN only: commands run as root on the first master")
	}
	return nil
}

func isRoot(user string) bool {
	name, _, _ := strings.Cut(user, ":")
	return name == "root" || name == "0"
}

func commandList(f *kubefile.File, scope kubefile.Scope, report report) error {
	list, err := f.Instructions(scope)
	for _, c := range list {
		if cmd, ok := c.(*instructions.CmdCommand); ok && !cmd.PrependShell && kubefile.IsCommandList(cmd.CmdLine) {
			report(kubefile.PlaceOf(cmd), "^\\s*(?i:CMD)", "this list is run as one command line per element; write CMDS, because a list for CMD is one command with its arguments")
		}
	}
	return err
}

// eachCommand makes a rule of a function that returns what is wrong with a program that a command runs, and a pattern of where.
func eachCommand(check func(command.Simple) (pattern, message string)) func(*kubefile.File, kubefile.Scope, report) error {
	return func(f *kubefile.File, scope kubefile.Scope, report report) error {
		content, err := f.Content(scope)
		if err != nil {
			return err
		}
		for _, s := range content.Steps {
			for _, c := range programs(s) {
				if pattern, message := check(c); message != "" {
					report(s.Place, pattern, message)
				}
			}
		}
		return nil
	}
}

// programs returns the programs of a step that the Kubefile itself names.
func programs(s kubefile.Step) []command.Simple {
	if s.Launch != nil {
		return []command.Simple{{Words: append([]string{"LAUNCH"}, s.Launch.Set...)}}
	}
	return command.Read(*s.Command)
}

func nonIdempotent(c command.Simple) (pattern, message string) {
	program, verb := c.Verb()
	pattern = program + "[^|&;]*?\\b" + regexp.QuoteMeta(verb) + "\\b"
	has := func(flag string) bool {
		return slices.ContainsFunc(c.Words, func(word string) bool { return word == flag || strings.HasPrefix(word, flag+"=") })
	}
	switch {
	case c.Guarded || has("--dry-run") || has("--rm") || slices.Contains(c.Words, "token"):
	case program == "helm" && verb == "install":
		return pattern, "helm install fails when the release exists: say helm upgrade --install"
	case program == "kubectl" && slices.Contains([]string{"create", "run", "expose"}, verb):
		return pattern, "kubectl " + verb + " fails when the object exists: say kubectl apply"
	}
	return "", ""
}

// secretName finds settings with secrets, but not variables or references to a Secret.
var secretName = regexp.MustCompile(`(?i)[\w.-]*(passw(or)?d|client_?secret|secret_?key|token|api_?key|private_?key)=["']?([^$"',\s{]+)`)

func secret(c command.Simple) (pattern, message string) {
	for _, word := range c.Words {
		if m := secretName.FindStringSubmatch(word); m != nil && !slices.Contains([]string{"true", "false", "null"}, m[len(m)-1]) {
			name, _, _ := strings.Cut(m[0], "=")
			return regexp.QuoteMeta(name), fmt.Sprintf("the value of %s is readable in the image: take it from the environment ($NAME), which sealer-run -e or a Clusterfile sets", name)
		}
	}
	return "", ""
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
				report(kubefile.PlaceOf(cp), "", fmt.Sprintf("a command names %s/, but COPY %s %s copies what is in it: say COPY %s %s/", name, cp.SourcePaths[0], cp.DestPath, cp.SourcePaths[0], name))
				break
			}
		}
	}
	return nil
}
