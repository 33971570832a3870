package kubefile

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/kubefile/kubefile/imagespec"
	"github.com/kubefile/kubefile/llb"
)

// statement is an instruction that a Dockerfile has not.
type statement struct {
	name       string
	location   []parser.Range
	comments   []string // before it
	dockerfile string   // what it is in a Dockerfile; empty: nothing
	app        *App
	launch     []Launch
	commands   []imagespec.Command
}

func (s statement) place() Place { return Place{Location: s.location, Comments: s.comments} }

// statements are the instructions that a Dockerfile has not.
var statements = map[string]func(*parser.Node) (statement, error){
	"APP":         readApp,
	"CNI":         readCluster(imagespec.RoleCNI),
	"CSI":         readCluster(imagespec.RoleCSI),
	"LAUNCH":      readLaunch,
	"CMDS":        readCommands,
	"KUBEVERSION": readKubernetesVersion,
}

// arguments reads the text after the keyword like COPY: flags, then a JSON list or words.
func arguments(node *parser.Node, keyword string) (flags map[string][]string, words []string, isJSON bool, err error) {
	rest := strings.TrimPrefix(strings.TrimSpace(node.Original), node.Value)
	parsed, err := parser.Parse(strings.NewReader(keyword + rest))
	if err != nil {
		return nil, nil, false, err
	}
	line := parsed.AST.Children[0]
	flags = map[string][]string{}
	for _, flag := range line.Flags {
		name, value, ok := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
		if !ok || value == "" {
			return nil, nil, false, fmt.Errorf("the flag %s needs a value: %s=VALUE", flag, flag)
		}
		flags[name] = append(flags[name], value)
	}
	for n := line.Next; n != nil; n = n.Next {
		words = append(words, n.Value)
	}
	return flags, words, line.Attributes["json"], nil
}

func checkFlags(flags map[string][]string, known ...string) error {
	for name := range flags {
		if !slices.Contains(known, name) {
			if len(known) == 0 {
				return fmt.Errorf("it has no flags, and so no --%s", name)
			}
			return fmt.Errorf("it has no flag --%s, only --%s", name, strings.Join(known, ", --"))
		}
	}
	return nil
}

// App is an APP, CNI or CSI instruction.
type App struct {
	Name     string
	Role     string // imagespec.RoleCNI, imagespec.RoleCSI, or empty
	Location []parser.Range
}

func readApp(node *parser.Node) (statement, error) {
	flags, words, _, err := arguments(node, "COPY")
	if err != nil {
		return statement{}, err
	}
	if len(words) < 2 {
		return statement{}, errors.New("it needs a name and the place of the application: APP NAME local://PATH | https://… | helm://REPOSITORY/CHART@VERSION | oci://REFERENCE …")
	}
	return newApp(node, "APP", App{Name: words[0]}, words[1:], flags)
}

// readCluster reads CNI and CSI, whose name may be left out.
func readCluster(role string) func(*parser.Node) (statement, error) {
	return func(node *parser.Node) (statement, error) {
		flags, words, _, err := arguments(node, "COPY")
		if err != nil {
			return statement{}, err
		}
		if len(words) == 0 {
			return statement{}, errors.New("it needs the path or URL of manifests or a chart")
		}
		app := App{Name: role, Role: role}
		if len(words) > 1 && imagespec.CheckAppName(words[0]) == nil {
			app.Name, words = words[0], words[1:]
		}
		return newApp(node, strings.ToUpper(role), app, words, flags)
	}
}

func newApp(node *parser.Node, keyword string, app App, sources []string, flags map[string][]string) (statement, error) {
	if err := imagespec.CheckAppName(app.Name); err != nil {
		return statement{}, err
	}
	if err := checkFlags(flags, "checksum"); err != nil {
		return statement{}, err
	}
	app.Location = node.Location()
	line, err := placed(sources, "/"+imagespec.ApplicationsDir+"/"+app.Name+"/", flags["checksum"])
	return statement{name: keyword, location: app.Location, dockerfile: line, app: &app}, err
}

// placed returns the instruction of a Dockerfile that puts the sources into the directory.
func placed(sources []string, directory string, checksums []string) (string, error) {
	var files, charts []string
	remote := false
	for _, source := range sources {
		switch scheme, rest, found := strings.Cut(source, "://"); {
		case !found:
			files = append(files, source)
		case scheme == "local":
			files = append(files, strings.TrimPrefix(rest, "/"))
		case scheme == "http" || scheme == "https":
			files = append(files, source)
			remote = true
		case scheme == "helm" || scheme == "helm+http" || scheme == "oci":
			charts = append(charts, source)
		default:
			return "", fmt.Errorf("%s: known are local://, http://, https://, helm:// and oci://", source)
		}
	}
	var flags []string
	for _, sum := range checksums {
		flags = append(flags, "--checksum="+sum)
	}
	switch {
	case len(charts) > 0 && len(files) > 0:
		return "", errors.New("each chart from a repository needs an instruction of its own; one application may have several")
	case len(checksums) > 0 && len(sources) > 1:
		return "", errors.New("--checksum is for a single source; there may be several instructions for one application")
	case len(charts) > 0:
		return "RUN " + list(slices.Concat([]string{llb.ChartProgram}, flags, charts, []string{directory})), nil
	case remote || len(checksums) > 0:
		return strings.Join(append([]string{"ADD --unpack=false"}, append(flags, list(append(files, directory)))...), " "), nil
	}
	return "COPY " + list(append(files, directory)), nil
}

// Launch specifies that an application is started, with options if it is a chart or manifests.
type Launch struct {
	App       string
	Namespace string   // empty: the application's own
	Values    []string // files, relative to the rootfs
	Set       []string // NAME=VALUE
}

func readLaunch(node *parser.Node) (statement, error) {
	flags, words, _, err := arguments(node, "COPY")
	if err != nil {
		return statement{}, err
	}
	if err := checkFlags(flags, "namespace", "values", "set"); err != nil {
		return statement{}, err
	}
	if len(words) == 0 {
		return statement{}, errors.New("it needs the names of applications: LAUNCH APP …")
	}
	if len(flags["namespace"]) > 1 {
		return statement{}, errors.New("--namespace can be given once")
	}
	s := statement{name: "LAUNCH", location: node.Location()}
	for _, name := range words {
		if err := imagespec.CheckAppName(name); err != nil {
			return s, err
		}
		l := Launch{App: name, Values: flags["values"], Set: flags["set"]}
		if given := flags["namespace"]; len(given) == 1 {
			l.Namespace = given[0]
		}
		s.launch = append(s.launch, l)
	}
	return s, nil
}

func readCommands(node *parser.Node) (statement, error) {
	flags, words, isJSON, err := arguments(node, "CMD")
	if err != nil {
		return statement{}, err
	}
	if err := checkFlags(flags); err != nil {
		return statement{}, err
	}
	s := statement{name: "CMDS", location: node.Location()}
	if !isJSON {
		words = []string{strings.Join(words, " ")}
	}
	for _, line := range words {
		if strings.TrimSpace(line) == "" {
			return s, errors.New("it needs a list of command lines: CMDS [\"kubectl apply -f a.yaml\", …]")
		}
		s.commands = append(s.commands, imagespec.Command{Shell: line})
	}
	return s, nil
}

func readKubernetesVersion(node *parser.Node) (statement, error) {
	flags, words, _, err := arguments(node, "COPY")
	if err != nil {
		return statement{}, err
	}
	if err := checkFlags(flags); err != nil {
		return statement{}, err
	}
	text := strings.Trim(strings.Join(words, " "), `"'`)
	if _, err := imagespec.ParseRange(text); err != nil {
		return statement{}, err
	}
	return statement{name: "KUBEVERSION", location: node.Location(), dockerfile: fmt.Sprintf("LABEL %s=%q", imagespec.LabelSupportedKubernetes, text)}, nil
}

func list(words []string) string {
	if words == nil {
		return "[]"
	}
	dt, _ := json.Marshal(words) // strings always marshal
	return string(dt)
}
