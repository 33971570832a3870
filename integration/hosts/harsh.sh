#!/bin/bash
# harsh.sh: properties of harsh hosts. Sourced by hosts.sh.
#
# Each property is a file harsh/NAME.sh, whose second line describes it. It defines any of these functions:
#   packages              prints Debian packages that the host's template has in addition
#   conflicts             prints properties that contradict it
#   on_image FILE I       changes the new disk of host I, which is not mounted yet
#   on_disk DIRECTORY I   changes the mounted new disk, before the first boot
#   on_mount DIRECTORY I  changes the mounted disk, before every boot that mounts it
#   on_network NAMESPACE I changes the new network namespace
: "${here:?}" "${lab:?}" "${out:?}"

property_names() { (cd "$here/harsh" && printf '%s\n' *.sh | sed 's/\.sh$//'); }

list_properties() {
  local name
  for name in $(property_names); do printf '%-20s %s\n' "$name" "$(sed -n '2s/^# //p' "$here/harsh/$name.sh")"; done
}

# property NAME FUNCTION ARGUMENT... calls a function of a property if it has it, in a shell of its own.
property() {
  local name=$1 step=$2
  shift 2
  (
    # shellcheck source=/dev/null
    . "$here/harsh/$name.sh"
    ! declare -F "$step" > /dev/null || "$step" "$@"
  )
}

packages_of() {
  local name
  for name in $(properties_of "$1"); do property "$name" packages; done | xargs -n1 | sort -u | paste -sd,
}

# check_properties NAME... refuses names that are not there and pairs that contradict each other.
check_properties() {
  local name other
  for name in "$@"; do
    [ -f "$here/harsh/$name.sh" ] || die "no such property: \"$name\"; hosts.sh harsh lists them"
  done
  for name in "$@"; do
    for other in $(property "$name" conflicts); do
      case " $* " in *" $other "*) die "one host cannot be both $name and $other" ;; esac
    done
  done
}

# apply_properties FUNCTION ARGUMENT I calls a function of each property of host I.
apply_properties() {
  local name
  for name in $(properties_of "$3"); do property "$name" "$@"; done
}
