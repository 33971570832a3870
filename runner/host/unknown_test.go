package host

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestAnswerThatBreaksOff: of an answer that is not whole nothing is concluded, wherever it ends.
func TestAnswerThatBreaksOff(t *testing.T) {
	lines := strings.SplitAfter(strings.TrimSuffix(someFacts, "\n"), "\n")
	for i := 1; i < len(lines); i++ {
		if f, err := parseFacts([]byte(strings.Join(lines[:i], ""))); err == nil {
			t.Errorf("after %q it was taken: %+v", lines[i-1], f)
		} else if i > 2 && !errors.Is(err, errCutOff) { // the second line is the first of ours
			t.Errorf("after %q: %v, want that it breaks off", lines[i-1], err)
		}
	}
	if _, err := parseFacts([]byte(someFacts + "logout\n")); err != nil {
		t.Errorf("a line of the login's after the end: %v", err)
	}
}

// TestWhatIsKnown: a topic is known when the host says something of it, even if that is nothing.
func TestWhatIsKnown(t *testing.T) {
	const answer = "facts\t1\nunknown\tinit /proc/1/comm cannot be read\nunknown\troutes ip gives no answer\nroutes\tknown\nmachine-id\t\nunknown\tnews x\nunknown\t\n"
	f, err := parseFacts([]byte(answer + wholeAnswer))
	if err != nil {
		t.Fatal(err)
	}
	for topic, want := range map[Topic]bool{TopicRoutes: true, TopicMachineID: true, TopicInit: false, TopicArchitecture: false} {
		if got := f.Knows(topic); got != want {
			t.Errorf("%s: known is %v, want %v", topic, got, want)
		}
	}
	if got, want := f.Unknown[TopicInit], "/proc/1/comm cannot be read"; got != want {
		t.Errorf("the reason is %q, want %q", got, want)
	}
	if len(f.Unknown) != len(Topics())-2 {
		t.Errorf("unknown are %v, want the topics only, without two", f.Unknown)
	}
}

// factsWithout runs facts.sh on this machine with all of its programs but one, which another may take the place of.
func factsWithout(t *testing.T, missing, instead string) *Facts {
	t.Helper()
	dir := t.TempDir()
	programs := []string{"awk", "base64", "cat", "chronyc", "date", "df", "env", "find", "grep", "head", "hostname", "ip", "iptables", "nft", "sed", "sleep",
		"sort", "ss", "systemctl", "timeout", "tr", "uname"}
	for _, program := range programs {
		path, err := exec.LookPath(program)
		if err != nil || program == missing {
			continue // a machine need not have all of them
		}
		if err := os.Symlink(path, filepath.Join(dir, program)); err != nil {
			t.Fatal(err)
		}
	}
	if instead != "" {
		if err := os.WriteFile(filepath.Join(dir, missing), []byte(instead), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("/bin/sh", "-c", factsScript, "sh", "/var/lib")
	cmd.Env = []string{"PATH=" + dir}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	f, err := parseFacts(out)
	if err != nil {
		t.Fatalf("%v of %s", err, out)
	}
	return f
}

// TestProgramsThatAreMissing: what a host cannot say without a program is not known, with the program as the reason; everything else is as before.
func TestProgramsThatAreMissing(t *testing.T) {
	whole := factsWithout(t, "", "")
	for program, topics := range map[string][]Topic{
		"uname": {TopicArchitecture}, "date": {TopicTime}, "df": {TopicFileSystems}, "ip": {TopicRoutes}, "find": {TopicDirectories}, "grep": {TopicCPUs, TopicProcesses, TopicNM},
		"sed": {TopicMemory, TopicSwap}, "awk": {TopicFileSystems, TopicAddresses, TopicRoutes, TopicListeners, TopicNameservers}, "sort": {TopicListeners, TopicProcesses},
		"cat": {TopicListeners, TopicProcesses}, "head": {TopicListeners, TopicDirectories},
	} {
		t.Run(program, func(t *testing.T) {
			f := factsWithout(t, program, "")
			for _, topic := range topics {
				if got, want := f.Unknown[topic], "the command "+program+" is missing"; got != want && whole.Knows(topic) {
					t.Errorf("%s is unknown because of %q, want %q", topic, got, want)
				}
			}
			for topic := range f.Unknown {
				if !slices.Contains(topics, topic) && whole.Knows(topic) && !(topic == TopicAddresses && program == "ip") && !(topic == TopicUnits && program == "awk") {
					t.Errorf("%s is unknown (%s), and does not need %s", topic, f.Unknown[topic], program)
				}
			}
		})
	}
}

// TestProgramsThatFail: a program that is there and says nothing is no answer, and neither is one that does not end.
func TestProgramsThatFail(t *testing.T) {
	const fails = "#!/bin/sh\nexit 1\n"
	for _, test := range []struct {
		program, instead string
		topic            Topic
		why              string
	}{
		{"uname", fails, TopicArchitecture, "uname gives no answer"},
		{"date", fails, TopicTime, "date gives no answer"},
		{"ip", fails, TopicRoutes, "ip gives no answer"},
		{"ip", fails, TopicAddresses, "ip gives no answer"},
		{"df", fails, TopicFileSystems, "df gives no answer for /var/lib, /var/lib/containerd, /var/lib/kubelet, /var/lib/etcd, /usr/local/bin, /opt/cni/bin, /etc, /tmp"},
		// What timeout ends with when it ended the program, in its two forms.
		{"timeout", "#!/bin/sh\nexit 124\n", TopicDirectories, "find does not end in /var/lib/containerd, /var/lib/etcd/member/snap, /var/lib/etcd"},
		{"timeout", "#!/bin/sh\nexit 143\n", TopicDirectories, "find does not end in /var/lib/containerd, /var/lib/etcd/member/snap, /var/lib/etcd"},
	} {
		t.Run(test.program+" "+string(test.topic), func(t *testing.T) {
			if got := factsWithout(t, test.program, test.instead).Unknown[test.topic]; got != test.why {
				t.Errorf("%s is unknown because of %q, want %q", test.topic, got, test.why)
			}
		})
	}
}

// TestMoreThanAreTakenIn: of a list that is cut off it is not known what is missing in it.
func TestMoreThanAreTakenIn(t *testing.T) {
	const many = `#!/bin/sh
i=0
while [ $i -lt 1100 ]; do i=$((i + 1)); echo "$i: eth0 inet 10.0.0.1/24 scope global eth0"; done
`
	f := factsWithout(t, "ip", many)
	got := []string{f.Unknown[TopicAddresses], f.Unknown[TopicRoutes]}
	if want := []string{"there are more than 500", "there are more than 1000"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestFirstLines: a file may be empty, may be missing, and its last line may have no end.
func TestFirstLines(t *testing.T) {
	for content, want := range map[string]string{"abc\n": "abc", "abc": "abc", "": "", "\nabc": ""} {
		if f := look(t, map[string]string{"/etc/machine-id": content}); f.MachineID != want || !f.Knows(TopicMachineID) {
			t.Errorf("%q: the ID is %q, unknown are %v, want %q", content, f.MachineID, f.Unknown, want)
		}
	}
	f := look(t, nil)
	if f.MachineID != "" || !f.Knows(TopicMachineID) || !f.Knows(TopicResolvConf) || !f.Knows(TopicNameservers) {
		t.Errorf("without the files, unknown are %v, want that they are known to be missing", f.Unknown)
	}
}

// TestSysctls: the shell of some systems reads a number of the kernel as its first digit, or not at all.
func TestSysctls(t *testing.T) {
	want := map[string]string{}
	for _, name := range []string{"fs.nr_open", "kernel.pid_max", "fs.inotify.max_user_watches", "net.ipv4.ip_forward"} {
		if value, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/")); err == nil {
			want[name] = strings.TrimSpace(string(value))
		}
	}
	got := look(t, nil).Sysctls
	maps.DeleteFunc(got, func(name, _ string) bool { return want[name] == "" })
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestServiceRoutes reads what our unit is to set from the unit itself, and passes over what somebody made of it.
func TestServiceRoutes(t *testing.T) {
	const unit = "/etc/systemd/system/kubefile-service-route.service"
	const script = "/bin/sh /srv/k/default/service-route.sh"
	for line, want := range map[string]string{
		"ExecStart=" + script + " replace 10.0.0.1 10.96.0.0/12\nExecStop=" + script + " delete 10.0.0.1 10.96.0.0/12\n": "[{10.0.0.1 10.96.0.0/12}]",
		"ExecStart=" + script + " replace 10.0.0.1 10.96.0.0/12 fd00::1 fd00:20::/112\n":                                 "[{10.0.0.1 10.96.0.0/12} {fd00::1 fd00:20::/112}]",
		"ExecStart=" + script + " replace 10.0.0.1 10.96.0.0/12 x y fd00::1\n":                                           "[{10.0.0.1 10.96.0.0/12}]",
		"ExecStart=/bin/true\n": "[]",
	} {
		if got := fmt.Sprint(look(t, map[string]string{unit: "[Service]\n" + line}).ServiceRoutes); got != want {
			t.Errorf("%q: got %s, want %s", line, got, want)
		}
	}
	f, err := parseFacts([]byte("facts\t1\naddress\t10.0.0.1/24 eth0\nroute\t4 10.96.0.0/12 eth0 4096\nroute\t4 10.97.0.0/16 eth0 x\nservice-route\t10.0.0.1 10.96.0.0/12\n" + wholeAnswer))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Routes) != 2 || !f.SetByUs(f.Routes[0]) || f.SetByUs(f.Routes[1]) {
		t.Errorf("of %+v, want the first to be ours", f.Routes)
	}
}
