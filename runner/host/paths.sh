#!/bin/sh
# Tries to connect from this host to ADDRESS,PORT of each argument, and prints "path<TAB>ADDRESS PORT STATE" for each. It sends nothing.
# Every program beyond sh may be missing: without one that can connect, the state is "untried".
LC_ALL=C
export LC_ALL
have() { command -v "$1" >/dev/null 2>&1; }
say() { printf 'path\t%s %s %s\n' "$address" "$port" "$1"; }

state_of() {
  case $1 in
    *refused*) say refused ;;
    *"imed out"* | *imeout*) say timeout ;;
    *nreachable* | *"o route to host"* | *rohibited* | *"ermission denied"*) say unreachable ;;
    *) say unknown ;;
  esac
}

if have bash && have timeout; then
  # shellcheck disable=SC2016 # that shell expands it
  try() {
    said=$(timeout 3 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$address" "$port" 2>&1 </dev/null)
    case $? in 0) say open ;; 124) say timeout ;; *) state_of "$said" ;; esac
  }
elif have curl; then
  try() {
    host=$address
    case $address in *:*) host="[$address]" ;; esac
    said=$(curl -sv --noproxy '*' --connect-timeout 3 --max-time 4 -o /dev/null "http://$host:$port/" 2>&1 </dev/null)
    code=$?
    case $code in
      7) state_of "$said" ;;
      28) case $said in *onnected\ to*) say open ;; *) say timeout ;; esac ;;
      *) case $said in *onnected\ to*) say open ;; *) state_of "$said" ;; esac ;;
    esac
  }
else
  try() { say untried; }
fi

running=0
for pair; do
  address=${pair%,*}
  port=${pair##*,}
  try &
  running=$((running + 1))
  if [ $((running % 32)) -eq 0 ]; then wait; fi
done
wait
exit 0
