package discovery

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
)

// builtin follows the shell's builtins that change parameters and variables; it returns false for other programs.
func (s *shell) builtin(sc *scope, separators string, words []string, input string) bool {
	args := words[1:]
	switch words[0] {
	case "set":
		setParams(sc, args)
	case "shift":
		n := 1
		if len(args) > 0 {
			n, _ = strconv.Atoi(args[0])
		}
		if n > 0 && n < len(sc.params) { // it fails otherwise, and changes nothing
			sc.params = append(sc.params[:1:1], sc.params[1+n:]...)
		}
	case "unset":
		for _, name := range args {
			name, key, element := strings.Cut(strings.TrimSuffix(name, "]"), "[")
			if element {
				unsetElement(sc, name, key)
			} else {
				delete(sc.variables, name)
			}
		}
	case "printf":
		if len(args) < 2 || args[0] != "-v" {
			return false
		}
		if text, ok := printed(args[2:]); ok {
			sc.set(args[1], text)
		} else {
			sc.set(args[1], "${"+args[1]+"}")
		}
	case "mapfile", "readarray":
		mapfile(sc, args, input)
	case "read":
		readFields(sc, separators, args, input)
	default:
		return false
	}
	return true
}

// unsetElement takes an element out of an array.
func unsetElement(sc *scope, name, key string) {
	v := sc.variables[name]
	if v.Kind == expand.Associative {
		v.Map = maps.Clone(v.Map)
		delete(v.Map, strings.Trim(key, `"'`))
		sc.put(name, v)
		return
	}
	i, err := strconv.Atoi(key)
	if err != nil || v.Kind != expand.Indexed {
		return
	}
	if v.Indexes = slices.Clone(v.Indexes); v.Indexes == nil {
		for at := range v.List {
			v.Indexes = append(v.Indexes, at)
		}
	}
	if at, there := slices.BinarySearch(v.Indexes, i); there {
		v.Indexes = slices.Delete(v.Indexes, at, at+1)
		v.List = slices.Delete(slices.Clone(v.List), at, at+1)
	}
	sc.put(name, v)
}

// setParams follows "set -- a b": options without parameters change nothing here.
func setParams(sc *scope, args []string) {
	for i, arg := range args {
		switch {
		case arg == "--":
		case strings.HasPrefix(arg, "-") || strings.HasPrefix(arg, "+"):
			continue
		case i > 0 && strings.HasPrefix(args[i-1], "-") && strings.HasSuffix(args[i-1], "o"):
			continue // set -o pipefail
		default:
			i--
		}
		sc.params = append(sc.params[:min(1, len(sc.params)):min(1, len(sc.params))], args[i+1:]...)
		return
	}
}

// mapfile sets an array to the lines of the input.
func mapfile(sc *scope, args []string, input string) {
	name, keep := "MAPFILE", true
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "-t":
			keep = false
		case slices.Contains([]string{"-d", "-n", "-O", "-s", "-u", "-C", "-c"}, arg):
			i++
		case !strings.HasPrefix(arg, "-"):
			name = arg
		}
	}
	v := expand.Variable{Set: true, Kind: expand.Indexed}
	for line := range strings.Lines(input) {
		if !keep {
			line = strings.TrimSuffix(line, "\n")
		}
		v.List = append(v.List, line)
	}
	if input == "" {
		v.List = []string{"${" + name + "[@]}"}
	}
	sc.put(name, v)
}

// readFields sets variables, or with -a an array, to the words of the first line of the input.
func readFields(sc *scope, separators string, args []string, input string) {
	var names []string
	array, end := false, "\n"
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case strings.HasPrefix(arg, "-") && strings.HasSuffix(arg, "a"):
			array = true
		case strings.HasPrefix(arg, "-") && strings.HasSuffix(arg, "d") && i+1 < len(args):
			i++
			end = args[i]
		case slices.Contains([]string{"-n", "-N", "-p", "-t", "-u", "-i"}, arg):
			i++
		case !strings.HasPrefix(arg, "-"):
			names = append(names, arg)
		}
	}
	if len(names) == 0 || input == "" {
		return
	}
	line := input
	if end != "" {
		line, _, _ = strings.Cut(input, end)
	}
	fields := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(separators, r) })
	if array {
		sc.put(names[0], expand.Variable{Set: true, Kind: expand.Indexed, List: fields})
		return
	}
	for i, name := range names {
		switch {
		case i >= len(fields):
			sc.set(name, "")
		case i == len(names)-1:
			sc.set(name, strings.Join(fields[i:], separators[:min(1, len(separators))]))
		default:
			sc.set(name, fields[i])
		}
	}
}
