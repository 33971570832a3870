#!/bin/bash
# sudo resets PATH to RHEL's default, without /usr/local
on_disk() {
  echo 'Defaults secure_path="/sbin:/bin:/usr/sbin:/usr/bin"' > "$1/etc/sudoers.d/zz-secure-path"
  chmod 440 "$1/etc/sudoers.d/zz-secure-path"
}
