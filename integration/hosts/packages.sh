#!/bin/bash
# need PACKAGE...: installs the Debian packages that are missing, and calls apt only then, one at a time. Sourced, not run.
need() {
  local missing=() p
  for p in "$@"; do
    dpkg-query -W -f '${Status}' "$p" 2> /dev/null | grep -q 'ok installed' || missing+=("$p")
  done
  [ ${#missing[@]} -eq 0 ] && return
  echo "installing Debian packages: ${missing[*]}" >&2
  (
    flock 7
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
  ) 7> /run/lock/kubefile-packages
}
