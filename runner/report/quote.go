package report

import (
	"strings"

	"github.com/kubefile/kubefile/runner/host"
)

// maxSaid bounds what is repeated of a program's last line.
const maxSaid = 300

// LastLine returns the last line of what a program on a host wrote, which has its reason.
func LastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return Cut(host.WithoutControls(lines[len(lines)-1]), maxSaid)
}

// Cut cuts a text to so many characters.
func Cut(text string, most int) string {
	runes := []rune(text)
	return string(runes[:min(len(runes), most)])
}

// OrUnknown is a text, or what is said in place of an empty one.
func OrUnknown(text string) string {
	if text == "" {
		return "unknown"
	}
	return text
}
