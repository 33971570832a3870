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

// target returns the variable that a name refers to: declare -n makes one name a reference to another.
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
	if v.Kind == expand.Indexed && v.List == nil {
		v.List = []string{} // nil would expand to an empty word
	}
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
	type value struct {
		index int // or -1 for the next one
		text  string
	}
	var values []value
	for _, element := range a.Array.Elems { // all of them, for they may be of the array that is set
		i, ok := -1, false
		if element.Index != nil {
			i, ok = s.index(sc, element.Index)
		}
		switch {
		case element.Value == nil:
		case ok:
			text, _ := s.word(sc, element.Value)
			values = append(values, value{i, text})
		default:
			for _, text := range s.fields(sc, []*syntax.Word{element.Value}) {
				values = append(values, value{-1, text})
			}
		}
	}
	sc.put(name, v)
	for _, value := range values {
		if value.index < 0 {
			value.index = next(sc.variables[name])
		}
		setElement(sc, name, value.index, value.text, false)
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
		i = next(sc.variables[name]) // a value at an unknown index is kept, too
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
	i, ok = s.calculate(sc, expr)
	return i, ok && i >= 0
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
