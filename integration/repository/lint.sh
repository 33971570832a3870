#!/usr/bin/env bash
# lint.sh TAGS: gofmt, go vet, staticcheck, go mod tidy, actionlint and shellcheck over the whole repository.
# TAGS are the build tags of its tests, joined by commas.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
tags=${1:?the build tags of the tests, as in the Makefile}
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
(cd integration/tools && go vet ./... && "${staticcheck[@]}" ./...)

# The other modules below integration/tools have no packages: they pin programs of others, and to tidy one would download what the tests of
# those programs import (for Kubernetes alone hundreds of modules).
for module in . integration/tools integration/tools/actionlint integration/tools/govulncheck; do
  go -C "$module" mod tidy -diff || { echo "$module/go.mod is not tidy: go -C $module mod tidy"; exit 1; }
done

_out/bin/actionlint -pyflakes= # with shellcheck for the scripts of the workflows
git grep -lE '^#!.*[/ ](ba)?sh$' -- ':!*.go' ':!*.md' ':!*/testdata/*' | xargs shellcheck --external-sources --source-path=SCRIPTDIR
