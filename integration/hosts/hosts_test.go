//go:build hosts

package hosts

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// testSpec spreads all properties and systems over as few hosts as they can be on.
func testSpec() Spec {
	return Spec{Name: "kt", Hosts: []HostSpec{
		{Harsh: []Property{NoConntrack, TwoNICs, DualStack, DataRootHome}},
		{Harsh: []Property{Firewall, SecurePath, NoNameserver}},
		{Harsh: []Property{IPv6Only, NoDefaultRoute, NoexecTmp, SlowLink}},
		{Harsh: []Property{LoopbackNameserver}, System: "bullseye"},
		{Harsh: []Property{ReadonlyUsr, Umask077}, System: "trixie"},
		{Harsh: []Property{ForeignEtcd, ForeignContainerd, NameLocalhost}},
	}}
}

// TestHosts brings up one set of hosts and asks them from inside.
func TestHosts(t *testing.T) {
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	lab, err := UpAs(t.Context(), top, testSpec())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := lab.Down(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Run("systems", func(t *testing.T) { systems(t, lab) })
	t.Run("properties", func(t *testing.T) { properties(t, lab) })
	t.Run("checks", func(t *testing.T) { checks(t, lab, expected()) })
	t.Run("firewall", func(t *testing.T) { firewall(t, lab) })
	t.Run("two families", func(t *testing.T) { families(t, lab) })
	t.Run("slow link", func(t *testing.T) {
		got := output(t, lab.Command(t.Context(), "tc", "qdisc", "show", "dev", "v3"))
		if !strings.Contains(got, "rate 20Mbit") {
			t.Errorf("towards h3: got %q, want a rate of 20Mbit", got)
		}
	})
	t.Run("disk", func(t *testing.T) { disk(t, lab) })
	t.Run("power cut and fresh", func(t *testing.T) { lives(t, lab) })
	t.Run("up again", func(t *testing.T) { upAgain(t, top, lab) })
	t.Run("two labs", func(t *testing.T) { twoLabs(t, top, lab) })
	t.Run("down", func(t *testing.T) { down(t, lab) })
}

func systems(t *testing.T, lab *Lab) {
	for i, want := range []string{"bookworm", "bookworm", "bookworm", "bullseye", "trixie", "bookworm"} {
		got := inside(t, lab, i+1, `. /etc/os-release; echo "$VERSION_CODENAME"; systemctl is-system-running; modprobe ip_vs && echo modules`)
		if got != want+" running modules" {
			t.Errorf("h%d: got %q, want %q", i+1, got, want+" running modules")
		}
		if lab.Hosts[i].System != want {
			t.Errorf("h%d in the inventory: got %q, want %q", i+1, lab.Hosts[i].System, want)
		}
	}
}

// properties runs a command on a host with the property and on one without it.
func properties(t *testing.T, lab *Lab) {
	seen := map[Property]bool{Firewall: true} // the firewall has a test of its own
	for _, c := range propertyCases() {
		seen[c.property] = true
		t.Run(string(c.property), func(t *testing.T) {
			if got := inside(t, lab, c.host, c.command); got != c.want {
				t.Errorf("h%d: got %q, want %q", c.host, got, c.want)
			}
			if got := inside(t, lab, c.other, c.command); got != c.wantOther {
				t.Errorf("h%d, without the property: got %q, want %q", c.other, got, c.wantOther)
			}
		})
	}
	listed := output(t, lab.command(t.Context(), "hosts.sh", "harsh"))
	for line := range strings.Lines(listed) {
		name, description, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !seen[Property(name)] || strings.TrimSpace(description) == "" {
			t.Errorf("%q is not tested, or has no description", name)
		}
	}
	if got := len(strings.Fields(strings.ReplaceAll(strings.ReplaceAll(listed, " ", ""), "\n", " "))); got != len(seen) {
		t.Errorf("hosts.sh lists %d properties, want %d", got, len(seen))
	}
}

// firewall listens on h2, which has a firewall, and on h4, which does not, and connects from h1.
func firewall(t *testing.T, lab *Lab) {
	for _, i := range []int{2, 4} {
		inside(t, lab, i, "systemd-run --quiet --unit=listener socat TCP-LISTEN:6443,fork,reuseaddr EXEC:/bin/true")
		inside(t, lab, i, "for n in $(seq 50); do ss -Htln | grep -q ':6443 ' && exit; sleep .1; done; exit 1")
	}
	for target, want := range map[string]string{
		"10.77.0.12/6443": "closed", "10.77.0.12/22": "open", "10.77.0.14/6443": "open", "10.77.0.14/22": "open",
	} {
		got := inside(t, lab, 1, fmt.Sprintf("if timeout 3 bash -c '< /dev/tcp/%s' 2> /dev/null; then echo open; else echo closed; fi", target))
		if got != want {
			t.Errorf("%s from h1: got %q, want %q", target, got, want)
		}
	}
}

// families reaches h1, which has both, from h3, which has IPv6 only.
func families(t *testing.T, lab *Lab) {
	command := `for a in fd77::11 10.77.0.11; do if ping -c 1 -W 2 $a > /dev/null 2>&1; then echo yes; else echo no; fi; done`
	if got, want := inside(t, lab, 3, command), "yes no"; got != want {
		t.Errorf("h1 from h3 over IPv6, over IPv4: got %q, want %q", got, want)
	}
	if got, want := lab.Hosts[2].Address, "fd77::13"; got != want {
		t.Errorf("address of h3 in the inventory: got %q, want %q", got, want)
	}
}

func disk(t *testing.T, lab *Lab) {
	got := inside(t, lab, 4, `if fallocate -l 40G /var/big 2> /dev/null; then echo allocated; fi; rm -f /var/big
fallocate -l 20G /var/big && df --output=pcent /var | tail -1 | tr -dc 0-9; rm /var/big`)
	if got != "68" {
		t.Errorf("use of a disk of 30 GB with a file of 20: got %q, want 68, and no file of 40", got)
	}
}

// lives cuts the power of h4, which keeps its disk, and installs it again, which does not.
func lives(t *testing.T, lab *Lab) {
	inside(t, lab, 4, "echo kept > /root/note; sync")
	if err := lab.Kill(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	if out, err := lab.SSH(t.Context(), 4, nil, "true"); err == nil {
		t.Errorf("h4 answers without power: %s", out)
	}
	if err := lab.Start(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	if got := inside(t, lab, 4, "cat /root/note"); got != "kept" {
		t.Errorf("after a power cut: got %q, want %q", got, "kept")
	}
	id := inside(t, lab, 4, "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub")
	if err := lab.Fresh(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	if got := inside(t, lab, 4, "cat /root/note 2> /dev/null || . /etc/os-release; echo $VERSION_CODENAME; cat /etc/resolv.conf"); got != "bullseye nameserver 127.0.0.1" {
		t.Errorf("a fresh h4: got %q, want no note, the same system and the same property", got)
	}
	if inside(t, lab, 4, "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub") == id {
		t.Error("a fresh h4 is the same machine")
	}
}

// upAgain asks for another h4 and the same others.
func upAgain(t *testing.T, top string, lab *Lab) {
	boot := "cat /proc/sys/kernel/random/boot_id /etc/machine-id; stat -c %Y /proc/1"
	before := inside(t, lab, 1, boot)
	spec := testSpec()
	spec.Hosts[3] = HostSpec{}
	if _, err := UpAs(t.Context(), top, spec); err != nil {
		t.Fatal(err)
	}
	if got := inside(t, lab, 4, ". /etc/os-release; echo $VERSION_CODENAME; cat /etc/resolv.conf"); got != "bookworm nameserver 10.77.0.1" {
		t.Errorf("h4: got %q, want a friendly one", got)
	}
	if got := inside(t, lab, 1, boot); got != before {
		t.Errorf("h1, which stays as it is: got %q, want %q", got, before)
	}
	spec.Hosts[3].Harsh = []Property{NoNameserver, LoopbackNameserver}
	if _, err := UpAs(t.Context(), top, spec); err == nil || !strings.Contains(err.Error(), "one host cannot be both loopback-nameserver and no-nameserver") {
		t.Errorf("contradictory properties: got %v", err)
	}
	spec.Hosts[3].Harsh = []Property{"no-electricity"}
	if _, err := UpAs(t.Context(), top, spec); err == nil || !strings.Contains(err.Error(), `no such property: "no-electricity"`) {
		t.Errorf("an unknown property: got %v", err)
	}
}

// twoLabs brings a second lab up and down next to the first one, which keeps its hosts and kernel settings.
func twoLabs(t *testing.T, top string, lab *Lab) {
	second, err := UpAs(t.Context(), top, Spec{Name: "ku", Hosts: make([]HostSpec, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if got := inside(t, second, 1, "hostname"); got != "h1" {
		t.Errorf("the second lab's h1: got %q", got)
	}
	want := settings(t)
	if err := second.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := settings(t); !slices.Equal(got, want) {
		t.Errorf("kernel settings when the second lab is down: got %v, want %v", got, want)
	}
	if got := want[0]; got != "8192" {
		t.Errorf("max_user_instances of the labs: got %s, want 8192", got)
	}
	inside(t, lab, 1, "true")
	leftovers(t, second)
}

func down(t *testing.T, lab *Lab) {
	old, err := os.ReadFile("/run/kubefile-labs.before")
	if err != nil {
		t.Fatal(err)
	}
	want := settings(t)
	if err := lab.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/run/kubefile-labs.before"); os.IsNotExist(err) { // no other lab is up
		want = nil
		for line := range strings.Lines(string(old)) {
			want = append(want, strings.Fields(line)[1])
		}
	}
	if got := settings(t); !slices.Equal(got, want) {
		t.Errorf("kernel settings: got %v, want %v", got, want)
	}
	leftovers(t, lab)
}

// leftovers looks for what a lab that is down must not leave.
func leftovers(t *testing.T, lab *Lab) {
	t.Helper()
	for what, command := range map[string]string{
		"network namespaces": "ip netns list | grep '^" + lab.name + "-'",
		"cgroups":            "ls -d /sys/fs/cgroup/*/" + lab.name,
		"mounts":             "findmnt -rno TARGET | grep -F '" + filepath.Clean(lab.directory()) + "'",
		"loop devices":       "losetup -nlO BACK-FILE | grep -F '" + filepath.Clean(lab.directory()) + "/'",
		"processes":          "pgrep -af '[b]oot-loop.sh " + lab.name + " |[s]ystemd-nspawn .*-M " + lab.name + "-'",
		"files":              "ls -d '" + lab.directory() + "' /run/kubefile-lab-" + lab.name,
	} {
		if out, err := exec.CommandContext(t.Context(), "bash", "-c", command+" 2> /dev/null").Output(); err == nil || len(out) > 0 {
			t.Errorf("%s are left: %s", what, out)
		}
	}
}

// settings are the kernel settings that labs share.
func settings(t *testing.T) []string {
	t.Helper()
	var values []string
	for _, name := range []string{"fs/inotify/max_user_instances", "fs/inotify/max_user_watches", "net/netfilter/nf_conntrack_max"} {
		data, err := os.ReadFile(filepath.Join("/proc/sys", name))
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, strings.TrimSpace(string(data)))
	}
	return values
}

// inside returns what a command on host i prints, with single spaces between the words.
func inside(t *testing.T, lab *Lab, i int, command string) string {
	t.Helper()
	out, err := lab.SSH(t.Context(), i, nil, command)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd.Args, err, out)
	}
	return string(out)
}
