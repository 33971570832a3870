package host

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestModules: a module that is not loaded is in the lists of the kernel's own directory, or missing; without the lists that is not known.
func TestModules(t *testing.T) {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	dir := "/lib/modules/" + strings.TrimSpace(string(release)) + "/"
	want := map[string]string{
		"overlay": "builtin", "vxlan": "builtin", "ip_vs": "loadable", "br_netfilter": "loadable",
		"nf_conntrack": "missing", "ip_vs_rr": "missing", "nf_tables": "missing", "ip_tables": "missing", "xt_comment": "missing",
	}
	loaded, err := os.ReadFile("/proc/modules")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for name := range want {
		_, err := os.Stat("/sys/module/" + name)
		if err == nil || strings.Contains("\n"+string(loaded), "\n"+name+" ") {
			want[name] = "loaded"
		}
	}
	lists := map[string]string{
		dir + "modules.builtin": "kernel/fs/overlayfs/overlay.ko\nkernel/drivers/net/vxlan/vxlan.ko\nkernel/x/not_nf_conntrack.ko\n",
		dir + "modules.dep":     "kernel/net/netfilter/ipvs/ip_vs.ko.xz: kernel/x/other.ko.xz\nkernel/net/bridge/br_netfilter.ko:\nkernel/x/ip_tables_more.ko:\n",
	}
	if got := look(t, lists).Modules; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := slices.Collect(maps.Values(look(t, nil).Modules)); slices.ContainsFunc(got, func(state string) bool { return state != "loaded" }) {
		t.Errorf("without lists: got %v, want loaded ones only", got)
	}
}
