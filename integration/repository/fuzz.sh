#!/usr/bin/env bash
# fuzz.sh [SECONDS]: runs every fuzz target of the module for a short time each; what fails stays in testdata/fuzz as a case.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
seconds=${1:-3}
git grep -l '^func Fuzz' -- '*_test.go' ':!integration/tools' | xargs -n1 dirname | sort -u | while read -r package; do
  test=$(mktemp)
  go test -c -fuzz=Fuzz -o "$test" "./$package" # with coverage, which leads the search
  for target in $(cd "$package" && "$test" -test.list '^Fuzz'); do
    echo "$package $target"
    # On a slow machine the engine reports the end of its time as a failure without an input.
    # Long inputs are not made small: it would take longer than the search.
    (cd "$package" && "$test" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "${seconds}s" -test.fuzzminimizetime 20x \
      -test.fuzzcachedir "${TMPDIR:-/tmp}/kubefile-fuzz" > "$test.log" 2>&1) || grep -q '^ *context deadline exceeded' "$test.log" || { cat "$test.log"; exit 1; }
  done
  rm -f "$test" "$test.log"
done
