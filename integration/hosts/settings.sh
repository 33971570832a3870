#!/bin/bash
# settings.sh: kernel settings that hosts need and no namespace has. Sourced by hosts.sh after lab.sh.
#
# They belong to all labs of the machine: the first lab that comes notes the old values, and the last that goes writes them back.
# A lab is there while one of its processes holds the lock on its file in /run, so a killed lab counts no longer.
: "${lab:?}" "${top:?}"
labs=${LAB_RUN:-/run}
proc_sys=${LAB_PROC_SYS:-/proc/sys}
owner=$labs/kubefile-lab-$lab # its content is the clone that the lab's names belong to
before=$labs/kubefile-labs.before

# kube-proxy writes nf_conntrack_max unless it reads what it wants already, and in a network namespace the file is read-only.
wanted_settings() {
  local connections=$(($(nproc) * 32768))
  [ "$connections" -ge 131072 ] || connections=131072
  printf '%s\n' "fs/inotify/max_user_instances 8192" "fs/inotify/max_user_watches 1048576" \
    "net/netfilter/nf_conntrack_max $connections"
}

write_settings() {
  local name value
  while read -r name value; do echo "$value" > "$proc_sys/$name"; done
}

# register_lab makes this lab a user of the settings. The hosts' processes inherit descriptor 9, and with it the lock.
register_lab() {
  local name
  exec 9>> "$owner"
  flock -s 9
  (
    flock 8
    if [ ! -f "$before" ]; then
      wanted_settings | while read -r name _; do echo "$name $(cat "$proc_sys/$name")"; done > "$before.new"
      mv "$before.new" "$before"
    fi
    wanted_settings | write_settings
  ) 8> "$labs/kubefile-labs.lock"
}

other_lab_is_up() {
  local file
  for file in "$labs"/kubefile-lab-*; do
    [ -f "$file" ] || continue
    flock -n -x "$file" true || return 0
  done
  return 1
}

unregister_lab() {
  (
    flock 8
    rm -f "$owner"
    if other_lab_is_up || [ ! -f "$before" ]; then return 0; fi
    write_settings < "$before"
    rm -f "$before"
  ) 8> "$labs/kubefile-labs.lock"
}

# The names in the kernel (namespaces, cgroups, bridge addresses) are one clone's at a time.

# other_owner prints the clone that the lab's names belong to, unless it is this one or nobody's: a clone that is removed and has no hosts.
other_owner() {
  local other
  other=$(cat "$owner" 2> /dev/null) || true
  if [ -z "$other" ] || [ "$other" = "$top" ]; then return; fi
  if in_use || [ -x "$other/integration/hosts/hosts.sh" ]; then echo "$other"; fi
}

# in_use reports whether hosts of the lab are up or being started.
in_use() { ! flock -n -x "$owner" true; }

# how_to_stop CLONE
how_to_stop() {
  if [ -x "$1/integration/hosts/hosts.sh" ]; then
    echo "stop it there (LAB_NAME=$lab make hosts-down)"
  else
    echo "its scripts are gone, so kill what pgrep -f 'boot-loop.sh $lab |systemd-nspawn .*-M $lab-' prints"
  fi
}

# claim makes the names this clone's. A clone whose hosts were killed, as when a CI job ends, has lost them: what it left is cleared
# away first.
claim() {
  local other
  other=$(other_owner)
  if [ -n "$other" ]; then
    ! in_use || die "lab $lab belongs to $other: $(how_to_stop "$other"), or choose another name (LAB_NAME=...)"
    "$other/integration/hosts/hosts.sh" down
  fi
  echo "$top" > "$owner"
}
