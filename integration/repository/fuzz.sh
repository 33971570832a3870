#!/usr/bin/env bash
# fuzz.sh [SECONDS]: runs every fuzz target of the module for a short time each, as many at once as there are processors; what fails
# stays in testdata/fuzz as a case.
#
# Only our own packages are compiled with the coverage that leads the search. go test -fuzz compiles all dependencies and the standard
# library with it, which takes several times as long as the search.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cache=${TMPDIR:-/tmp}/kubefile-fuzz

# one BINARY PACKAGE TARGET SECONDS: a search by one worker.
one() {
  local binary=$1 package=$2 target=$3 seconds=$4 log=$1.$3.log
  echo "$package $target"
  cd "$package"
  # Long inputs are not made small: it would take longer than the search.
  if ! "$binary" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "${seconds}s" -test.fuzzminimizetime 20x -test.parallel 1 \
    -test.fuzzcachedir "$cache/$package" > "$log" 2>&1; then
    # On a slow machine the engine reports the end of its time as a failure without an input.
    grep -q '^ *context deadline exceeded' "$log" || { cat "$log"; exit 1; }
  fi
  if grep -q 'without coverage guidance' "$log"; then
    echo "$package $target: the search was not led by coverage"
    exit 1
  fi
}

# compile DIR: makes the binaries in DIR and prints BINARY PACKAGE TARGET for each target.
compile() {
  local packages package binary
  # Not by git: an unpacked source archive is not a clone.
  mapfile -t packages < <(find . \( -path './_out' -o -path './integration/tools' -o -name testdata -o -name '.?*' \) -prune -o -name '*_test.go' \
    -exec grep -l '^func Fuzz' {} + | sed 's|^\./||; s|/[^/]*$||' | sort -u)
  [ "${#packages[@]}" -gt 0 ] || { echo "fuzz: no package has a fuzz target" >&2; return 1; }
  GOGC=400 go test -c -vet=off -gcflags='github.com/kubefile/kubefile/...=-d=libfuzzer' -ldflags='-s -w' -o "$1/" "${packages[@]/#/./}" >&2 || return
  for package in "${packages[@]}"; do
    binary=$1/$(basename "$package").test
    (cd "$package" && "$binary" -test.list '^Fuzz') | sed "s|.*|'$binary' $package &|"
  done
}

case ${1:-} in
  one | compile)
    "$@"
    exit
    ;;
esac

seconds=${1-3}
[[ $seconds =~ ^[1-9][0-9]{0,5}$ ]] || { echo "fuzz: invalid number of seconds \"$seconds\"; use FUZZ=3, for example" >&2; exit 2; }
binaries=$(mktemp -d) || { echo "fuzz: there is no room for the compiled tests; set TMPDIR to another directory" >&2; exit 1; }
trap 'rm -rf "$binaries"' EXIT
compile "$binaries" > "$binaries/targets" || { echo "fuzz: the tests are not compiled; see above" >&2; exit 1; }
sed "s|$| $seconds|" "$binaries/targets" | xargs -P "$(nproc)" -L 1 "$PWD/integration/repository/fuzz.sh" one
