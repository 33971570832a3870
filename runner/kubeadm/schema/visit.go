package schema

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Visit calls f with every known field that is there, a field before those in it; f may change or take out the field. Its errors
// are joined.
func Visit(path string, m map[string]any, known Fields, f func(path string, m map[string]any, key string, of Field) error) error {
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(m)) {
		of, ok := known[key]
		if !ok {
			continue
		}
		problems = append(problems, f(path+"."+key, m, key, of))
		switch v := m[key].(type) {
		case map[string]any:
			problems = append(problems, Visit(path+"."+key, v, of.Fields, f))
		case []any:
			for i, element := range v {
				if e, ok := element.(map[string]any); ok && of.Shape == mappings {
					problems = append(problems, Visit(fmt.Sprintf("%s.%s[%d]", path, key, i), e, of.Fields, f))
				}
			}
		}
	}
	return errors.Join(problems...)
}
