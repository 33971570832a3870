package commandline

import (
	"cmp"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
)

// variable is the name of an environment variable, for the help text of a flag. The library would read it for commands without the flag,
// too, and could not tell it from a flag that was given.
type variable struct{ name string }

var (
	_ cli.ValueSource    = variable{}
	_ cli.EnvValueSource = variable{}
)

func (v variable) String() string       { return "environment variable " + v.name }
func (v variable) GoString() string     { return v.String() }
func (variable) Lookup() (string, bool) { return "", false }
func (variable) IsFromEnv() bool        { return true }
func (v variable) Key() string          { return v.name }

// Variable returns the value of an environment variable, and nothing when it is not set. A variable that is set to nothing is an error in the
// call, as an empty value of a flag is: more often than not a variable of the caller has another name.
func Variable(name string) (string, error) {
	value, set := os.LookupEnv(name)
	if set && strings.TrimSpace(value) == "" {
		return "", Usagef("environment variable %s: the value is empty; unset it, or give it one", name)
	}
	return value, nil
}

// readVariable makes the value of a flag's environment variable its default. The first variable that is set counts; what is wrong
// with it is an error of the commands with the flag, where the flag is not given.
func readVariable[T, C any, V cli.ValueCreator[T, C]](f *cli.FlagBase[T, C, V], check func(T) error) error {
	names := f.Sources.EnvKeys()
	f.Sources = cli.ValueSourceChain{}
	for _, name := range names {
		f.Sources.Chain = append(f.Sources.Chain, variable{name})
	}
	for _, name := range names {
		text, err := Variable(name)
		if err != nil {
			return err
		}
		if text == "" {
			continue
		}
		var creator V
		var value T
		if err := creator.Create(f.Value, &value, f.Config).Set(text); err != nil {
			return Usagef("environment variable %s %s", name, needs(f.Value))
		}
		if check != nil {
			if err := check(value); err != nil {
				return Usagef("environment variable %s: %v", name, err)
			}
		}
		f.DefaultText = cmp.Or(f.DefaultText, f.GetValue())
		f.Value = value
		return nil
	}
	return nil
}

// needs is which values a type has that the library reads.
func needs(value any) string {
	if _, is := value.(time.Duration); is {
		return "needs a value such as 90s or 10m"
	}
	return "needs to be true or false"
}

// variables is what is wrong with environment variables of a command whose flags were not given.
func (k *keeper) variables(cmd *cli.Command) error {
	for _, flag := range cmd.Flags {
		if err := k.misread[flag]; err != nil && !flag.IsSet() {
			return err
		}
	}
	return nil
}
