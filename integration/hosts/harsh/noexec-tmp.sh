#!/bin/bash
# /tmp, /var/tmp and /dev/shm are mounted noexec
on_disk() {
  mkdir -p "$1/etc/lab-init.d"
  cat > "$1/etc/lab-init.d/noexec-tmp.sh" << 'END'
mount -n --bind /var/tmp /var/tmp
for m in /tmp /var/tmp /dev/shm; do mount -n -o remount,bind,nosuid,nodev,noexec "$m"; done
END
}
