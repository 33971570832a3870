package commandline

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/kubefile/kubefile/imagespec/clusterfile"
)

// keep makes a tree of commands keep the contract.
//
// ArgsUsage is what a command takes: none if it is empty, one argument unless it has "…" in it, at least one unless it begins with "[",
// and only words that can name an image if it has IMAGE in it.
func keep(program *cli.Command, args []string) *keeper {
	k := &keeper{program: program, args: args, misread: map[cli.Flag]error{}}
	program.ArgValidator = k.arguments
	program.ExitErrHandler = func(context.Context, *cli.Command, error) {} // Execute decides about exit statuses
	program.Commands = append(program.Commands, k.help())
	k.command(program)
	return k
}

// keeper watches one run of a program.
type keeper struct {
	program *cli.Command
	args    []string
	called  *cli.Command // nil until its flags are read
	failed  error        // of the value of a flag; the library passes on its text only, with the value in it
	noHelp  error        // of --help for a word that is not a command

	misread map[cli.Flag]error // of the environment variables of flags
}

func (k *keeper) command(cmd *cli.Command) {
	cmd.OnUsageError, cmd.CommandNotFound = k.usageError, k.noHelpFor
	cmd.HideHelpCommand = true
	cmd.DisableSliceFlagSeparator = true // values have commas
	if cmd.Action == nil {
		cmd.Action = func(_ context.Context, cmd *cli.Command) error {
			return Usagef("no command given; there are %s", strings.Join(commandNames(cmd), ", "))
		}
	}
	for i, flag := range cmd.Flags {
		k.flag(flag)
		if list, ok := flag.(*cli.StringSliceFlag); ok {
			cmd.Flags[i] = listFlag{list}
		}
	}
	for _, sub := range cmd.Commands {
		k.command(sub)
	}
}

// flag makes a flag be of its own command only, refuse an empty value, a second one, and another flag as its value. A list takes values.
func (k *keeper) flag(flag cli.Flag) {
	switch f := flag.(type) {
	case *cli.BoolFlag:
		guard(k, f, k.empty(f.Names()), true)
	case *cli.DurationFlag:
		guard(k, f, func(time.Duration) string { return "a duration" }, true) // the library refuses what is none
	case *cli.StringFlag:
		guard(k, f, func(value string) string { return value }, true)
	case *cli.StringSliceFlag:
		guard(k, f, func(values []string) string { return values[len(values)-1] }, false)
	default:
		panic(fmt.Sprintf("flag --%s is of a type that the contract does not know", flag.Names()[0]))
	}
}

// listFlag is a repeatable flag whose help shows its names once, as that of other flags does. The usage says that it is repeatable.
type listFlag struct{ *cli.StringSliceFlag }

var _ cli.DocGenerationMultiValueFlag = listFlag{}

func (listFlag) IsMultiValueFlag() bool { return false }

func (f listFlag) String() string { return cli.FlagStringer(f) }

// guard puts the checks of the contract before those of the flag. text returns the newest value as it was written, and single
// means that there may be only one.
func guard[T, C any, V cli.ValueCreator[T, C]](k *keeper, f *cli.FlagBase[T, C, V], text func(T) string, single bool) {
	own, times := f.Validator, 0
	f.Local = true
	k.misread[f] = readVariable(f, own)
	f.Validator = func(all T) error {
		times++
		value := text(all)
		switch {
		case single && times > 1:
			k.failed = Usagef("flag %s is given more than once", spelled(f.Names()))
		case strings.TrimSpace(value) == "":
			k.failed = emptyValue(f.Names())
		case strings.HasPrefix(value, "-") && value != "-":
			k.failed = Usagef("flag %s needs a value, and a value does not begin with a dash", spelled(f.Names()))
		case own != nil:
			if err := own(all); err != nil {
				k.failed = Usagef("flag %s: %v", spelled(f.Names()), err)
			}
		}
		return k.failed
	}
}

// emptyValue is the error about a value that was given, and is empty: a default in its place could be another cluster.
func emptyValue(names []string) error {
	return Usagef("flag %s: the value is empty; is a variable of the shell not set?", spelled(names))
}

// empty returns the value of a flag that is given or not, which is empty in --yes= only: the library reads that as true.
func (k *keeper) empty(names []string) func(bool) string {
	return func(value bool) string {
		for _, name := range names {
			if slices.ContainsFunc(k.args, func(arg string) bool { return arg == "-"+name+"=" || arg == "--"+name+"=" }) {
				return ""
			}
		}
		return strconv.FormatBool(value)
	}
}

// spelled is a flag with its names, as a person writes them: --masters (-m).
func spelled(names []string) string {
	var all []string
	for _, name := range names {
		all = append(all, dashed(name))
	}
	if len(all) == 1 {
		return all[0]
	}
	return fmt.Sprintf("%s (%s)", all[0], strings.Join(all[1:], ", "))
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// What the library says about flags. It has no types for that; TestEveryFlag fails when it says something else.
const (
	unknownFlag = "flag provided but not defined: -"
	noValue     = "flag needs an argument: "
)

// missing is about a required flag that was not given.
var missing = regexp.MustCompile(`^Required flag "([^"]+)" not set$`)

// wrongValue is about a value that the library reads itself: true or false, or a duration.
var wrongValue = regexp.MustCompile(`(?s)^invalid value (.*) for flag -([^ ]+): `)

// usageError explains what the library found wrong with flags.
func (k *keeper) usageError(_ context.Context, cmd *cli.Command, err error, _ bool) error {
	if k.failed != nil {
		return k.failed
	}
	if problem := k.words(cmd); problem != nil && cmd == k.program {
		return problem // a flag of a command that does not exist is unknown, too
	}
	text := err.Error()
	if name, ok := strings.CutPrefix(text, unknownFlag); ok {
		return k.unknown(cmd, name)
	}
	if name, ok := strings.CutPrefix(text, noValue); ok {
		return Usagef("flag %s needs a value", name)
	}
	if match := missing.FindStringSubmatch(text); match != nil {
		return Usagef("flag %s is missing", dashed(match[1]))
	}
	if match := wrongValue.FindStringSubmatch(text); match != nil {
		return wrong(cmd, match[1], match[2])
	}
	return Usagef("%s", text)
}

// wrong is the error about a value, quoted by the library, that is not of the flag's type.
func wrong(cmd *cli.Command, value, name string) error {
	for _, flag := range cmd.Flags {
		_, isDuration := flag.(*cli.DurationFlag)
		switch {
		case !isDuration || !slices.Contains(flag.Names(), name):
			continue
		case value == `""`:
			return emptyValue(flag.Names())
		}
		return Usagef("flag %s %s", dashed(name), needs(time.Duration(0)))
	}
	return Usagef("flag %s is either given or not; its value can only be true or false, as in %[1]s=false", dashed(name))
}

// unknown is the error about a flag that a command does not have. A value that is glued to a short flag may be a secret, and is not shown.
func (k *keeper) unknown(cmd *cli.Command, name string) error {
	of := ""
	if cmd != k.program {
		of = " for " + commandPath(cmd)
	}
	glued := slices.ContainsFunc(k.args, func(arg string) bool { return arg == "-"+name || strings.HasPrefix(arg, "-"+name+"=") })
	var long []string
	for _, flag := range cmd.Flags {
		for _, known := range flag.Names() {
			switch {
			case len(known) > 1:
				long = append(long, known)
			case glued && len(name) > 1 && strings.HasPrefix(name, known) && takesValue(flag):
				return Usagef("unknown flag -%s…%s; write the value of -%[1]s as a word of its own", known, of)
			}
		}
	}
	if like := clusterfile.Nearest(name, long); like != "" && len(name) > 1 {
		return Usagef("unknown flag %s%s; did you mean %s?", dashed(printable(name)), of, dashed(like))
	}
	return Usagef("unknown flag %s%s", dashed(printable(name)), of)
}

func takesValue(flag cli.Flag) bool {
	_, isBool := flag.(*cli.BoolFlag)
	return !isBool
}

// commandPath is a command without the name of the program: "registry serve".
func commandPath(cmd *cli.Command) string {
	_, path, _ := strings.Cut(cmd.FullName(), " ")
	return path
}
