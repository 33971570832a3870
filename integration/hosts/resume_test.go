//go:build hosts

package hosts

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// parts runs functions of the scripts that hosts.sh sources, as the lab kv, with a pool in a directory of the test's own.
func parts(ctx context.Context, dir, command string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", `
. ./lab.sh
out=$DIR
. ./packages.sh; . ./settings.sh; . ./network.sh; . ./harsh.sh; . ./disk.sh
need iproute2 xfsprogs e2fsprogs
pool_size=400M
`+command)
	cmd.Env = append(os.Environ(), "LAB_NAME=kv", "DIR="+dir, "LAB_RUN="+dir)
	return cmd
}

// TestInterruptedNetworksAreMadeAgain begins with what an interrupt leaves at each step.
func TestInterruptedNetworksAreMadeAgain(t *testing.T) {
	dir := t.TempDir()
	t.Cleanup(func() { output(t, parts(context.Background(), dir, "remove_all_networks")) })
	complete := `network 1
for bridge in 10.77.0.1 10.78.0.1; do
  { ip netns exec kv-h1 timeout 10 bash -c "< /dev/tcp/$bridge/9" 2>&1 || true; } | grep -q refused || { echo "no answer from $bridge"; exit 1; }
done`
	if err := os.WriteFile(filepath.Join(dir, "h1.spec"), []byte("bookworm two-nics,slow-link\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, left := range []string{
		"mkdir -p /run/netns; : > /run/netns/kv-lan",
		"ip netns add kv-lan; ip -n kv-lan link add br0 type bridge",
		"delivery_machine; : > /run/netns/kv-h1",
		"delivery_machine; ip netns add kv-h1; ip -n kv-lan link add v1 type veth peer name eth0 netns kv-h1",
		"delivery_machine; ip -n kv-lan link add br1 type bridge; ip netns add kv-h1; wire 1 br0 v1 eth0",
		"network 1; ip -n kv-h1 link set lo down",
	} {
		output(t, parts(t.Context(), dir, "remove_all_networks"))
		output(t, parts(t.Context(), dir, left))
		if out, err := parts(t.Context(), dir, complete).CombinedOutput(); err != nil {
			t.Errorf("after %q: %v: %s", left, err, out)
		}
	}
	// A complete network stays.
	output(t, parts(t.Context(), dir, `link=$(ip -n kv-lan link show v1); network 1; [ "$link" = "$(ip -n kv-lan link show v1)" ]`))
	output(t, parts(t.Context(), dir, "remove_network 1; remove_network 1"))
}

// TestInterruptedDisksAreMadeAgain does the same with the pool and the disk of a host.
func TestInterruptedDisksAreMadeAgain(t *testing.T) {
	dir := t.TempDir()
	t.Cleanup(func() {
		output(t, parts(context.Background(), dir, "umount -R $out/h1 2> /dev/null || true; unmount_pool"))
	})
	if err := os.WriteFile(filepath.Join(dir, "h1.spec"), []byte("bookworm \n"), 0o644); err != nil {
		t.Fatal(err)
	}
	template := `make_template() { # a small one
  mkdir -p $out/template/root/etc
  [ -f $out/template/disk.img ] || { truncate -s 64M $out/template/disk.img; mkfs.ext4 -q -b 4096 -d $out/template/root $out/template/disk.img; }
  echo $out/template
}
`
	complete := template + `mount_pool
disk 1
[ "$(cat $out/h1/etc/hostname)" = h1 ]
grep -q '^10.77.0.11 h1$' $out/h1/etc/hosts
[ ! -e $out/h1/half ]
`
	for _, left := range []string{
		"mkdir -p $out; truncate -s $pool_size $pool.img.new; mkfs.xfs -q -m reflink=1 -l size=64m $pool.img.new",
		"mkdir -p $out; mount --bind $out $out",
		"mount_pool; touch $pool/h1.unfinished; clone 1",
		"mount_pool; touch $pool/h1.unfinished; clone 1; losetup -f $pool/h1.img",
		"apply_properties() { if [ $1 = on_disk ]; then touch $2/half; exit 0; fi; }; mount_pool; disk 1",
	} {
		output(t, parts(t.Context(), dir, template+left))
		if out, err := parts(t.Context(), dir, complete).CombinedOutput(); err != nil {
			t.Errorf("after %q: %v: %s", left, err, out)
		}
		output(t, parts(t.Context(), dir, template+complete+"touch $out/h1/kept; disk 1; [ -e $out/h1/kept ]"))
		output(t, parts(t.Context(), dir, "unmount $out/h1; unmount_pool; rm -rf $out/pool $out/pool.img"))
	}
}
