#!/bin/bash
# /usr is mounted read-only, as on systems that are replaced as a whole
on_disk() {
  mkdir -p "$1/etc/lab-init.d"
  printf 'mount -n --bind /usr /usr\nmount -n -o remount,bind,ro /usr\n' > "$1/etc/lab-init.d/readonly-usr.sh"
}
