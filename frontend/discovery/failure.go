package discovery

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// failure is why a chart, or one template of it, does not render.
type failure struct {
	template string // empty when not known
	line     int    // 0 when not known
	message  string
	value    string // the missing value, such as "ingress.host"; empty when not known
	// incomplete charts lack a dependency: they cannot be installed by anyone.
	incomplete bool
	// passed reports that rendering ignored the failure of a template.
	passed bool
	// elsewhere reports that the chart refuses a cluster in which nothing is installed. The content of the site's cluster is unknown.
	elsewhere bool
	// refused values are not what the chart's schema asks for: Helm would not install it.
	refused bool
}

// errorPlace is where the engine's errors name the outermost template: "... at (web/templates/a.yaml:3:5): ...", or at the beginning.
var errorPlace = regexp.MustCompile(`(?:^|^template: |\()([^\s():]+/[^\s():]+):(\d+)`)

// located returns the place of an error of the engine, and the value that it names.
func located(err error) failure {
	f := failure{message: err.Error()}
	if match := errorPlace.FindStringSubmatch(f.message); match != nil {
		f.template = match[1]
		f.line, _ = strconv.Atoi(match[2])
		if match := valuePath.FindStringSubmatch(f.message); match != nil {
			f.value = inParent(f.template, match[1])
		}
	}
	return f
}

// valuePath is a value in a template: .Values.a.b, or (.Values.a).b.
var valuePath = regexp.MustCompile(`\.Values\.(\w+(?:\)*\.\w+)*)`)

// refused returns what a template refused with a message of its own: it finds the line that has the message, and the value that either
// names.
func refused(sources map[string][]byte, message string) failure {
	f := failure{message: message}
	if match := valuePath.FindStringSubmatch(message); match != nil {
		f.value = match[1]
	}
	if message == "" {
		return f
	}
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		line := 0
		for text := range strings.SplitSeq(string(sources[name]), "\n") {
			line++
			before, after, found := strings.Cut(text, message)
			if !found {
				continue
			}
			f.template, f.line = name, line
			if f.value != "" {
				return f
			}
			if match := valuePath.FindStringSubmatch(after); match != nil {
				f.value = inParent(name, match[1])
			} else if matches := valuePath.FindAllStringSubmatch(before, -1); matches != nil {
				f.value = inParent(name, matches[len(matches)-1][1])
			}
			return f
		}
	}
	return f
}

// inParent returns the path of a template's value for the chart that is installed: values of a subchart are below its name.
func inParent(template, value string) string {
	if strings.HasPrefix(value, "global.") {
		return value
	}
	value = strings.ReplaceAll(value, ")", "")
	scope := ""
	parts := strings.Split(template, "/")
	for i := 1; i+1 < len(parts) && parts[i] == "charts"; i += 2 {
		scope += parts[i+1] + "."
	}
	return scope + value
}
