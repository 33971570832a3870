#!/bin/bash
# lab.sh: the names and places of one lab. Sourced, not run. LAB_NAME distinguishes labs: each has its own hosts, namespaces and cgroups.
# Two labs of one clone can be up at the same time.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
lab=${LAB_NAME:-kf}
out=$top/_out/hosts
[ "$lab" = kf ] || out=$out-$lab

die() { echo "hosts.sh: $*" >&2; exit 1; }
[[ $lab =~ ^[a-z][a-z0-9]{0,9}$ ]] || die "invalid LAB_NAME \"$lab\": use up to 10 lower-case letters and digits"

alive() { [ -d "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status" 2> /dev/null; }
is() { grep -qs -- "$2" "/proc/$1/cmdline"; } # a pid is killed only while it is what it was

# What a host is made of is in its .spec file: the release of its system and its harsh properties, separated by commas.
numbers() { find "$out" -maxdepth 1 -regex '.*/h[0-9]+\.[a-z]+' -printf '%f\n' 2> /dev/null | sed 's/^h//; s/\..*//' | sort -nu; }

# no_hosts says what starts hosts of this lab, or finds another lab.
no_hosts() {
  local prefix=
  [ "$lab" = kf ] || prefix="LAB_NAME=$lab "
  echo "no hosts in lab $lab: start some (${prefix}make hosts), or name a lab that has them (LAB_NAME=...)"
}

# require_host NUMBER ends a command for a host that is not in this lab.
require_host() {
  local known
  [[ ${1:-} =~ ^[1-9][0-9]?$ ]] || die "invalid host \"${1:-}\": give its number, such as 1 for h1"
  [ ! -f "$out/h$1.spec" ] || return 0
  known=$(numbers | sed 's/^/h/' | paste -sd ' ') || true # there may be no directory
  [ -z "$known" ] || die "there is no host h$1 in lab $lab, which has $known"
  die "there is no host h$1: $(no_hosts)"
}

spec_of() { cat "$out/h$1.spec" 2> /dev/null || true; }
system_of() { spec_of "$1" | cut -d ' ' -f 1; }
properties_of() { spec_of "$1" | cut -s -d ' ' -f 2 | tr , ' '; }
has() { case " $(properties_of "$1") " in *" $2 "*) return 0 ;; esac; return 1; }

address() { if has "$1" ipv6-only; then address6 "$1"; else address4 "$1"; fi; }
address4() { echo "10.77.0.$((10 + $1))"; }
address6() { echo "fd77::$((10 + $1))"; }
name_of() { if has "$1" name-localhost; then echo localhost; else echo "h$1"; fi; }
