//go:build lab

package build

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// styleFiles are the build context of a style, and the commands and images that its image has in addition to those of its base.
func styleFiles(t *testing.T, name string) (context files, commands, images []string) {
	t.Helper()
	context = filesOf(t, filepath.Join("testdata/styles", name))
	for line := range strings.Lines(context["expected.txt"]) {
		kind, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kind == "command" {
			commands = append(commands, text)
		} else {
			images = append(images, text)
		}
	}
	delete(context, "expected.txt")
	return context, commands, images
}

// TestStyles builds the Kubefiles of testdata/styles.
func TestStyles(t *testing.T) {
	base := onExample(t)
	example := pull(t, kubernetes(t), "linux/amd64").describe(t).Lock
	for _, name := range []string{"heredoc", "toolchain", "git", "private", "platforms", "chart", "kustomize", "operator", "layers", "frozen"} {
		t.Run(name, func(t *testing.T) {
			context, commands, images := styleFiles(t, name)
			args := base
			switch name {
			case "private":
				address, config := private(t)
				t.Setenv("DOCKER_CONFIG", filepath.Dir(config))
				hide := func(text string) string { return strings.ReplaceAll(text, "PRIVATE", address+"/docker.io/lab-docker") }
				context["app.yaml"], images[0] = hide(context["app.yaml"]), hide(images[0])
				args = []string{"--secret", "id=kubefile.dockerconfig,src=" + config, "--opt", "context:" + base[1]}
			case "platforms":
				args = []string{"--platform", "linux/amd64,linux/arm64"}
			case "layers":
				below := kubernetes(t)
				for _, level := range []string{"base", "middle"} {
					context["Kubefile"], context["top.Kubefile"] = context[level+".Kubefile"], context["Kubefile"]+context["top.Kubefile"]
					ref, _ := build(t, context, append(slices.Clone(base), "--build-arg", "BASE="+below)...)
					context["Kubefile"], context["top.Kubefile"] = context["top.Kubefile"], ""
					below = ref
				}
				args = []string{"--build-arg", "BASE=" + below}
			case "frozen":
				before, _ := build(t, context)
				lock, err := pull(t, before, "linux/amd64").describe(t).Lock.Marshal()
				if err != nil {
					t.Fatal(err)
				}
				context["images.lock.json"] = string(lock)
				args = []string{"--build-arg", "KUBEFILE_FROZEN=1"}
			}
			ref := buildStyle(t, name, context, args)
			platforms := []string{"linux/amd64"}
			if name == "platforms" {
				platforms = append(platforms, "linux/arm64")
			}
			for _, platform := range platforms {
				checkStyle(t, ref, platform, commands, images, func(reference string) bool {
					_, ok := example.Lookup(reference)
					return ok
				})
			}
			if name == "layers" {
				d := pull(t, ref, "linux/amd64")
				if d.file(t, "plugins/plugin.yaml") == "" || d.file(t, "etc/level") != "middle\n" || !slices.Contains(d.describe(t).Env, "LEVEL=middle") {
					t.Errorf("plugin, file or environment of a lower image is lost: %v", d.describe(t).Env)
				}
			}
		})
	}
}

// buildStyle pushes the image of a context, for git from a repository.
func buildStyle(t *testing.T, name string, context files, args []string) string {
	t.Helper()
	ref := newName(t)
	switch name {
	case "git":
	case "private": // buildx would look for its builders where the credentials are
		buildOn(t, lab.BuildKitHost, context.write(t), ref, args...)
		return ref
	default:
		ref, _ := build(t, context, args...)
		return ref
	}
	url, _ := gitSite(t, context)
	output, err := run(t, tool("buildx"), append([]string{"build", "--builder", lab.BuildxBuilder, "--progress", "plain", "--provenance", "false",
		"--build-arg", "BUILDKIT_SYNTAX=" + lab.Frontend, "--build-arg", "KUBEFILE_MIRRORS=" + lab.Mirrors,
		"-f", "Kubefile", "-t", ref, "--push"}, append(slices.Clone(args), url+"#main")...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return ref
}

func checkStyle(t *testing.T, ref, platform string, commands, images []string, inBase func(string) bool) {
	t.Helper()
	d := pull(t, ref, platform).describe(t)
	var ran, own []string
	for _, c := range d.Commands {
		ran = append(ran, c.String())
	}
	for _, i := range d.Lock.Images {
		if !inBase(i.Reference) {
			own = append(own, i.Reference)
		}
	}
	slices.Sort(images)
	if !slices.Equal(ran, commands) || !slices.Equal(own, images) {
		t.Errorf("%s: commands\n%s\nwant\n%s\nimages\n%s\nwant\n%s", platform, strings.Join(ran, "\n"), strings.Join(commands, "\n"), strings.Join(own, "\n"), strings.Join(images, "\n"))
	}
}
