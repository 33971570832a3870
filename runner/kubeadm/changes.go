package kubeadm

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
)

// Change is a field that two sets of documents have different values of.
type Change struct {
	Field      string // kind and path: "ClusterConfiguration.apiServer.extraArgs[profiling]"
	Have, Want string // as JSON; empty where the field is not set
}

func (c Change) String() string {
	return fmt.Sprintf("%s: have %s, want %s", c.Field, cmp.Or(c.Have, "nothing"), cmp.Or(c.Want, "nothing"))
}

// secretName matches names of arguments and variables whose values may be secrets.
var secretName = regexp.MustCompile(`(?i)passw|secret|token|credential|apikey|api-key|private`)

// Public returns a copy of the documents that may be kept and shown: without tokens and keys, and with fingerprints in place of values that
// may be secrets. What [InitConfig] and [JoinConfig] decide themselves is left out.
func (d Documents) Public() Documents {
	public := d.Over(nil)
	for kind, fields := range map[string][]string{
		clusterKind: {"kubernetesVersion", "controlPlaneEndpoint"},
		initKind:    {"bootstrapTokens", "certificateKey", "localAPIEndpoint"},
		joinKind:    {"discovery", "controlPlane"},
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

// Changes are the fields in which wanted is different, sorted.
func (d Documents) Changes(wanted Documents) []Change {
	have, want := d.flat(), wanted.flat()
	fields := slices.Collect(maps.Keys(have))
	for field := range want {
		if _, both := have[field]; !both {
			fields = append(fields, field)
		}
	}
	slices.Sort(fields)
	var changes []Change
	for _, field := range fields {
		if have[field] != want[field] {
			changes = append(changes, Change{field, have[field], want[field]})
		}
	}
	return changes
}

// Has reports whether the documents set a field of a [Change], or something below it.
func (d Documents) Has(field string) bool {
	_, there := d.flat()[field]
	return there
}

// flat are the values of the documents as JSON, by kind and path. Lists of names and values are by name; other lists are one value, sorted
// where their order means nothing.
func (d Documents) flat() map[string]string {
	all := map[string]string{}
	for kind, document := range d {
		for key, value := range document {
			if key != "apiVersion" && key != "kind" {
				flatten(all, kind+"."+key, value)
			}
		}
	}
	return all
}

func flatten(all map[string]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			flatten(all, path+"."+key, value)
		}
	case []any:
		if named := byName(v); named != nil {
			for name, value := range named {
				flatten(all, path+"["+name+"]", value)
			}
			return
		}
		texts := make([]string, len(v))
		for i, element := range v {
			texts[i] = encoded(element)
		}
		if strings.HasSuffix(path, "SANs") {
			slices.Sort(texts)
		}
		all[path] = "[" + strings.Join(texts, ", ") + "]"
	default:
		all[path] = encoded(v)
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
