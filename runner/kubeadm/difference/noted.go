package difference

import (
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/kubeadm"
)

// Noted returns the documents of a JSON file that has what [Public] returned. In JSON every number is a float; whole ones are whole again.
func Noted(documents map[string]map[string]any) kubeadm.Documents {
	noted := kubeadm.Documents{}
	for kind, document := range documents {
		noted[kind], _ = whole(document).(map[string]any)
	}
	return noted
}

// maxWhole is up to where a float has every whole number.
const maxWhole = 1 << 53

func whole(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, value := range v {
			m[key] = whole(value)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, value := range v {
			l[i] = whole(value)
		}
		return l
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < maxWhole {
			return int64(v)
		}
	}
	return v
}

// hiddenValue matches what [fingerprint] returns, as JSON.
var hiddenValue = regexp.MustCompile(`"hidden:[0-9a-f]{8}"`)

// Hidden returns the fields of a document whose values are not known, since [Public] hid them, sorted.
func Hidden(d kubeadm.Documents, kind string) (fields []string) {
	for field, value := range leaves(d) {
		if strings.HasPrefix(field, kind+".") && hiddenValue.MatchString(value.text) {
			fields = append(fields, field)
		}
	}
	slices.Sort(fields)
	return fields
}
