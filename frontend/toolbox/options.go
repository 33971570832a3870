package toolbox

import (
	"fmt"
	"strings"
)

// option is one that a program knows, by its long name; short and argument say how it may be written.
type option struct {
	long     string
	short    byte // 0: none
	argument bool
}

// line is a parsed command line.
type line struct {
	values   map[string][]string // by long name; a switch has ""
	operands []string
}

// parseLine reads a command line as GNU's getopt does: options and operands in any order, short options joined, values attached or
// following, "--" before the last operands. shorthands are two-letter options with one dash, by their long names.
func parseLine(options []option, shorthands map[string]string, args []string) (*line, error) {
	l := &line{values: map[string][]string{}}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		var err error
		switch {
		case arg == "--":
			l.operands = append(l.operands, args...)
			return l, nil
		case shorthands[arg] != "":
			l.set(shorthands[arg], "")
		case strings.HasPrefix(arg, "--"):
			args, err = l.long(options, arg[2:], args)
		case strings.HasPrefix(arg, "-") && arg != "-":
			args, err = l.short(options, arg[1:], args)
		default:
			l.operands = append(l.operands, arg)
		}
		if err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *line) long(options []option, arg string, rest []string) ([]string, error) {
	name, value, attached := strings.Cut(arg, "=")
	for _, o := range options {
		if o.long != name {
			continue
		}
		switch {
		case !o.argument && attached:
			return nil, fmt.Errorf("the option --%s takes no value", name)
		case o.argument && !attached && len(rest) == 0:
			return nil, fmt.Errorf("the option --%s needs a value", name)
		case o.argument && !attached:
			value, rest = rest[0], rest[1:]
		}
		l.set(name, value)
		return rest, nil
	}
	return nil, fmt.Errorf("the option --%s is not known to the toolbox", name)
}

func (l *line) short(options []option, letters string, rest []string) ([]string, error) {
	for i := range len(letters) {
		o, err := byLetter(options, letters[i])
		if err != nil {
			return nil, err
		}
		if !o.argument {
			l.set(o.long, "")
			continue
		}
		value := letters[i+1:]
		if value == "" {
			if len(rest) == 0 {
				return nil, fmt.Errorf("the option -%c needs a value", o.short)
			}
			value, rest = rest[0], rest[1:]
		}
		l.set(o.long, value)
		break
	}
	return rest, nil
}

func byLetter(options []option, letter byte) (option, error) {
	for _, o := range options {
		if o.short == letter {
			return o, nil
		}
	}
	return option{}, fmt.Errorf("the option -%c is not known to the toolbox", letter)
}

func (l *line) set(name, value string)   { l.values[name] = append(l.values[name], value) }
func (l *line) has(name string) bool     { return len(l.values[name]) > 0 }
func (l *line) all(name string) []string { return l.values[name] }

// last returns the last value of an option, or the default if there is none.
func (l *line) last(name, otherwise string) string {
	if v := l.values[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return otherwise
}
