package discovery

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/kubefile/kubefile/imagespec"
)

// install is one way in which a command installs a chart.
type install struct {
	chart     string // directory or archive in the rootfs
	release   string
	namespace string
	noHooks   bool
	// skipSchema disables the validation of values.
	skipSchema bool
	guessed    bool // because nothing is known to install the chart
	values     ValueSet
	dir        string            // where the command runs
	input      string            // its standard input
	at         imagespec.Finding // of the command; without a file for none
}

// helm notes the chart that a helm command installs (https://helm.sh/docs/helm/helm_install/, and the same of upgrade and template).
func (c *collector) helm(p program) {
	in := install{dir: p.dir, input: p.input, at: p.at, namespace: "default"}
	flags := helmFlags(&in)
	if err := flags.Parse(p.words[1:]); err != nil {
		if !errors.Is(err, pflag.ErrHelp) {
			c.usage.unclear = true
			c.problem(p.at.File, p.at.Line, false, "helm command not followed: %v", err)
		}
		return
	}
	args := flags.Args()
	if len(args) < 2 || !slices.Contains([]string{"install", "upgrade", "template"}, args[0]) {
		return
	}
	named := 3 // the verb, the release, the chart
	if generate, _ := flags.GetBool("generate-name"); generate {
		named = 2
	}
	for i := len(args) - 1; i > 0 && len(args) > named; i-- {
		if word := args[i]; strings.HasPrefix(strings.Trim(word, `"`), "$") || strings.Contains(word, "`") {
			c.problem(p.at.File, p.at.Line, false, "the helm command is followed without %s, which is known only at run time: its settings may need other images", word)
			args = slices.Delete(slices.Clone(args), i, i+1)
		}
	}
	chart := args[len(args)-1]
	if len(args) > 2 {
		in.release, chart = args[1], args[2]
	}
	if repo, _ := flags.GetString("repo"); repo != "" || strings.Contains(chart, "://") {
		c.problem(p.at.File, p.at.Line, !c.partial, "the chart %s is not in the rootfs, so its images are unknown: add it to the rootfs (helm pull) and install it from there", chart)
		return
	}
	in.chart = within(p.dir, chart)
	info, err := fs.Stat(c.fsys, in.chart)
	if err == nil && info.IsDir() && c.partial && !c.has(in.chart, "Chart.yaml") {
		c.beyond = true // files for a chart of the rest
		return
	}
	if err != nil {
		c.usage.unclear = c.usage.unclear || strings.ContainsAny(chart, "$`*")
		c.needsRest(p, in.values.Files...)
		if !c.partial {
			known := !strings.Contains(chart, "$")
			c.problem(p.at.File, p.at.Line, known, "the chart %s is not in the rootfs, so its images are unknown: add it to the rootfs (helm pull) and install it from there", chart)
		}
		return
	}
	if slices.ContainsFunc(in.values.Files, func(name string) bool { return !strings.ContainsAny(name, "$:") && name != "-" && !c.has(p.dir, name) }) {
		c.needsRest(p)
	}
	same := func(other install) bool { return other.equal(in) }
	if !slices.ContainsFunc(c.usage.installs, same) {
		c.usage.installs = append(c.usage.installs, in)
	}
}

// has reports whether there is a file, as a program in the directory names it.
func (c *collector) has(dir, name string) bool {
	_, err := fs.Stat(c.fsys, within(dir, name))
	return err == nil
}

func (in install) equal(other install) bool {
	return in.chart == other.chart && in.release == other.release && in.namespace == other.namespace && in.noHooks == other.noHooks && in.skipSchema == other.skipSchema &&
		in.dir == other.dir && in.input == other.input && in.values.equal(other.values)
}

// helmFlags are the flags that change what is installed, and those without a value, so that what follows them is not taken for one.
func helmFlags(in *install) *pflag.FlagSet {
	f := pflag.NewFlagSet("helm", pflag.ContinueOnError)
	f.ParseErrorsAllowlist.UnknownFlags = true
	f.StringVarP(&in.namespace, "namespace", "n", "default", "")
	f.StringSliceVarP(&in.values.Files, "values", "f", nil, "")
	f.StringArrayVar(&in.values.Set, "set", nil, "")
	f.StringArrayVar(&in.values.SetString, "set-string", nil, "")
	f.StringArrayVar(&in.values.SetFile, "set-file", nil, "")
	f.StringArrayVar(&in.values.SetJSON, "set-json", nil, "")
	f.StringArrayVar(&in.values.SetLiteral, "set-literal", nil, "")
	f.StringVar(&in.release, "name", "", "") // Helm 2
	f.BoolVar(&in.noHooks, "no-hooks", false, "")
	f.BoolVar(&in.skipSchema, "skip-schema-validation", false, "")
	f.String("repo", "", "")
	f.BoolP("generate-name", "g", false, "")
	f.BoolP("install", "i", false, "")
	for _, name := range []string{
		"atomic", "cleanup-on-fail", "create-namespace", "debug", "dependency-update", "devel", "disable-openapi-validation", "enable-dns",
		"force", "force-conflicts", "force-replace", "hide-notes", "hide-secret", "include-crds", "insecure-skip-tls-verify", "is-upgrade",
		"kube-insecure-skip-tls-verify", "pass-credentials", "plain-http", "render-subchart-notes", "replace", "reset-then-reuse-values",
		"reset-values", "reuse-values", "rollback-on-failure", "skip-crds", "skip-tests", "take-ownership",
		"validate", "verify", "wait-for-jobs",
	} {
		f.Bool(name, false, "")
	}
	for _, name := range []string{"dry-run", "wait", "server-side"} {
		f.String(name, "", "")
		f.Lookup(name).NoOptDefVal = "true"
	}
	return f
}
