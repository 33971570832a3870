#!/usr/bin/env bash
# rootfs.sh RELEASE [PACKAGE,...] makes the disk template of hosts with this release of Debian and these packages in addition,
# once per recipe, and prints its directory. rootfs.sh keys prints the directory of the keys that log in.
#
# A template is a sparse ext4 image in the cache; a host's disk is a clone of it. A directory shared with the machine would
# show the kubelet the machine's own disk, and with it DiskPressure.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${KUBEFILE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kubefile}
disk_size=30G
release=$1 extra=${2:-}

# What a bare Debian server has or kubeadm asks for; no container runtime, no Kubernetes.
packages=systemd,systemd-sysv,dbus,openssh-server,iptables,nftables,iproute2,conntrack,ethtool,socat,kmod,procps,curl
packages+=,ca-certificates,util-linux,mount,ebtables,tar,gzip,iputils-ping,less,libseccomp2,sudo,netbase,hostname,libpam-modules

keys=$cache/rootfs/keys
recipe=$({ cat "$here/rootfs.sh" "$here/lab-init" "$here/lab-host-keys"; echo "$extra"; } | sha256sum | cut -c1-12)
root=$cache/rootfs/$release-$recipe

# One plain and one encrypted key, made once per machine: a private key has no place in a repository.
make_keys() {
  local tmp=$keys.tmp.$$
  [ ! -d "$keys" ] || return 0
  mkdir -p "$tmp"
  ssh-keygen -q -t ed25519 -N '' -C lab -f "$tmp/id_lab"
  ssh-keygen -q -t ed25519 -N lab-pass -C lab-encrypted -f "$tmp/id_encrypted"
  mv -T "$tmp" "$keys" 2> /dev/null || rm -rf "$tmp" # another lab was faster
}

units_without_hardware() {
  printf '%s\n' systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-udev-trigger.service \
    systemd-networkd.service systemd-resolved.service getty.target console-getty.service autovt@.service apt-daily.timer \
    apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer e2scrub_reap.service systemd-timesyncd.service \
    sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount dev-mqueue.mount systemd-modules-load.service
}

# The kernel has everything built in and /lib/modules is absent: without this list "modprobe br_netfilter", which every
# installer runs, fails. ip_vs is what plugins of the old tool's documentation load.
builtin_modules() {
  local dir=$1 m
  mkdir -p "$dir"
  : > "$dir/modules.order"
  : > "$dir/modules.builtin.modinfo"
  for m in net/bridge/br_netfilter net/bridge/bridge fs/overlayfs/overlay net/netfilter/nf_conntrack net/netfilter/nf_nat \
    net/netfilter/nf_tables net/netfilter/xt_conntrack net/netfilter/xt_MASQUERADE net/netfilter/xt_comment \
    net/netfilter/xt_addrtype net/ipv4/netfilter/ip_tables net/ipv4/netfilter/iptable_nat net/ipv4/netfilter/iptable_filter \
    net/ipv6/netfilter/ip6_tables net/netfilter/ipvs/ip_vs drivers/net/vxlan/vxlan drivers/net/veth drivers/net/tun fs/fuse/fuse drivers/block/loop; do
    echo "kernel/$m.ko"
    printf '%s.license=GPL\0' "${m##*/}" >> "$dir/modules.builtin.modinfo" # without it modprobe of Debian 11 knows no module
  done > "$dir/modules.builtin"
}

configure() {
  local r=$1 unit
  install -d -m700 "$r/root/.ssh"
  cat "$keys"/id_*.pub > "$r/root/.ssh/authorized_keys"
  chmod 600 "$r/root/.ssh/authorized_keys"
  printf 'PermitRootLogin yes\nPasswordAuthentication yes\nUseDNS no\n' > "$r/etc/ssh/sshd_config.d/lab.conf"
  # Each host makes host keys of its own at its first boot, as an installed machine does. None is RSA: that takes longer than
  # the rest of the boot.
  rm -f "$r"/etc/ssh/ssh_host_*
  mkdir -p "$r/etc/systemd/system/ssh.service.d"
  printf '[Service]\nExecStartPre=\nExecStartPre=/usr/local/sbin/lab-host-keys\nExecStartPre=/usr/sbin/sshd -t\n' \
    > "$r/etc/systemd/system/ssh.service.d/host-keys.conf"
  install -m755 "$here/lab-host-keys" "$r/usr/local/sbin/lab-host-keys"
  : > "$r/etc/machine-id"
  rm -f "$r/var/lib/dbus/machine-id"
  for unit in $(units_without_hardware); do ln -sfn /dev/null "$r/etc/systemd/system/$unit"; done
  mkdir -p "$r/etc/systemd/journald.conf.d"
  printf '[Journal]\nStorage=volatile\nRateLimitBurst=0\nReadKMsg=no\nAudit=no\n' > "$r/etc/systemd/journald.conf.d/lab.conf"
  chroot "$r" systemctl enable ssh.service > /dev/null 2>&1
  ln -sfn /lib/systemd/system/multi-user.target "$r/etc/systemd/system/default.target"
  # No resolver answers: there is no route out. An address on the lab's LAN refuses at once, where none would time out.
  echo 'nameserver 10.77.0.1' > "$r/etc/resolv.conf"
  install -m755 "$here/lab-init" "$r/usr/local/sbin/lab-init"
  builtin_modules "$r/lib/modules/$(uname -r)"
  chroot "$r" depmod "$(uname -r)"
  chroot "$r" useradd -m -s /bin/bash -G sudo ops
  chroot "$r" useradd -m -s /bin/bash nosudo
  printf 'root:lab-root\nops:lab-ops\nnosudo:lab-nosudo\n' | chroot "$r" chpasswd
}

# sources prints the machine's package sources with the release of the host in place of its own.
sources() {
  local file own
  # shellcheck source=/dev/null
  own=$(. /etc/os-release && echo "$VERSION_CODENAME")
  for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do [ ! -e "$file" ] || break; done
  sed "s/\b$own\b/$release/g" "$file"
}

build() {
  local tmp=$root.tmp.$$
  trap 'umount -q "'"$tmp"'/mnt" 2> /dev/null || true; rm -rf "'"$tmp"'"' EXIT
  mkdir -p "$tmp/mnt"
  truncate -s "$disk_size" "$tmp/disk.img"
  # Fewer inodes than usual: their tables would be most of the template.
  mkfs.ext4 -q -m 0 -N 500000 -E lazy_itable_init=1,lazy_journal_init=1,nodiscard "$tmp/disk.img"
  mount -o loop,noinit_itable "$tmp/disk.img" "$tmp/mnt"
  # mmdebstrap wants an empty directory: lost+found comes back with the first fsck
  rmdir "$tmp/mnt/lost+found"
  sources | mmdebstrap --quiet --variant=minbase --mode=root --include="$packages${extra:+,$extra}" \
    --aptopt='Apt::Install-Recommends "false"' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' "$release" "$tmp/mnt" - >&2
  configure "$tmp/mnt"
  umount "$tmp/mnt"
  rmdir "$tmp/mnt"
  mv -T "$tmp" "$root" 2> /dev/null || [ -f "$root/disk.img" ] # another clone was faster
}

# shellcheck source=packages.sh
. "$here/packages.sh"
mkdir -p "$cache/rootfs"
if [ "$release" = keys ]; then
  need openssh-client
  make_keys
  echo "$keys"
  exit
fi
if [ ! -f "$root/disk.img" ]; then
  need mmdebstrap e2fsprogs util-linux kmod openssh-client
  make_keys
  echo "making the template of $release hosts${extra:+ with $extra}" >&2
  build
fi
echo "$root"
