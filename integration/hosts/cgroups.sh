#!/bin/bash
# cgroups.sh: one cgroup per host in every hierarchy; it becomes the root of the host's cgroup namespace. Sourced by hosts.sh.
: "${lab:?}"
cgroups=/sys/fs/cgroup
controllers="cpu cpuacct cpuset memory devices freezer blkio pids systemd unified"

make_cgroups() {
  local h=$1 c
  for c in $controllers; do
    [ -d "$cgroups/$c" ] || continue
    mkdir -p "$cgroups/$c/$lab"
    if [ "$c" = cpuset ]; then
      echo 1 > "$cgroups/$c/$lab/cgroup.clone_children"
      cat "$cgroups/$c/cpuset.cpus" > "$cgroups/$c/$lab/cpuset.cpus"
      cat "$cgroups/$c/cpuset.mems" > "$cgroups/$c/$lab/cpuset.mems"
    fi
    mkdir -p "$cgroups/$c/$lab/$h"
  done
  # By default the kernel gives all hosts of a lab together as much as one process of the machine: next to a compiler they starve.
  [ ! -d "$cgroups/cpu/$lab" ] || echo 16384 > "$cgroups/cpu/$lab/cpu.shares"
}

enter_cgroups() {
  local c
  for c in $controllers; do
    [ ! -d "$cgroups/$c/$lab/$1" ] || echo "$BASHPID" > "$cgroups/$c/$lab/$1/cgroup.procs"
  done
}

# remove_cgroups removes the cgroups of one host, or of all hosts without an argument. Dead processes leave theirs a moment later.
remove_cgroups() {
  local c
  for _ in $(seq 20); do
    for c in $controllers; do
      [ -d "$cgroups/$c/$lab" ] || continue
      find "$cgroups/$c/$lab${1:+/$1}" -depth -type d -exec rmdir {} + 2> /dev/null || true
    done
    compgen -G "$cgroups/*/$lab${1:+/$1}" > /dev/null || return 0
    sleep .25
  done
}
