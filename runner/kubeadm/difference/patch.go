package difference

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/kubeadm"
)

// Patch returns documents with the fields of changes as wanted has them, and all else as it is: what others changed in documents that a
// cluster keeps stays. Of lists of names and values, and of certSANs, only the elements change that the changes are about. Where wanted is not
// public, secrets come from it.
func Patch(d kubeadm.Documents, changes []Change, wanted kubeadm.Documents) kubeadm.Documents {
	patched := d.Over(nil)
	for _, change := range changes {
		kind := change.path[0].key
		if patched[kind] == nil && wanted[kind] != nil {
			patched[kind] = map[string]any{"apiVersion": wanted[kind]["apiVersion"], "kind": kind}
		}
		if patched[kind] != nil {
			patched[kind] = change.patch(patched[kind], wanted[kind], change.path[1:]).(map[string]any)
		}
	}
	return patched
}

// patch returns have with what is below a path as want has it.
func (c Change) patch(have, want any, path []element) any {
	if len(path) == 0 {
		return c.leaf(have, want)
	}
	if path[0].named {
		return patchNamed(have, want, func(name string) bool { return name == path[0].key })
	}
	from, _ := want.(map[string]any)
	into, _ := have.(map[string]any)
	into = maps.Clone(into)
	if into == nil {
		into = map[string]any{}
	}
	key := path[0].key
	into[key] = c.patch(into[key], from[key], path[1:])
	if isEmpty(into[key]) && !has(from, key) {
		delete(into, key)
	}
	return into
}

func has(m map[string]any, key string) bool {
	_, there := m[key]
	return there
}

// isEmpty reports whether nothing is left of a field that is not wanted.
func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

// leaf is the value of a field that has no path of its own below it.
func (c Change) leaf(have, want any) any {
	if isSet(c.path) {
		below, _ := have.([]any)
		above, _ := want.([]any)
		removed := slices.DeleteFunc(slices.Clone(c.have), func(one any) bool { return slices.Contains(above, one) })
		kept := slices.DeleteFunc(slices.Clone(below), func(one any) bool { return slices.Contains(removed, one) })
		return kubeadm.Unite(above, kept)
	}
	if isArguments(c.path) { // with a name that occurs twice
		return patchNamed(have, want, func(string) bool { return true })
	}
	return kubeadm.Clone(want)
}

// isArguments reports whether a field is a list of names and values, as kubeadm's documents have them.
func isArguments(path []element) bool {
	return slices.Contains([]string{"extraArgs", "extraEnvs", "kubeletExtraArgs"}, path[len(path)-1].key)
}

// patchNamed replaces elements of a list that have certain names by those of want. Those that want does not have come first; the order of the others
// is that of want, so that it does not depend on what was changed before.
func patchNamed(have, want any, of func(name string) bool) any {
	below, _ := have.([]any)
	above, _ := want.([]any)
	list := slices.DeleteFunc(slices.Clone(below), func(e any) bool { return of(kubeadm.NameOf(e)) })
	for _, e := range above {
		if of(kubeadm.NameOf(e)) {
			list = append(list, kubeadm.Clone(e))
		}
	}
	place := func(e any) int {
		return slices.IndexFunc(above, func(one any) bool { return kubeadm.NameOf(one) == kubeadm.NameOf(e) })
	}
	slices.SortStableFunc(list, func(a, b any) int { return place(a) - place(b) })
	return list
}

// Added are the elements of a list without order that a change adds; nil for other fields.
func (c Change) Added() []string { return without(c.want, c.have) }

// Wanted are the elements of a list without order that are wanted; nil for other fields.
func (c Change) Wanted() []string { return without(c.want, nil) }

// Removed is the opposite of [Change.Added].
func (c Change) Removed() []string { return without(c.have, c.want) }

// Kind is the kind of the document that has the field.
func (c Change) Kind() string { return c.path[0].key }

// Short is the change for a list of such, without the kind.
func (c Change) Short() string {
	field := strings.TrimPrefix(c.Field, c.Kind()+".")
	if isSet(c.path) {
		for _, name := range c.Added() {
			field += " + " + name
		}
		for _, name := range c.Removed() {
			field += " - " + name
		}
		return field
	}
	switch {
	case c.Want == "":
		return fmt.Sprintf("%s removed (was %s)", field, c.Have)
	case c.Have == "":
		return fmt.Sprintf("%s = %s", field, c.Want)
	}
	return fmt.Sprintf("%s = %s (was %s)", field, c.Want, c.Have)
}

// without are the elements of some that are not among the others.
func without(some, others []any) (left []string) {
	for _, one := range some {
		if !slices.Contains(others, one) {
			left = append(left, fmt.Sprint(one))
		}
	}
	return left
}

// Common returns documents without the fields that others do not have: of documents to which things were added for a site, those that are
// about the same. Lists without order that have all elements of the other's are as the other's.
func Common(d, others kubeadm.Documents) kubeadm.Documents {
	common := kubeadm.Documents{}
	for kind := range d {
		if others[kind] != nil {
			common[kind] = intersect(kind, d[kind], others[kind]).(map[string]any)
		}
	}
	return common
}

// WithoutNames returns documents without some names of the serving certificate of kube-apiserver, such as those that a site added.
func WithoutNames(d kubeadm.Documents, names []string) kubeadm.Documents {
	rest := d.Over(nil)
	apiServer, _ := rest[kubeadm.ClusterKind]["apiServer"].(map[string]any)
	list, _ := apiServer["certSANs"].([]any)
	list = slices.DeleteFunc(list, func(name any) bool { return slices.Contains(names, fmt.Sprint(name)) })
	if len(list) == 0 {
		delete(apiServer, "certSANs")
	} else {
		apiServer["certSANs"] = list
	}
	return rest
}

func intersect(key string, some, others any) any {
	switch some := some.(type) {
	case map[string]any:
		theirs, ok := others.(map[string]any)
		if !ok {
			return some
		}
		both := map[string]any{}
		for name, value := range some {
			if has(theirs, name) {
				both[name] = intersect(name, value, theirs[name])
			}
		}
		return both
	case []any:
		theirs, ok := others.([]any)
		switch {
		case !ok:
			return some
		case strings.HasSuffix(key, setSuffix) && len(without(theirs, some)) == 0:
			return theirs
		case byName(some) != nil && byName(theirs) != nil:
			names := byName(theirs)
			return slices.DeleteFunc(slices.Clone(some), func(e any) bool { return !has(names, kubeadm.NameOf(e)) })
		}
	}
	return some
}

// PatchText is [Patch] for documents of some kinds as they are written, in the version that the kubeadm of a Kubernetes version takes.
// It returns nil when nothing would change.
func PatchText(text []byte, changes []Change, wanted kubeadm.Documents, kubernetes string, kinds ...string) ([]byte, error) {
	have, err := kubeadm.Parse(text)
	if err != nil {
		return nil, err
	}
	changes = slices.DeleteFunc(slices.Clone(changes), func(c Change) bool { return !slices.Contains(kinds, c.Kind()) })
	patched := Patch(have, changes, wanted)
	if len(Between(have, patched)) == 0 {
		return nil, nil
	}
	if patched, err = patched.For(kubernetes); err != nil {
		return nil, err
	}
	maps.DeleteFunc(patched, func(kind string, _ map[string]any) bool { return !slices.Contains(kinds, kind) })
	return patched.YAML()
}
