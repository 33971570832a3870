package plugin

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubefile/kubefile/runner/host"
)

const (
	everywhere = "all"     // what On's zero value is called
	firstRole  = "master0" // the first master
	rolePrefix = "node-role.kubernetes.io/"
)

// masterLabels are the labels of a master's node: that of today and that before Kubernetes 1.24, which plugins still select by.
var masterLabels = []string{rolePrefix + "control-plane", rolePrefix + "master"}

// On selects hosts. The zero value selects all.
type On struct {
	text      string // as it is written, without needless space
	roles     []string
	addresses []netip.Addr
	selectors []labels.Selector
}

// Host is what a selection goes by.
type Host struct {
	Address netip.Addr
	Roles   []string          // master or node first
	First   bool              // the first master
	Labels  map[string]string // of its node; none before it has one
}

// ParseOn reads where a plugin runs: nothing or "all"; a role, with "master0" for the first master; addresses and ranges as
// [host.ParseAddresses] has them; or a label selector of Kubernetes, which is what has one of = ! / ( in it. Alternatives are joined
// by "|", and roles and addresses also by ",", which in a selector means "and".
func ParseOn(text string) (On, error) {
	text = strings.TrimSpace(text)
	if text == "" || text == everywhere {
		return On{}, nil
	}
	var on On
	var alternatives, addresses []string
	for alternative := range strings.SplitSeq(text, "|") {
		if strings.ContainsAny(alternative, "=!/()<>") {
			s, err := parseSelector(alternative)
			if err != nil {
				return On{}, err
			}
			on.selectors = append(on.selectors, s)
			alternatives = append(alternatives, s.String())
			continue
		}
		words := strings.Split(alternative, ",")
		for i, word := range words {
			words[i] = strings.TrimSpace(word)
			if looksLikeAddress(words[i]) {
				addresses = append(addresses, words[i])
				continue
			}
			if err := checkRole(words[i]); err != nil {
				return On{}, err
			}
			on.roles = append(on.roles, words[i])
		}
		alternatives = append(alternatives, strings.Join(words, ","))
	}
	var err error
	on.addresses, err = host.ParseAddresses(strings.Join(addresses, ","))
	on.text = strings.Join(alternatives, "|")
	return on, err
}

// looksLikeAddress tells an address or a range, valid or not, from a role.
func looksLikeAddress(word string) bool {
	return strings.Contains(word, ":") || strings.Contains(word, ".") && strings.Trim(word, "0123456789.- ") == ""
}

// checkRole accepts what can be a role: the end of a label's key.
func checkRole(word string) error {
	if word == "" {
		return errors.New("nothing before or after a separator")
	}
	if len(validation.IsQualifiedName(rolePrefix+word)) > 0 {
		return fmt.Errorf("%q is neither a role nor an address nor a label selector: write master, node, %s, 192.168.0.2-192.168.0.7 or key=value",
			word, firstRole)
	}
	return nil
}

// parseSelector reads a label selector in which nothing can be taken for a role or an address.
func parseSelector(text string) (labels.Selector, error) {
	if prefix, _, cut := strings.Cut(strings.TrimSpace(text), "/"); cut {
		if _, err := netip.ParseAddr(prefix); err == nil {
			return nil, fmt.Errorf("%q is a network: write a range of addresses, as 192.168.0.2-192.168.0.7", strings.TrimSpace(text))
		}
	}
	s, err := labels.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("reading the label selector: %w", err)
	}
	requirements, _ := s.Requirements()
	for _, r := range requirements {
		if r.Operator() == selection.Exists && !strings.Contains(r.Key(), "/") {
			return nil, fmt.Errorf("%q next to a label selector is a role, an address or a label: join the former with |, and write the latter with its values, as %s in (a,b)", r.Key(), r.Key())
		}
	}
	if len(requirements) == 0 {
		return nil, errors.New("nothing before or after a separator")
	}
	return s, nil
}

// Selects reports whether a plugin runs on h. Label selectors go by h.Labels, to which a master's own are added: both that of today
// and that of old versions.
func (o On) Selects(h Host) bool {
	if o.text == "" || slices.Contains(o.addresses, h.Address) || slices.ContainsFunc(o.roles, h.has) {
		return true
	}
	set := h.labels()
	return slices.ContainsFunc(o.selectors, func(s labels.Selector) bool { return s.Matches(set) })
}

// has reports whether the host has a role.
func (h Host) has(role string) bool {
	return slices.Contains(h.Roles, role) || role == firstRole && h.First
}

// labels are the labels of the host's node, and those that a master has in any version.
func (h Host) labels() labels.Set {
	set := labels.Set{}
	if h.has(string(host.RoleMaster)) {
		for _, key := range masterLabels {
			set[key] = ""
		}
	}
	return labels.Merge(set, h.Labels)
}

// Selector is the label selectors in it, joined by "|", or nothing if there are none and the hosts are known without asking the cluster.
func (o On) Selector() string {
	texts := make([]string, len(o.selectors))
	for i, s := range o.selectors {
		texts[i] = s.String()
	}
	return strings.Join(texts, "|")
}

// MarshalText writes the selection as [ParseOn] reads it.
func (o On) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (o *On) UnmarshalText(text []byte) (err error) {
	*o, err = ParseOn(string(text))
	return err
}

// String is the selection as [ParseOn] reads it, "all" for the zero value.
func (o On) String() string {
	if o.text == "" {
		return everywhere
	}
	return o.text
}
