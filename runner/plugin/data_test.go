package plugin

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// text is what a map by address says, in the order of addresses.
func text[C any](m map[netip.Addr]C) string {
	var lines []string
	for _, a := range slices.SortedFunc(maps.Keys(m), netip.Addr.Compare) {
		lines = append(lines, fmt.Sprint(a, " ", m[a]))
	}
	return strings.Join(lines, "\n")
}

// result compares what data means, or what is said about it.
func result[C any](t *testing.T, got map[netip.Addr]C, err error, want, says string) {
	t.Helper()
	if says == "" {
		if err != nil || text(got) != want {
			t.Errorf("%s, %v, want %s", text(got), err, want)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), says) || !strings.HasPrefix(err.Error(), `Clusterfile:12: plugin "x": line `) {
		t.Errorf("%s, error %v, want %q", text(got), err, says)
	}
}

func TestHostnames(t *testing.T) {
	for _, test := range []struct{ name, data, want, says string }{
		{"nothing", " \n\t\n", "", ""},
		{"comments", "# names\n\n192.168.0.2  Master-0 # the first\r\n\tfd00::5\tnode.example.com\n#end", "192.168.0.2 master-0\nfd00::5 node.example.com", ""},
		{"mapped address", "::ffff:10.0.0.1 a", "10.0.0.1 a", ""},
		{"longest", "10.0.0.1 " + strings.Repeat("a", 63), "10.0.0.1 " + strings.Repeat("a", 63), ""},
		{"no name", "10.0.0.1 a\n10.0.0.2", "", `line 2 of data: "10.0.0.2": write an address and a name`},
		{"two names", "10.0.0.1 a b", "", "write an address and a name"},
		{"exchanged", "a 10.0.0.1", "", `"a" is not an IP address`},
		{"range", "10.0.0.1-10.0.0.2 a", "", "2 addresses for one name"},
		{"address as name", "10.0.0.1 10.0.0.2", "", "an address is not a name"},
		{"address twice", "10.0.0.1 a\n10.0.0.1 b", "", "line 2 of data: 10.0.0.1 is named a and b"},
		{"line twice", "10.0.0.1 a\n10.0.0.1 a", "", "10.0.0.1 is named a and a"},
		{"name twice", "10.0.0.1 a\n10.0.0.2 A", "", "10.0.0.1 and 10.0.0.2 are both named a"},
		{"underscore", "10.0.0.1 a_b", "", `host name "a_b"`},
		{"dash", "10.0.0.1 -a", "", `host name "-a"`},
		{"too long", "10.0.0.1 " + strings.Repeat("a", 64), "", "must be no more than 63"},
		{"semicolon", "10.0.0.1 a;reboot", "", `host name "a;reboot"`},
		{"command", "10.0.0.1 $(reboot)", "", `host name "$(reboot)"`},
		{"comment in a name", "10.0.0.1 a#b", "", `host name "a#b"`},
		{"two problems", "10.0.0.1 a_b\n10.0.0.2 b\n10.0.0.3", "", "plugin \"x\": line 3 of data"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := create(t, "HOSTNAME", "", "", test.data).Hostnames()
			result(t, got, err, test.want, test.says)
		})
	}
}

func TestLabels(t *testing.T) {
	for _, test := range []struct{ name, data, want, says string }{
		{"several", "192.168.0.2 ssd=true,hdd= example.com/a=b", "192.168.0.2 [ssd=true hdd= example.com/a=b]", ""},
		{"removed", "192.168.0.2 ssd-,a-b-", "192.168.0.2 [ssd- a-b-]", ""},
		{"range", "10.0.0.1-10.0.0.2,fd00::1 a=b # all", "10.0.0.1 [a=b]\n10.0.0.2 [a=b]\nfd00::1 [a=b]", ""},
		{"said again", "10.0.0.1 a=b\n10.0.0.1-10.0.0.2 a=b", "10.0.0.1 [a=b]\n10.0.0.2 [a=b]", ""},
		{"contradiction", "10.0.0.1-10.0.0.2 a=b\n10.0.0.2 a=c", "", `line 2 of data: 10.0.0.2: "a=c" contradicts`},
		{"set and removed", "10.0.0.1 a=b,a-", "", `"a-" contradicts`},
		{"nothing", "10.0.0.1", "", "nothing after the addresses"},
		{"bare", "10.0.0.1 ssd", "", `label "ssd": write key=value, key= for an empty value, or key- to remove it`},
		{"no key", "10.0.0.1 =a", "", `label ""`},
		{"no label", "10.0.0.1 a=b,,c=d", "", `label "": write`},
		{"value with a dash", "10.0.0.1 a=b-", "", `label a: value "b-"`},
		{"command in a value", "10.0.0.1 a=$(reboot)", "", `value "$(reboot)"`},
		{"command in a key", "10.0.0.1 `reboot`=a", "", "label \"`reboot`\""},
		{"long value", "10.0.0.1 a=" + strings.Repeat("b", 64), "", "must be no more than 63"},
		{"backwards", "10.0.0.2-10.0.0.1 a=b", "", "from a lower to a higher"},
		{"space in the list", "10.0.0.1, 10.0.0.2 a=b", "", "an entry of the list is empty"},
		{"too much", strings.Repeat("10.0.0.0-10.0.3.255 a=b\n", 33), "", "more than 32768 changes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := create(t, "LABEL", "PreGuest", "", test.data).Labels()
			result(t, got, err, test.want, test.says)
		})
	}
}

func TestTaints(t *testing.T) {
	for _, test := range []struct{ name, data, want, says string }{
		{"several", "10.0.0.1 a=b:NoSchedule,a=c:NoExecute d:PreferNoSchedule", "10.0.0.1 [a=b:NoSchedule a=c:NoExecute d:PreferNoSchedule]", ""},
		{"range", "10.0.0.1-10.0.0.2 a:NoSchedule\n10.0.0.2 b-", "10.0.0.1 [a:NoSchedule]\n10.0.0.2 [a:NoSchedule b-]", ""},
		{"said again", "10.0.0.1 a:NoSchedule\n10.0.0.1 a=:NoSchedule", "10.0.0.1 [a:NoSchedule]", ""},
		{"contradiction", "10.0.0.1 a=b:NoSchedule\n10.0.0.1 a=c:NoSchedule", "", "contradicts"},
		{"removed and set", "10.0.0.1 a-\n10.0.0.1 a:NoSchedule", "", "contradicts"},
		{"no effect", "10.0.0.1 a=b:NoSchedule\n10.0.0.1 a=b", "", `line 2 of data: taint "a=b" has no effect: write a=b:NoSchedule`},
		{"nothing", "10.0.0.1 ", "", "nothing after the addresses"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := create(t, "TAINT", "PreGuest", "", test.data).Taints()
			result(t, got, err, test.want, test.says)
		})
	}
}

func TestParseTaint(t *testing.T) {
	for _, test := range []struct {
		text string
		want TaintChange
		says string
	}{
		{"key1=value1:NoSchedule", TaintChange{Key: "key1", Value: "value1", Effect: "NoSchedule"}, ""},
		{"key:PreferNoSchedule", TaintChange{Key: "key", Effect: "PreferNoSchedule"}, ""},
		{"key=:NoExecute", TaintChange{Key: "key", Effect: "NoExecute"}, ""},
		{"example.com/key=v:NoExecute", TaintChange{Key: "example.com/key", Value: "v", Effect: "NoExecute"}, ""},
		{"key=value:NoSchedule-", TaintChange{Key: "key", Effect: "NoSchedule", Remove: true}, ""},
		{"key:NoSchedule-", TaintChange{Key: "key", Effect: "NoSchedule", Remove: true}, ""},
		{"key-", TaintChange{Key: "key", Remove: true}, ""},
		{"", TaintChange{}, "has no effect"},
		{"key", TaintChange{}, "has no effect: write key:NoSchedule"},
		{"key=value", TaintChange{}, "has no effect: write key=value:NoSchedule"},
		{"key=value-", TaintChange{}, "has no effect"},
		{"key:", TaintChange{}, `unknown effect "": write one of NoSchedule`},
		{"key:-", TaintChange{}, `unknown effect ""`},
		{"key:noschedule", TaintChange{}, `unknown effect "noschedule": did you mean NoSchedule?`},
		{"key:NoExcute", TaintChange{}, "did you mean NoExecute?"},
		{"key:NoSchedule:NoExecute", TaintChange{}, "unknown effect"},
		{"key:NoSchedule--", TaintChange{}, `unknown effect "NoSchedule-"`},
		{":NoSchedule", TaintChange{}, "key: "},
		{"=a:NoSchedule", TaintChange{}, "key: "},
		{"key-:NoSchedule", TaintChange{}, "key: "},
		{"a=b=c:NoSchedule", TaintChange{}, "value: "},
		{"$(reboot):NoSchedule", TaintChange{}, "key: "},
		{"a=`reboot`:NoSchedule", TaintChange{}, "value: "},
		{"a=$(reboot):NoSchedule-", TaintChange{}, "value: "},
	} {
		t.Run(test.text, func(t *testing.T) {
			got, err := ParseTaint(test.text)
			if got != test.want || (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("%+v, %v, want %+v, %q", got, err, test.want, test.says)
			}
		})
	}
}

func TestTimeout(t *testing.T) {
	for data, want := range map[string]time.Duration{"": 5 * time.Minute, " \n": 5 * time.Minute, "90s\n": 90 * time.Second, "24h": 24 * time.Hour} {
		if got, err := create(t, "CLUSTERCHECK", "PreGuest", "", data).Timeout(); err != nil || got != want {
			t.Errorf("%q: %s, %v", data, got, err)
		}
	}
	for _, data := range []string{"300", "0s", "-1m", "25h", "soon", "5m; reboot"} {
		_, err := create(t, "CLUSTERCHECK", "PreGuest", "", data).Timeout()
		if err == nil || !strings.HasPrefix(err.Error(), "Clusterfile:12: ") || !strings.Contains(err.Error(), "write how long to wait") {
			t.Errorf("%q: %v", data, err)
		}
	}
}

// TestProblemsAreBounded: of data with nothing right in it some lines are told.
func TestProblemsAreBounded(t *testing.T) {
	_, err := create(t, "LABEL", "PreGuest", "", strings.Repeat("bad\n", 1000)).Labels()
	if err == nil || strings.Count(err.Error(), "\n") != maxProblems-1 {
		t.Errorf("%v", err)
	}
}

func FuzzHostnames(f *testing.F) {
	for _, seed := range []string{"10.0.0.1 a\nfd00::1 B.c # d", "10.0.0.1 a\n10.0.0.1 b", "1 2 3", "#", "10.0.0.1 $(x)"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		names, err := Plugin{Type: Hostname, Data: data}.Hostnames()
		if err != nil {
			return
		}
		taken := map[string]bool{}
		for a, name := range names {
			if !a.IsValid() || taken[name] || len(name) > 63 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
				t.Fatalf("%q: %s %q", data, a, name)
			}
			taken[name] = true
		}
	})
}

func FuzzLabels(f *testing.F) {
	for _, seed := range []string{"10.0.0.1-10.0.0.9 a=b,c=", "10.0.0.1 a-\nfd00::1 x.y/z=1 # c", "10.0.0.1 a=b a=c", "10.0.0.1 =,-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		changes, err := Plugin{Type: Label, Data: data}.Labels()
		if err != nil {
			return
		}
		for a, list := range changes {
			seen := map[string]bool{}
			for _, c := range list {
				if !a.IsValid() || CheckLabel(c.Key, c.Value) != nil || seen[c.Key] || c.Remove && c.Value != "" {
					t.Fatalf("%q: %s %+v", data, a, list)
				}
				seen[c.Key] = true
			}
		}
	})
}

func FuzzTaints(f *testing.F) {
	for _, seed := range []string{"10.0.0.1-10.0.0.9 a=b:NoSchedule,c:NoExecute-", "10.0.0.1 a-\nfd00::1 x.y/z=:PreferNoSchedule", "10.0.0.1 a=b", "10.0.0.1 :,-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		changes, err := Plugin{Type: Taint, Data: data}.Taints()
		if err != nil {
			return
		}
		for a, list := range changes {
			for _, c := range list {
				text := c.Key + "=" + c.Value + ":" + c.Effect
				if c.Remove {
					text = strings.TrimSuffix(c.Key+":"+c.Effect, ":") + "-"
				}
				if again, err := ParseTaint(text); !a.IsValid() || err != nil || again != c {
					t.Fatalf("%q: %s %+v, %v", data, a, c, err)
				}
			}
		}
	})
}
