package kubeadm

import "slices"

// Over returns d over base: what d has wins, also false, 0 and "". Mappings are merged key by key; lists are replaced, except that certSANs
// are united, base's first, and that extra arguments and volumes of d replace those of base with the same names. Neither
// argument is changed.
func (d Documents) Over(base Documents) Documents {
	merged := Documents{}
	for kind, document := range base {
		merged[kind] = Clone(document).(map[string]any)
	}
	for kind, document := range d {
		below := merged[kind]
		if below == nil {
			below = map[string]any{}
		}
		merge(below, Clone(document).(map[string]any))
		merged[kind] = below
	}
	return merged
}

// merge puts over into base.
func merge(base, over map[string]any) {
	for key, value := range over {
		switch above := value.(type) {
		case map[string]any:
			if below, ok := base[key].(map[string]any); ok {
				merge(below, above)
				continue
			}
		case []any:
			below, _ := base[key].([]any)
			switch key {
			case "certSANs":
				value = Unite(below, above)
			case "extraArgs", "kubeletExtraArgs", "extraVolumes":
				value = replaceNamed(below, above)
			}
		}
		base[key] = value
	}
}

// Unite returns the values of both lists, each of the second only if it is new.
func Unite[T any](below []any, above []T) []any {
	united := slices.Clone(below)
	for _, value := range above {
		if !slices.Contains(united, any(value)) {
			united = append(united, value)
		}
	}
	return united
}

// replaceNamed returns the elements of both lists without those of the first that have a name of the second.
func replaceNamed(below, above []any) []any {
	named := map[any]bool{}
	for _, element := range above {
		named[NameOf(element)] = true
	}
	kept := slices.DeleteFunc(slices.Clone(below), func(element any) bool { return named[NameOf(element)] })
	return append(kept, above...)
}

// NameOf returns the name of an argument or a volume.
func NameOf(element any) string {
	m, _ := element.(map[string]any)
	name, _ := m["name"].(string)
	return name
}

// Clone copies what YAML can hold.
func Clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, value := range v {
			m[key] = Clone(value)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, value := range v {
			l[i] = Clone(value)
		}
		return l
	}
	return v
}
