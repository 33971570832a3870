#!/bin/bash
# disk.sh: the hosts' disks. Sourced by hosts.sh.
#
# Each host has an ext4 file system of its own on a block device of its own, which can be filled. The devices are files of one
# XFS file system, the pool, where a file is cloned in no time and a clone holds only what changed. The pool is a sparse file.
: "${here:?}" "${labs:?}" "${out:?}"
pool=$out/pool
pool_size=512G

# Every namespace that is made on the machine has a copy of all mounts, which keeps their devices busy as long as it lives:
# those of other labs' hosts, for one. Below a shared mount the copies go when the mount does.
mount_pool() {
  mkdir -p "$pool"
  mountpoint -q "$out" || mount --bind "$out" "$out"
  mount --make-shared "$out"
  if [ ! -f "$pool.img" ]; then
    rm -f "$pool.img.new" # of an interrupted run
    truncate -s "$pool_size" "$pool.img.new"
    mkfs.xfs -q -K -m reflink=1 -l size=64m "$pool.img.new"
    mv "$pool.img.new" "$pool.img"
  fi
  mountpoint -q "$pool" || mount -o loop,discard "$pool.img" "$pool"
}

# attach IMAGE DIRECTORY mounts a disk. With direct I/O the data is in the page cache once and not again as the image's. The
# inode tables stay uninitialised: the kernel would fill them with zeroes in the background, 200 MB for each host.
attach() {
  local device
  mkdir -p "$2"
  mountpoint -q "$2" && return
  device=$(losetup --direct-io=on --show -f "$1")
  mount -o discard,noinit_itable "$device" "$2" || { losetup -d "$device"; return 1; }
  losetup -d "$device" # when it is unmounted
}

# make_template RELEASE [PACKAGE,...] prints the directory of a template. Labs that start at once wait for one instead of making it twice.
make_template() {
  check_cache
  flock "$labs/kubefile-template.lock" "$here/rootfs.sh" "$@"
}

# check_cache is for machines on which programs have no home, such as those of cron and CI.
check_cache() {
  [ -n "${KUBEFILE_CACHE:-}${XDG_CACHE_HOME:-}${HOME:-}" ] || die "HOME is not set; set KUBEFILE_CACHE to a directory that keeps tools and templates"
}

# clone I makes the disk of a host from the template of its system and the packages of its properties.
clone() {
  local i=$1 template base
  template=$(make_template "$(system_of "$i")" "$(packages_of "$i")")
  base=$pool/$(basename "$template").img
  if [ ! -f "$base" ]; then
    cp --sparse=always "$template/disk.img" "$base.$$"
    mv "$base.$$" "$base"
  fi
  cp --reflink=always "$base" "$pool/h$i.img.new"
  apply_properties on_image "$pool/h$i.img.new" "$i"
  mv "$pool/h$i.img.new" "$pool/h$i.img"
}

# disk I mounts the disk of host I. One that an interrupted run did not write to the end is made again.
disk() {
  local i=$1 root=$out/h$1
  if [ -f "$pool/h$i.unfinished" ]; then
    unmount "$root"
    remove_disk "$i"
  fi
  if [ -f "$pool/h$i.img" ]; then
    attach "$pool/h$i.img" "$root"
  else
    touch "$pool/h$i.unfinished"
    clone "$i"
    attach "$pool/h$i.img" "$root"
    name_of "$i" > "$root/etc/hostname"
    printf '127.0.0.1 localhost\n::1 localhost ip6-localhost\n%s %s\n' "$(address "$i")" "$(name_of "$i")" > "$root/etc/hosts"
    apply_properties on_disk "$root" "$i"
    rm "$pool/h$i.unfinished"
  fi
  apply_properties on_mount "$root" "$i"
}

# discard drops what is not written yet of a file system whose data goes anyway: unmounting it would wait until it is.
discard() { ! mountpoint -q "$1" || xfs_io -x -c shutdown "$1"; }

unmount() {
  for _ in $(seq 40); do
    mountpoint -q "$1" || return 0
    umount -R "$1" 2> /dev/null || sleep .25
  done
  die "$1 stays mounted"
}

# unmounted_devices prints those that an interrupt of attach left.
unmounted_devices() {
  local device file
  losetup -nlO NAME,BACK-FILE | while read -r device file; do
    if [[ $file = "$pool"/* ]] && ! findmnt -rn "$device" > /dev/null; then echo "$device"; fi
  done
}

unmount_pool() {
  local device
  for device in $(unmounted_devices); do losetup -d "$device" || true; done
  for _ in $(seq 40); do
    losetup -nlO BACK-FILE | grep -qF "$pool/" || break # a device goes a moment after its mount
    sleep .25
  done
  discard "$pool"
  unmount "$pool"
  ! mountpoint -q "$out" || umount -l "$out" # lazily: whoever reads a console there holds nothing but a directory
}

remove_disk() { rm -f "$pool/h$1".*; }
