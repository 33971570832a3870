package discovery

import (
	"slices"
	"strings"

	"github.com/kubefile/kubefile/imagespec"
)

// ruleCommand finds the images that the commands of the cluster image name themselves.
const ruleCommand = "command"

// commandFile stands for the commands in findings: they come from the Kubefile, not from a file of the rootfs.
const commandFile = "CMD"

// readCommands looks for image flags ("kubectl run x --image=nginx") and for pulls ("crictl pull nginx"). The line of a finding is the
// number of the command.
func readCommands(c *collector, commands []string) {
	for i, command := range commands {
		for _, word := range commandImages(command) {
			c.reference(strings.Trim(word, `"'`), imagespec.Finding{
				File: commandFile, Line: i + 1, Rule: ruleCommand, Class: imagespec.ClassStrong, Chain: []string{command},
			})
		}
	}
}

// commandImages returns the words of a command line that are images by their place.
func commandImages(line string) []string {
	var images, words []string // words of the command that is read
	end := func() {
		if i := slices.Index(words, "pull"); i > 0 && i+1 < len(words) && slices.ContainsFunc(words[:i], isRuntime) {
			images = append(images, words[len(words)-1]) // the flags and their values stand before it
		}
		words = nil
	}
	for word := range strings.FieldsSeq(line) {
		switch {
		case strings.Trim(word, ";&|") == "":
			end()
			continue
		case strings.ContainsAny(word, "<>"): // a redirection
			continue
		case len(words) > 0 && words[len(words)-1] == "--image":
			images = append(images, strings.TrimRight(word, ";"))
		case strings.HasPrefix(word, "--image="):
			images = append(images, strings.TrimRight(strings.TrimPrefix(word, "--image="), ";"))
		}
		words = append(words, strings.TrimRight(word, ";"))
		if strings.HasSuffix(word, ";") {
			end()
		}
	}
	end()
	return images
}

func isRuntime(word string) bool {
	return slices.Contains([]string{"crictl", "ctr", "nerdctl", "docker"}, word)
}
