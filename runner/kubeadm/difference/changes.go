// Package difference is about documents of kubeadm of a cluster that runs: in which fields they differ, which of these can be changed, and how
// the documents that the cluster keeps become what is wanted.
package difference

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/kubefile/kubefile/runner/kubeadm"
)

// Change is a field that two sets of documents have different values of.
type Change struct {
	Field      string // kind and path: "ClusterConfiguration.apiServer.extraArgs[profiling]"
	Have, Want string // as JSON; empty where the field is not set

	path       []element
	have, want []any // of a list without order
}

// element is one part of the path of a field: the key of a mapping, or the name of an element of a list.
type element struct {
	key   string
	named bool
}

// setSuffix ends the names of lists whose order means nothing.
const setSuffix = "SANs"

// isSet reports whether a field is a list whose order means nothing.
func isSet(path []element) bool { return strings.HasSuffix(path[len(path)-1].key, setSuffix) }

// leaf is the value of a field, as it is and as JSON.
type leaf struct {
	path  []element
	value any
	text  string
}

func (c Change) String() string {
	return fmt.Sprintf("%s: have %s, want %s", c.Field, cmp.Or(c.Have, "nothing"), cmp.Or(c.Want, "nothing"))
}

// secretName matches names of arguments and variables whose values may be secrets.
var secretName = regexp.MustCompile(`(?i)passw|secret|token|credential|apikey|api-key|private`)

// Public returns a copy of documents that may be kept and shown: without tokens and keys, and with fingerprints in place of values that
// may be secrets. What [kubeadm.InitConfig] and [kubeadm.JoinConfig] decide themselves is left out.
func Public(d kubeadm.Documents) kubeadm.Documents {
	public := d.Over(nil)
	for kind, fields := range map[string][]string{
		kubeadm.ClusterKind: {"kubernetesVersion", "controlPlaneEndpoint"},
		kubeadm.InitKind:    {"bootstrapTokens", "certificateKey", "localAPIEndpoint"},
		kubeadm.JoinKind:    {"discovery", "controlPlane"},
	} {
		for _, field := range fields {
			delete(public[kind], field)
		}
		if registration, ok := public[kind]["nodeRegistration"].(map[string]any); ok {
			delete(registration, "name")
			delete(registration, "criSocket")
		}
	}
	for _, document := range public {
		hide(document)
	}
	return public
}

// login matches a user and a password in a URL, such as a proxy's.
var login = regexp.MustCompile(`://[^/@\s]+@`)

// requestHeaders is a field of the kubelet's with HTTP headers, of which one may log in.
const requestHeaders = "staticPodURLHeader"

// hide replaces values that may be secrets.
func hide(v any) {
	switch v := v.(type) {
	case map[string]any:
		name, _ := v["name"].(string)
		if value, ok := v["value"].(string); ok && secretName.MatchString(name) && !hidden.MatchString(value) {
			v["value"] = fingerprint(value)
		}
		for key, value := range v {
			text, isText := value.(string)
			switch {
			case isText && hidden.MatchString(text):
				// it is a fingerprint already
			case key == requestHeaders || isText && login.MatchString(text):
				v[key] = fingerprint(value)
			default:
				hide(value)
			}
		}
	case []any:
		for i, element := range v {
			if text, isText := element.(string); isText && login.MatchString(text) {
				v[i] = fingerprint(text)
			}
			hide(element)
		}
	}
}

// hidden matches what [fingerprint] returns.
var hidden = regexp.MustCompile(`^hidden:[0-9a-f]{8}$`)

// fingerprint replaces a value that is not shown.
func fingerprint(value any) string {
	text, isText := value.(string)
	if !isText {
		text = encoded(value)
	}
	sum := sha256.Sum256([]byte(text))
	return "hidden:" + hex.EncodeToString(sum[:4])
}

// Between are the fields in which wanted is different from d, sorted.
func Between(d, wanted kubeadm.Documents) []Change {
	have, want := leaves(d), leaves(wanted)
	fields := slices.Collect(maps.Keys(have))
	for field := range want {
		if _, both := have[field]; !both {
			fields = append(fields, field)
		}
	}
	slices.Sort(fields)
	var changes []Change
	for _, field := range fields {
		if have[field].text == want[field].text {
			continue
		}
		change := Change{Field: field, Have: have[field].text, Want: want[field].text, path: have[field].path}
		if change.path == nil {
			change.path = want[field].path
		}
		if isSet(change.path) {
			change.have, _ = have[field].value.([]any)
			change.want, _ = want[field].value.([]any)
		}
		changes = append(changes, change)
	}
	return changes
}

// Has reports whether documents set a field of a [Change], or something below it.
func Has(d kubeadm.Documents, field string) bool {
	_, there := leaves(d)[field]
	return there
}

// leaves are the values of documents by kind and path. Lists of names and values are by name; other lists are one value, sorted
// where their order means nothing.
func leaves(d kubeadm.Documents) map[string]leaf {
	all := map[string]leaf{}
	for kind, document := range d {
		for key, value := range document {
			if key != "apiVersion" && key != "kind" {
				flatten(all, kind+"."+key, []element{{key: kind}, {key: key}}, value)
			}
		}
	}
	return all
}

func flatten(all map[string]leaf, field string, path []element, v any) {
	below := func(e element) []element { return append(slices.Clone(path), e) }
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			flatten(all, field+"."+key, below(element{key: key}), value)
		}
	case []any:
		if named := byName(v); named != nil {
			for name, value := range named {
				flatten(all, field+"["+name+"]", below(element{name, true}), value)
			}
			return
		}
		texts := make([]string, len(v))
		for i, one := range v {
			texts[i] = encoded(one)
		}
		if isSet(path) {
			slices.Sort(texts)
		}
		all[field] = leaf{path, v, "[" + strings.Join(texts, ", ") + "]"}
	default:
		all[field] = leaf{path, v, encoded(v)}
	}
}

// byName are the values of a list of names and values; nil for other lists.
func byName(list []any) map[string]any {
	named := map[string]any{}
	for _, element := range list {
		m, _ := element.(map[string]any)
		name, _ := m["name"].(string)
		value, there := m["value"]
		if name == "" || !there || named[name] != nil {
			return nil
		}
		named[name] = value
	}
	if len(named) == 0 {
		return nil
	}
	return named
}

func encoded(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}
