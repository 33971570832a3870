#!/bin/bash
# / has 2 GB, and /home is a big disk of its own: a data root must be under /home
: "${pool:?}"
on_image() {
  local home=$pool/h$2.home.img
  e2fsck -fy "$1" > /dev/null 2>&1 || [ $? = 1 ] # 1: it made lost+found
  resize2fs "$1" 2G 2> /dev/null > /dev/null
  truncate -s 2G "$1"
  rm -f "$home"
  truncate -s 30G "$home"
  mkfs.ext4 -q -m 0 -N 500000 -E lazy_itable_init=1,lazy_journal_init=1,nodiscard "$home"
}
on_disk() {
  mv "$1/home" "$1/home.old"
  on_mount "$1" "$2"
  cp -a "$1/home.old/." "$1/home/"
  rm -rf "$1/home.old"
}
on_mount() { attach "$pool/h$2.home.img" "$1/home"; }
