package discovery

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// maxElements bounds the elements of an array.
const maxElements = 2000

// assign sets variables. A value that is not known before the script runs becomes the variable as it is written: "${NAME}".
func (s *shell) assign(sc *scope, assignments []*syntax.Assign) {
	flags := declared(assignments)
	for _, a := range assignments {
		if a.Name == nil {
			continue
		}
		name := sc.target(a.Name.Value)
		switch {
		case a.Naked && strings.Contains(flags, "A"):
			sc.put(name, expand.Variable{Kind: expand.Associative})
		case a.Naked && strings.Contains(flags, "a"):
			sc.put(name, expand.Variable{Set: true, Kind: expand.Indexed})
		case a.Naked:
		case strings.Contains(flags, "n"):
			to, _ := s.word(sc, a.Value)
			sc.put(a.Name.Value, expand.Variable{Set: true, Kind: expand.NameRef, Str: to})
		case a.Array != nil && (strings.Contains(flags, "A") || sc.variables[name].Kind == expand.Associative):
			s.assignMap(sc, name, a)
		case a.Array != nil:
			s.assignArray(sc, name, a)
		case a.Index != nil:
			s.assignElement(sc, name, a)
		default:
			s.assignString(sc, name, a)
		}
	}
}

// declared returns the options of declare, local, readonly and export.
func declared(assignments []*syntax.Assign) string {
	flags := ""
	for _, a := range assignments {
		if a.Name == nil && a.Value != nil && strings.HasPrefix(a.Value.Lit(), "-") {
			flags += a.Value.Lit()
		}
	}
	return flags
}

// target is the variable that a name means: declare -n makes one name stand for another.
func (sc *scope) target(name string) string {
	for range maxShellDepth {
		v := sc.variables[name]
		if v.Kind != expand.NameRef {
			break
		}
		name = v.Str
	}
	return name
}

// put sets a variable. One that is too large is not known.
func (sc *scope) put(name string, v expand.Variable) {
	size := 0
	for _, value := range v.List {
		size += len(value)
	}
	if size > maxShellText || len(v.List) > maxElements || len(v.Map) > maxElements {
		v = expand.Variable{Set: true, Kind: expand.Indexed, List: []string{"${" + name + "[@]}"}}
	}
	sc.variables[name] = v
}

func (s *shell) assignString(sc *scope, name string, a *syntax.Assign) {
	value, ok := s.word(sc, a.Value)
	if !ok {
		value = "${" + name + "}"
	}
	before := sc.variables[name]
	if before.Kind == expand.Indexed { // a string is its first element
		setElement(sc, name, 0, value, a.Append)
		return
	}
	if a.Append {
		value = before.String() + value
	}
	if len(value) <= maxShellText {
		sc.set(name, value)
	}
}

// assignMap follows name=([key]=value …) of an associative array.
func (s *shell) assignMap(sc *scope, name string, a *syntax.Assign) {
	v := expand.Variable{Set: true, Kind: expand.Associative, Map: map[string]string{}}
	if a.Append {
		maps.Copy(v.Map, sc.variables[name].Map)
	}
	for _, element := range a.Array.Elems {
		if key, ok := s.key(sc, element.Index); ok && element.Value != nil {
			v.Map[key], _ = s.word(sc, element.Value)
		}
	}
	sc.put(name, v)
}

// assignArray follows name=(…) and name+=(…).
func (s *shell) assignArray(sc *scope, name string, a *syntax.Assign) {
	before := sc.variables[name]
	v := expand.Variable{Set: true, Kind: expand.Indexed}
	switch {
	case a.Append && before.Kind == expand.Indexed:
		v.List, v.Indexes = slices.Clone(before.List), slices.Clone(before.Indexes)
	case a.Append && before.Set:
		v.List = []string{before.Str}
	}
	sc.put(name, v)
	for _, element := range a.Array.Elems {
		if element.Value == nil {
			continue
		}
		if element.Index != nil {
			if i, ok := s.index(sc, element.Index); ok {
				value, _ := s.word(sc, element.Value)
				setElement(sc, name, i, value, false)
				continue
			}
		}
		for _, value := range s.fields(sc, []*syntax.Word{element.Value}) {
			setElement(sc, name, next(sc.variables[name]), value, false)
		}
	}
}

// assignElement follows name[i]=value.
func (s *shell) assignElement(sc *scope, name string, a *syntax.Assign) {
	value, _ := s.word(sc, a.Value)
	if before := sc.variables[name]; before.Kind == expand.Associative {
		key, ok := s.key(sc, a.Index)
		if !ok {
			return
		}
		v := expand.Variable{Set: true, Kind: expand.Associative, Map: maps.Clone(before.Map)}
		if v.Map == nil {
			v.Map = map[string]string{}
		}
		if a.Append {
			value = v.Map[key] + value
		}
		v.Map[key] = value
		sc.put(name, v)
		return
	}
	i, ok := s.index(sc, a.Index)
	if !ok {
		i = next(sc.variables[name]) // what is kept at a place that is not known is kept nevertheless
	}
	setElement(sc, name, i, value, a.Append && ok)
}

// next is the index after the last one of an array.
func next(v expand.Variable) int {
	if n := len(v.Indexes); n > 0 {
		return v.Indexes[n-1] + 1
	}
	return len(v.List)
}

// setElement sets one element of an indexed array, which may have gaps.
func setElement(sc *scope, name string, i int, value string, appended bool) {
	v := expand.Variable{Set: true, Kind: expand.Indexed}
	switch before := sc.variables[name]; {
	case before.Kind == expand.Indexed:
		v.List, v.Indexes = slices.Clone(before.List), slices.Clone(before.Indexes)
	case before.Set:
		v.List = []string{before.String()}
	}
	if v.Indexes == nil && i > len(v.List) {
		for at := range v.List {
			v.Indexes = append(v.Indexes, at)
		}
	}
	at, there := min(i, len(v.List)), i < len(v.List)
	if v.Indexes != nil || i > len(v.List) {
		at, there = slices.BinarySearch(v.Indexes, i)
	}
	switch {
	case there && appended:
		v.List[at] += value
	case there:
		v.List[at] = value
	default:
		if v.Indexes != nil || i > len(v.List) {
			v.Indexes = slices.Insert(v.Indexes, at, i)
		}
		v.List = slices.Insert(v.List, at, value)
	}
	sc.put(name, v)
}

// index computes the index of an element; it is not known if a part of it is not.
func (s *shell) index(sc *scope, expr syntax.ArithmExpr) (i int, ok bool) {
	if word, plain := expr.(*syntax.Word); plain {
		if text, known := s.word(sc, word); known {
			if n, err := strconv.Atoi(text); err == nil {
				return n, n >= 0
			}
		}
	}
	err := s.expanding(sc, func(config *expand.Config) (err error) {
		config.NoUnset = false
		i, err = expand.Arithm(config, expr)
		return err
	})
	return i, err == nil && i >= 0
}

// key is the key of an element of an associative array.
func (s *shell) key(sc *scope, expr syntax.ArithmExpr) (string, bool) {
	word, ok := expr.(*syntax.Word)
	if !ok || word == nil {
		return "", false
	}
	return s.word(sc, word)
}

// declare follows declare, local, readonly and export. What a function declares is its own.
func (s *shell) declare(sc *scope, clause *syntax.DeclClause) {
	global := strings.Contains(declared(clause.Args), "g")
	variant := clause.Variant.Value
	own := sc.hidden != nil && !global && variant != "export" && variant != "readonly"
	for _, a := range clause.Args {
		if a.Name == nil || !own {
			continue
		}
		name := a.Name.Value
		before, known := sc.variables[name]
		if _, hidden := sc.hidden[name]; !hidden {
			sc.hidden[name] = hiddenVariable{before, known}
		}
		if a.Naked || a.Append {
			delete(sc.variables, name)
		}
	}
	s.assign(sc, clause.Args)
}

// hiddenVariable is a variable while a function has one of the same name.
type hiddenVariable struct {
	variable expand.Variable
	known    bool
}

// restore gives the variables back that a function had of its own.
func (sc *scope) restore() {
	for name, before := range sc.hidden {
		if before.known {
			sc.variables[name] = before.variable
		} else {
			delete(sc.variables, name)
		}
	}
}

// builtin follows the programs of the shell itself that change parameters and variables; false if it is none of them.
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
			if name, _, element := strings.Cut(name, "["); !element {
				delete(sc.variables, name)
			}
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
	array := false
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case strings.HasPrefix(arg, "-") && strings.HasSuffix(arg, "a"):
			array = true
		case slices.Contains([]string{"-d", "-n", "-N", "-p", "-t", "-u", "-i"}, arg):
			i++
		case !strings.HasPrefix(arg, "-"):
			names = append(names, arg)
		}
	}
	if len(names) == 0 || input == "" {
		return
	}
	line, _, _ := strings.Cut(input, "\n")
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
