#!/usr/bin/env bash
# lint.sh TAGS: gofmt, go vet, staticcheck, go mod tidy, actionlint and shellcheck over the whole repository.
# TAGS are the build tags of its tests, joined by commas.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
tags=${1:?the build tags of the tests, as in the Makefile}
git ls-files --error-unmatch Makefile > /dev/null || { echo "lint.sh: lint reads the files that git knows; run it in a git clone" >&2; exit 1; }
# shellcheck source-path=SCRIPTDIR/../..
. integration/hosts/packages.sh
need shellcheck

unformatted=$(git ls-files -z '*.go' | xargs -0 gofmt -l)
[ -z "$unformatted" ] || { echo "not gofmt-clean:"; echo "$unformatted"; exit 1; }
export GOGC=400 # the compiler is a quarter faster
# ST1000 wants a comment on every package, of tests and commands too.
staticcheck=("$PWD/_out/bin/staticcheck" -checks 'all,-ST1000')
go vet -tags "$tags" ./...
"${staticcheck[@]}" -tags "$tags" ./...

for module in $(git ls-files -- go.mod '*/go.mod' | xargs -n1 dirname); do
  case $module in
    # The code of the latter two is a list of imports, and what they import takes minutes to compile.
    . | integration/tools/build | integration/tools/coredns) ;;
    *)
      if [ -n "$(git ls-files -- "$module/*.go")" ]; then
        # Use the build tags of the programs in integration/tools/cluster: with others, their packages would be compiled again.
        (cd "$module" && go vet -tags notest,grpcnotrace ./... && "${staticcheck[@]}" -tags notest,grpcnotrace ./...)
      fi
      ;;
  esac
  case $module in
    integration/tools/actionlint | integration/tools/govulncheck) ;;
    # The others pin programs of other projects: to tidy one would download what the tests of those programs import, for Kubernetes alone
    # hundreds of modules. Nothing is missing in them, because the tools are compiled with -mod=readonly.
    integration/tools/*) continue ;;
  esac
  go -C "$module" mod tidy -diff || { echo "$module/go.mod is not tidy: go -C $module mod tidy"; exit 1; }
done

_out/bin/actionlint -pyflakes= # with shellcheck for the scripts of the workflows
# Programs have no ending, and scripts that others source or embed may have no first line that names a shell.
{ git ls-files -- '*.sh' ':!*/testdata/*'; git grep -lE '^#!.*[/ ](ba)?sh$' -- ':!*.go' ':!*.md' ':!*/testdata/*'; } |
  sort -u | xargs shellcheck --external-sources --source-path=SCRIPTDIR
