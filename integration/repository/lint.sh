#!/usr/bin/env bash
# lint.sh: gofmt, go vet, staticcheck and shellcheck over the whole repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source-path=SCRIPTDIR/../..
. integration/hosts/packages.sh
need shellcheck

unformatted=$(git ls-files -z '*.go' | xargs -0 gofmt -l)
[ -z "$unformatted" ] || { echo "not gofmt-clean:"; echo "$unformatted"; exit 1; }
export GOGC=400 # the compiler is a quarter faster
go vet -tags e2e,corpus,cases ./...
_out/bin/staticcheck -tags e2e,corpus,cases ./...
(cd integration/tools && go vet ./... && ../../_out/bin/staticcheck ./...)
git grep -lE '^#!.*[/ ](ba)?sh$' -- ':!*.go' ':!*.md' ':!*/testdata/*' | xargs shellcheck --external-sources --source-path=SCRIPTDIR
