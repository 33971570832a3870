#!/usr/bin/env bash
# only.sh PATTERN go test ARGUMENT...: runs the tests that match, as go test -run does, and fails when there is none, as go test does not.
# The last part of the pattern has to match: of TestClusters/raod, TestClusters alone is not enough. Only packages with a test that the
# first part matches are compiled.
set -euo pipefail
pattern=$1
[ "$2 $3" = "go test" ] || { echo "only.sh: want a command go test, got $2 $3" >&2; exit 2; }
shift 3

# Packages begin with ./ and come after flags of go test, and before those of the tests.
tags='' before=() packages=() after=()
while [ $# -gt 0 ]; do
  case $1 in
    ./*) packages+=("$1") ;;
    *) if [ "${#packages[@]}" = 0 ]; then before+=("$1"); else after+=("$1"); fi ;;
  esac
  [ "$1" != -tags ] || tags=$2
  shift
done
[ "${#packages[@]}" -gt 0 ] || packages=(.)

nothing() {
  echo "no test matches RUN=$pattern"
  exit 1
}

# Each test with the directory of its package, and a tab between.
# shellcheck disable=SC2016 # a template of go list
files='{{$dir := .Dir}}{{range .TestGoFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}'
listed=$(go list -tags "$tags" -f "$files" "${packages[@]}")
tests=$(xargs -r -d '\n' grep -HoE '^func (Test|Example|Fuzz)[^[( ]*' <<< "$listed" | sed -E 's|/[^/]*:func |\t|') || tests=''
# An expression that grep cannot read is left to go test.
matching=$(cut -f 2 <<< "$tests" | grep -P -e "$(sed -E 's|/[^|]*||g' <<< "$pattern")" 2> /dev/null) || case $? in
  1) nothing ;;
  *) matching=$(cut -f 2 <<< "$tests") ;;
esac
mapfile -t packages < <(awk -F '\t' 'NR == FNR { wanted[$1]; next } $2 in wanted && !seen[$1]++ { print $1 }' <(echo "$matching") <(echo "$tests"))

# A line of -v or an event of -json tells of each test that begins. Packages without a test that matches are not worth a line.
go test -run "$pattern" -v "${before[@]}" "${packages[@]}" "${after[@]}" | awk -v pattern="$pattern" '
  BEGIN {
    least = 99
    count = split(pattern, alternatives, "|")
    for (i = 1; i <= count; i++) {
      slashes = gsub("/", "/", alternatives[i])
      if (slashes < least) least = slashes
    }
  }
  function began(name) { if (gsub("/", "/", name) >= least) matched = 1 }
  $1 == "===" && $2 == "RUN" { began($3) }
  /^\{.*"Action":"run"/ && match($0, /"Test":"[^"]*"/) { began(substr($0, RSTART + 8, RLENGTH - 9)) }
  /^testing: warning: no tests to run$|\[no test files\]$|\[no tests to run\]$/ { next }
  { print; fflush() }
  END {
    if (matched) exit
    print "no test matches RUN=" pattern
    exit 1
  }'
