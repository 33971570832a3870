package checklist

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kubefile/kubefile/runner/check"
	"github.com/kubefile/kubefile/runner/host"
)

// topicsOfFields are the topics of each field of the facts. Of a field without one, nothing and not known are the same, and nothing is found.
func topicsOfFields() map[string][]host.Topic {
	return map[string][]host.Topic{
		"Hostname": {host.TopicHostname}, "MachineID": {host.TopicMachineID}, "BootID": {host.TopicBootID}, "Architecture": {host.TopicArchitecture},
		"Kernel": {host.TopicKernel}, "Init": {host.TopicInit}, "Cgroup": {host.TopicCgroup}, "CPUs": {host.TopicCPUs}, "MemoryBytes": {host.TopicMemory},
		"SwapBytes": {host.TopicSwap}, "Time": {host.TopicTime}, "ClockSkew": {host.TopicTime}, "Addresses": {host.TopicAddresses}, "Networks": {host.TopicAddresses},
		"Routes": {host.TopicRoutes}, "Listening": {host.TopicListeners}, "Units": {host.TopicUnits}, "TimeSync": {host.TopicUnits},
		"Commands": {host.TopicCommands}, "Data": {host.TopicDirectories}, "EtcdGrown": {host.TopicDirectories}, "Processes": {host.TopicProcesses},
		"FileSystems": {host.TopicFileSystems}, "Controllers": {host.TopicCgroup}, "ResolvConf": {host.TopicResolvConf},
		"Resolv": {host.TopicNameservers}, "NMUnmanaged": {host.TopicNM},
		"OS": nil, "OSID": nil, "OSVersion": nil, "Path": nil, "Cluster": nil, "Kubelet": nil, "ClusterDir": nil, "ServiceRoutes": nil, "Symlinks": nil, "CNI": nil,
		"Sockets": nil, "HostsFile": nil, "Sysctls": nil, "NoForwarding": nil, "Modules": nil, "SELinux": nil, "Firewalls": nil, "CloudHosts": nil, "Proxies": nil,
	}
}

// sites are good sites on which other checks look at what a host reports.
func sites() map[string]func() *check.Site {
	with := func(change func(s *check.Site, f *host.Facts)) func() *check.Site {
		return func() *check.Site {
			s := goodSite()
			for _, h := range s.Hosts {
				change(s, h.Facts)
			}
			return s
		}
	}
	return map[string]func() *check.Site{
		"plain": goodSite,
		"NetworkManager": with(func(_ *check.Site, f *host.Facts) {
			f.Units["NetworkManager"], f.NMUnmanaged = "active", true
		}),
		"Kubernetes 1.31": with(func(s *check.Site, f *host.Facts) {
			s.Kubernetes, f.Commands = "v1.31.14", append(f.Commands, "conntrack")
		}),
		"both families": with(func(s *check.Site, f *host.Facts) {
			s.ServiceNetworks = prefixes("10.96.0.0/12", "fd00:20::/112")
			f.Networks = append(f.Networks, host.NetworkAddress{Prefix: netip.MustParsePrefix("fd00::1/64"), Interface: "eth0"})
		}),
		"nftables": with(func(s *check.Site, _ *host.Facts) { s.ProxyMode = "nftables" }),
		"no units": with(func(_ *check.Site, f *host.Facts) { f.Units = map[string]string{} }),
	}
}

// untold makes a host one that did not report the topics, of which the facts therefore have nothing.
func untold(f *host.Facts, topics ...host.Topic) {
	f.Unknown = map[host.Topic]string{}
	for _, topic := range topics {
		f.Unknown[topic] = "the program for " + string(topic) + " is missing"
	}
	value := reflect.ValueOf(f).Elem()
	for field, of := range topicsOfFields() {
		if slices.ContainsFunc(of, func(t host.Topic) bool { return slices.Contains(topics, t) }) {
			value.FieldByName(field).SetZero()
		}
	}
}

// onlyUnknown wants one finding for each host and nothing else, with the reasons for all topics.
func onlyUnknown(t *testing.T, s *check.Site, topics ...host.Topic) {
	t.Helper()
	findings := Run(s)
	var hosts []string
	for _, f := range findings {
		hosts = append(hosts, f.Host)
		if f.Check != "facts-needed" && f.Check != "facts-known" {
			t.Errorf("of what is not known it says: %s", f.Text())
		}
		for _, topic := range topics {
			if reason := "the program for " + string(topic) + " is missing"; !strings.Contains(f.What, reason) {
				t.Errorf("got %q, want the reason %q", f.What, reason)
			}
		}
		if f.Fix == "" {
			t.Errorf("%s: nothing says what to run", f.Text())
		}
	}
	if want := []string{"10.0.0.1", "10.0.0.2"}; !slices.Equal(hosts, want) {
		t.Errorf("got findings about %q, want one about each of %q: %+v", hosts, want, findings)
	}
}

// TestWhatIsNotKnownIsNoFinding: no check says something about what a host did not report.
func TestWhatIsNotKnownIsNoFinding(t *testing.T) {
	for name, site := range sites() {
		t.Run(name, func(t *testing.T) {
			for _, topic := range host.Topics() {
				if topic == host.TopicNM && name != "NetworkManager" {
					continue // it is of no use there
				}
				t.Run(string(topic), func(t *testing.T) {
					s := site()
					for _, h := range s.Hosts {
						untold(h.Facts, topic)
					}
					onlyUnknown(t, s, topic)
				})
			}
			t.Run("all", func(t *testing.T) {
				s := site()
				all := slices.DeleteFunc(host.Topics(), func(topic host.Topic) bool { return topic == host.TopicNM })
				for _, h := range s.Hosts {
					untold(h.Facts, all...)
				}
				onlyUnknown(t, s, all...)
			})
		})
	}
}

// TestEveryFactHasATopic: a field that is new is considered, too. Of one without a topic nothing is found when the facts have nothing of it.
func TestEveryFactHasATopic(t *testing.T) {
	topics := topicsOfFields()
	for _, field := range reflect.VisibleFields(reflect.TypeFor[host.Facts]()) {
		of, considered := topics[field.Name]
		delete(topics, field.Name)
		if !field.IsExported() || field.Name == "Unknown" {
			continue
		}
		if !considered {
			t.Errorf("%s: whether it has a topic is not said", field.Name)
		}
		if len(of) > 0 {
			continue
		}
		for name, site := range sites() {
			s := site()
			for _, h := range s.Hosts {
				reflect.ValueOf(h.Facts).Elem().FieldByIndex(field.Index).SetZero()
			}
			if findings := Run(s); len(findings) > 0 {
				t.Errorf("%s: without %s it finds %+v", name, field.Name, findings)
			}
		}
	}
	if len(topics) > 0 {
		t.Errorf("facts have no %q", slices.Collect(maps.Keys(topics)))
	}
}

// TestOneHostThatReportsNothing does not make the others look wrong.
func TestOneHostThatReportsNothing(t *testing.T) {
	s := goodSite()
	untold(s.Hosts[1].Facts, host.Topics()...)
	findings := Run(s)
	if len(findings) != 1 || findings[0].Check != "facts-needed" || findings[0].Host != "10.0.0.2" || findings[0].Severity != check.Error {
		t.Errorf("got %+v, want one error about 10.0.0.2", findings)
	}
}

// TestWhatARunNeedsToKnow depends on what it is for.
func TestWhatARunNeedsToKnow(t *testing.T) {
	for name, c := range map[string]struct {
		topic  host.Topic
		change func(s *check.Site)
		want   string
	}{
		"a name":                                {host.TopicHostname, func(*check.Site) {}, "facts-needed"},
		"a name that a plugin gives":            {host.TopicHostname, func(s *check.Site) { s.Hosts[0].Name, s.Hosts[1].Name = "a", "b" }, "facts-known"},
		"the name of a node":                    {host.TopicHostname, func(s *check.Site) { s.Hosts[0].Ours, s.Hosts[1].Ours = true, true }, "facts-known"},
		"an architecture that is not required":  {host.TopicArchitecture, func(s *check.Site) { s.Architecture = "" }, "facts-known"},
		"the addresses of the machine it is on": {host.TopicAddresses, func(s *check.Site) { s.Hosts[0].Host.Local, s.Hosts[1].Host.Local = true, true }, "facts-known"},
		"a clock":                               {host.TopicTime, func(*check.Site) {}, "facts-known"},
	} {
		s := goodSite()
		c.change(s)
		for _, h := range s.Hosts {
			untold(h.Facts, c.topic)
		}
		if findings := Run(s); len(findings) != 2 || findings[0].Check != c.want || findings[1].Check != c.want {
			t.Errorf("%s: got %+v, want two of %s", name, findings, c.want)
		}
	}
}

func unknownFaults() []fault {
	unknown := func(topic host.Topic, reason string) func(*check.Site, *host.Facts, *host.Facts) {
		return func(_ *check.Site, m, _ *host.Facts) {
			untold(m, topic)
			m.Unknown[topic] = reason
		}
	}
	return []fault{
		{"facts-needed", unknown(host.TopicInit, "/proc/1/comm cannot be read"),
			"10.0.0.1: these are not known and were not checked: its process 1 (/proc/1/comm cannot be read); without them a run does not start; run on the host as root, and install or repair what does not work: cat /proc/1/comm"},
		{"facts-known", unknown(host.TopicRoutes, "the command ip is missing"), "its routes (the command ip is missing); a problem there shows only during the run"},
	}
}
