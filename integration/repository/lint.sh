#!/usr/bin/env bash
# lint.sh TAGS: gofmt, go vet, staticcheck and shellcheck over the whole repository. TAGS are the build tags of its tests, joined by commas.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
tags=${1:?the build tags of the tests, as in the Makefile}
# shellcheck source-path=SCRIPTDIR/../..
. integration/hosts/packages.sh
need shellcheck

unformatted=$(git ls-files -z '*.go' | xargs -0 gofmt -l)
[ -z "$unformatted" ] || { echo "not gofmt-clean:"; echo "$unformatted"; exit 1; }
export GOGC=400 # the compiler is a quarter faster
go vet -tags "$tags" ./...
_out/bin/staticcheck -tags "$tags" ./...
(cd integration/tools && go vet ./... && ../../_out/bin/staticcheck ./...)
git grep -lE '^#!.*[/ ](ba)?sh$' -- ':!*.go' ':!*.md' ':!*/testdata/*' | xargs shellcheck --external-sources --source-path=SCRIPTDIR
