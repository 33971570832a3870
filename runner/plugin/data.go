package plugin

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubefile/kubefile/runner/host"
)

const (
	maxChanges  = 1 << 15 // that the data of one plugin may ask for: few lines with long ranges are many
	maxProblems = 10      // that are told of one plugin's data
)

// LabelChange is one label that a node gets or loses.
type LabelChange struct {
	Key, Value string
	Remove     bool // whatever its value is
}

// String is the change as data has it.
func (c LabelChange) String() string {
	if c.Remove {
		return c.Key + "-"
	}
	return c.Key + "=" + c.Value
}

// TaintChange is one taint that a node gets or loses.
type TaintChange struct {
	Key, Value string
	Effect     string // empty in a removal: of every effect
	Remove     bool   // whatever its value is; it is not an error if it is not there
}

// String is the change as data has it.
func (c TaintChange) String() string {
	text := c.Key
	if c.Value != "" {
		text += "=" + c.Value
	}
	if c.Effect != "" {
		text += ":" + c.Effect
	}
	if c.Remove {
		text += "-"
	}
	return text
}

// entries calls read with the words of each line of the data that has some, and returns what is wrong with all of them. What follows
// a "#" at the beginning of a word is a comment.
func (p Plugin) entries(read func(words []string) error) error {
	var problems []error
	n := 0
	for line := range strings.Lines(p.Data) {
		n++
		words := strings.Fields(line)
		if i := slices.IndexFunc(words, func(w string) bool { return w[0] == '#' }); i >= 0 {
			words = words[:i]
		}
		if len(words) == 0 {
			continue
		}
		if err := read(words); err != nil {
			problems = append(problems, fmt.Errorf("%s: line %d of data: %w", p, n, err))
		}
		if len(problems) == maxProblems {
			break
		}
	}
	return errors.Join(problems...)
}

// Hostnames reads the data of a HOSTNAME plugin, lines of "192.168.0.2 name". Names are lower-cased, valid for a host and a node, and
// given once, as addresses are.
func (p Plugin) Hostnames() (map[netip.Addr]string, error) {
	names, taken := map[netip.Addr]string{}, map[string]netip.Addr{}
	err := p.entries(func(words []string) error {
		if len(words) != 2 {
			return fmt.Errorf("%q: write an address and a name", strings.Join(words, " "))
		}
		addresses, err := host.ParseAddresses(words[0])
		if err != nil {
			return err
		}
		if len(addresses) != 1 {
			return fmt.Errorf("%s: %d addresses for one name", words[0], len(addresses))
		}
		address, name := addresses[0], strings.ToLower(words[1])
		if err := checkHostname(name); err != nil {
			return err
		}
		if was, ok := names[address]; ok {
			return fmt.Errorf("%s is named %s and %s", address, was, name)
		}
		if other, ok := taken[name]; ok {
			return fmt.Errorf("%s and %s are both named %s", other, address, name)
		}
		names[address], taken[name] = name, address
		return nil
	})
	return names, err
}

// checkHostname accepts what Linux takes as a host name and Kubernetes as a node's name and label: RFC 1123, at most 63 bytes.
func checkHostname(name string) error {
	said := validation.IsDNS1123Subdomain(name)
	if len(name) > validation.LabelValueMaxLength {
		said = []string{validation.MaxLenError(validation.LabelValueMaxLength)}
	}
	if _, err := netip.ParseAddr(name); err == nil {
		said = []string{"an address is not a name"}
	}
	if err := reasons(said); err != nil {
		return fmt.Errorf("host name %q: %w", name, err)
	}
	return nil
}

// Labels reads the data of a LABEL plugin, lines of "192.168.0.2-192.168.0.4 key=value,other=": a list or range of addresses and the
// labels to set, or to remove, as "key-". They come in the order written.
func (p Plugin) Labels() (map[netip.Addr][]LabelChange, error) {
	return changes(p, parseLabel, func(a, b LabelChange) bool { return a.Key == b.Key })
}

// Taints reads the data of a TAINT plugin, lines of addresses, as in [Plugin.Labels], and taints, as in [ParseTaint].
func (p Plugin) Taints() (map[netip.Addr][]TaintChange, error) {
	return changes(p, ParseTaint, func(a, b TaintChange) bool {
		return a.Key == b.Key && (a.Effect == b.Effect || a.Effect == "" || b.Effect == "")
	})
}

// changes reads lines of addresses and what to change on them. Two changes of one address must not be of the same thing, unless they
// are equal.
func changes[C comparable](p Plugin, parse func(string) (C, error), same func(a, b C) bool) (map[netip.Addr][]C, error) {
	asked, count := map[netip.Addr][]C{}, 0
	err := p.entries(func(words []string) error {
		addresses, err := host.ParseAddresses(words[0])
		if err != nil {
			return err
		}
		if len(words) == 1 {
			return fmt.Errorf("%q: nothing after the addresses", words[0])
		}
		for text := range strings.SplitSeq(strings.Join(words[1:], ","), ",") {
			change, err := parse(text)
			if err != nil {
				return err
			}
			if count += len(addresses); count > maxChanges {
				return fmt.Errorf("more than %d changes", maxChanges)
			}
			for _, a := range addresses {
				i := slices.IndexFunc(asked[a], func(c C) bool { return same(c, change) })
				if i < 0 {
					asked[a] = append(asked[a], change)
				} else if asked[a][i] != change {
					return fmt.Errorf("%s: %q contradicts what is asked for this address before", a, text)
				}
			}
		}
		return nil
	})
	return asked, err
}

// parseLabel reads "key=value", "key=" or "key-".
func parseLabel(text string) (LabelChange, error) {
	key, value, set := strings.Cut(text, "=")
	if !set {
		var remove bool
		if key, remove = strings.CutSuffix(text, "-"); !remove {
			return LabelChange{}, fmt.Errorf("label %q: write key=value, key= for an empty value, or key- to remove it", text)
		}
	}
	return LabelChange{Key: key, Value: value, Remove: !set}, CheckLabel(key, value)
}

// CheckLabel accepts what Kubernetes accepts as a label.
func CheckLabel(key, value string) error {
	if err := reasons(validation.IsQualifiedName(key)); err != nil {
		return fmt.Errorf("label %q: %w", key, err)
	}
	if err := reasons(validation.IsValidLabelValue(value)); err != nil {
		return fmt.Errorf("label %s: value %q: %w", key, value, err)
	}
	return nil
}

// effects are those of taints, as Kubernetes writes them.
var effects = []string{"NoSchedule", "PreferNoSchedule", "NoExecute"}

// ParseTaint reads "key=value:Effect", "key=:Effect" or "key:Effect", with "-" at the end to remove it, and "key-" to remove it with
// every effect.
func ParseTaint(text string) (TaintChange, error) {
	spec, remove := strings.CutSuffix(text, "-")
	key, effect, hasEffect := strings.Cut(spec, ":")
	key, value, hasValue := strings.Cut(key, "=")
	switch {
	case !hasEffect && (!remove || hasValue):
		return TaintChange{}, fmt.Errorf("taint %q has no effect: write %s:NoSchedule, or :PreferNoSchedule or :NoExecute", text, spec)
	case hasEffect && !slices.Contains(effects, effect):
		return TaintChange{}, fmt.Errorf("taint %q: unknown effect %q%s", text, effect, nearest(effect, effects))
	}
	if err := reasons(validation.IsQualifiedName(key)); err != nil {
		return TaintChange{}, fmt.Errorf("taint %q: key: %w", text, err)
	}
	if err := reasons(validation.IsValidLabelValue(value)); err != nil {
		return TaintChange{}, fmt.Errorf("taint %q: value: %w", text, err)
	}
	if remove {
		value = ""
	}
	return TaintChange{Key: key, Value: value, Effect: effect, Remove: remove}, nil
}

const (
	defaultTimeout = 5 * time.Minute
	longestTimeout = 24 * time.Hour
)

// Timeout reads the data of a CLUSTERCHECK plugin: how long it waits, as "10m"; 5 minutes where it says nothing, at most a day.
func (p Plugin) Timeout() (time.Duration, error) {
	text := strings.TrimSpace(p.Data)
	if text == "" {
		return defaultTimeout, nil
	}
	d, err := time.ParseDuration(text)
	if err == nil && (d <= 0 || d > longestTimeout) {
		err = errors.New("out of range")
	}
	if err != nil {
		return 0, fmt.Errorf("%s: data %q: write how long to wait, as 90s or 10m, at most %s, or nothing for %s", p, text, longestTimeout, defaultTimeout)
	}
	return d, nil
}
