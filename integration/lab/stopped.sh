#!/usr/bin/env bash
# stopped.sh OUT: fails, and prints what to run, while a lab of this clone uses OUT: it has disks of hosts mounted there, and files of services.
set -euo pipefail
[ -d "$1" ] || exit 0
out=$(cd "$1" && pwd -P)
labs=() services=

# The fifth field is the mount point, with spaces and such as octal numbers (proc_pid_mountinfo(5)).
while read -r _ _ _ _ point _; do
  point=$(printf '%b' "$point")
  case $point in
    "$out"/hosts | "$out"/hosts/*) labs+=(kf) ;;
    "$out"/hosts-*) point=${point#"$out"/hosts-}; labs+=("${point%%/*}") ;;
    "$out"/*) services=yes ;;
  esac
done < <(cat /proc/self/mountinfo 2> /dev/null || true)

# A number may belong to another process by now, which does not have OUT in its command line.
for record in "$out"/lab/*.json; do
  pid=$(sed -n 's/.*"pid": *\([0-9][0-9]*\).*/\1/p' "$record" 2> /dev/null | head -n 1) || true
  if [ -n "$pid" ] && grep -qsF -- "$out/" "/proc/$pid/cmdline"; then services=yes; fi
done

commands=()
while read -r lab; do
  case $lab in
    '') ;;
    kf) commands+=("make hosts-down") ;;
    *) commands+=("LAB_NAME=$lab make hosts-down") ;;
  esac
done < <(printf '%s\n' "${labs[@]}" | sed 's/^\(kf[23]\|kt\|ku\)$/kf/' | sort -u) # those too are stopped by a plain make hosts-down
if [ -n "$services" ]; then
  if [ ${#commands[@]} -gt 0 ]; then commands[-1]+=' down'; else commands=("make down"); fi
fi
[ ${#commands[@]} -gt 0 ] || exit 0
printf -v all ' && %s' "${commands[@]}"
echo "a lab is up, and its disks and files are in $out; stop it first: ${all# && }" >&2
exit 1
