#!/usr/bin/env bash
# only.sh PATTERN go test ARGUMENT...: runs the tests that match, as go test -run does, and fails when there is none, as go test does not.
# The last part of the pattern has to match: of TestClusters/raod, TestClusters alone is not enough.
set -euo pipefail
pattern=$1
[ "$2 $3" = "go test" ] || { echo "only.sh: want a command go test, got $2 $3" >&2; exit 2; }
shift 3

# A line of -v or an event of -json tells of each test that begins. Packages without a test that matches are not worth a line.
go test -run "$pattern" -v "$@" | awk -v pattern="$pattern" '
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
