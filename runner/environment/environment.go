// Package environment is what scripts, commands and templates of a cluster image see: variables in a fixed precedence, and the files
// that are rendered from them.
package environment

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Set is an environment by name. A name may be anything that a process can have, such as "docker-dir", not only a shell identifier.
type Set map[string]Value

// Value is the value of a variable: one string, or a list of several where its name was given several times.
type Value []string

// String is the value as a process sees it: the items of a list with a blank between them.
func (v Value) String() string { return strings.Join(v, " ") }

// MarshalJSON writes a string, or the list.
func (v Value) MarshalJSON() ([]byte, error) { return json.Marshal(v.data()) }

// UnmarshalJSON is the inverse of MarshalJSON.
func (v *Value) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*v = Value{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(v))
}

// data is the value as a template sees it.
func (v Value) data() any {
	if len(v) == 1 {
		return v[0]
	}
	return []string(v)
}

// Parse reads "name=value" pairs. A name that is repeated has the list of its values.
func Parse(pairs []string) (Set, error) {
	set := Set{}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, errors.New("environment variable without a name: write it as name=value") // what is there may be the value
		}
		if err := Check(name, value); err != nil {
			return nil, err
		}
		set[name] = append(set[name], value)
	}
	return set, nil
}

// Check says whether a process can have such a variable. The value is in no error: it may be a secret.
func Check(name, value string) error {
	if name == "" || name[0] == '-' || strings.ContainsAny(name, "=\n\x00") {
		return fmt.Errorf("environment variable %q: not a valid name; write it as name=value", name)
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("environment variable %q: its name is not valid UTF-8", name)
	}
	if strings.ContainsRune(value, 0) {
		return fmt.Errorf("environment variable %q: its value has a zero byte", name)
	}
	return nil
}

// Merge returns a set in which later sets win over earlier ones, name by name: a list replaces a list.
func Merge(sets ...Set) Set {
	merged := Set{}
	for _, set := range sets {
		maps.Copy(merged, set)
	}
	return merged
}

// Exported returns the set and, for each name that is not a shell identifier, the same with underscores: "docker-dir" is docker_dir too.
// A variable that has that name itself wins.
func (s Set) Exported() Set {
	exported := Set{}
	for _, name := range slices.Sorted(maps.Keys(s)) { // of several that are called the same then, always the same one
		exported[identifier(name)] = s[name]
	}
	maps.Copy(exported, s)
	return exported
}

// Variables is the set as a process has it.
func (s Set) Variables() map[string]string {
	variables := make(map[string]string, len(s))
	for name, value := range s {
		variables[name] = value.String()
	}
	return variables
}

var (
	notIdentifier = regexp.MustCompile(`[^A-Za-z0-9_]`)
	// written are the names that an author of a script may take for a variable's. $1 is none of them.
	written = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*[A-Za-z0-9_]$`)
)

// identifier is a name that a shell can say (POSIX.1-2017, XBD 3.235).
func identifier(name string) string {
	name = notIdentifier.ReplaceAllString(name, "_")
	if name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}

// Substitute writes $docker-dir and ${docker-dir} in a script as ${docker_dir}, for every variable of the set whose name no shell can
// say: that is what authors of scripts mean by them. All else stays as it is.
func (s Set) Substitute(script []byte) []byte {
	names := slices.DeleteFunc(slices.Collect(maps.Keys(s)), func(name string) bool {
		return identifier(name) == name || !written.MatchString(name)
	})
	// The longest first: of docker-dir-old and docker-dir, a script's $docker-dir-old is the former.
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	for _, name := range names {
		meant := []byte("${" + identifier(name) + "}")
		script = bytes.ReplaceAll(script, []byte("${"+name+"}"), meant)
		plain := regexp.MustCompile(`\$` + regexp.QuoteMeta(name) + `\b`)
		script = plain.ReplaceAllLiteral(script, meant)
	}
	return script
}
