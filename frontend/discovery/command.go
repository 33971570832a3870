package discovery

import (
	"strings"

	"github.com/kubefile/kubefile/imagespec"
)

// ruleCommand finds the images that the commands of the cluster image name themselves.
const ruleCommand = "command"

// commandFile stands for the commands in findings: they come from the Kubefile, not from a file of the rootfs.
const commandFile = "CMD"

// readCommands looks for image flags ("kubectl run x --image=nginx") and for pulls ("crictl pull nginx").
func readCommands(c *collector) {
	for i, command := range c.opts.Commands {
		words := strings.Fields(command)
		for j, word := range words {
			finding := imagespec.Finding{File: commandFile, Line: i + 1, Rule: ruleCommand, Class: imagespec.ClassStrong, Chain: []string{command}}
			switch value, ok := strings.CutPrefix(word, "--image="); {
			case ok:
				c.reference(strings.Trim(value, `"'`), finding)
			case word == "--image" && j+1 < len(words):
				c.reference(strings.Trim(words[j+1], `"'`), finding)
			case word == "pull" && j > 0 && j+1 < len(words) && pulls(words[:j]):
				c.reference(strings.Trim(words[j+1], `"'`), finding)
			}
		}
	}
}

// pulls reports whether the words before "pull" are a container runtime's command line: "crictl", "ctr -n k8s.io images".
func pulls(words []string) bool {
	for _, word := range words {
		switch word {
		case "crictl", "ctr", "nerdctl", "docker":
			return true
		}
	}
	return false
}
