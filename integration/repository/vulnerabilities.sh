#!/usr/bin/env bash
# vulnerabilities.sh: looks for known vulnerabilities in every module of the repository. It fails for those that reach code of ours, with
# the way to it. The versions of the lab's tools are pinned for other reasons, and nothing of them is shipped: those are only printed.
# It needs the internet, and _out/bin/govulncheck (make tools TOOLS=govulncheck). GOVULNDB names another database.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
govulncheck=("$PWD/_out/bin/govulncheck" -db "${GOVULNDB:-https://vuln.go.dev}")
readonly found=3 # govulncheck's exit status for vulnerabilities

failed=()
for module in $(git ls-files -- go.mod '*/go.mod' | xargs -n1 dirname); do
  echo "== $module"
  status=0
  case $module in
    integration/tools/*)
      "${govulncheck[@]}" -C "$module" -scan package tool || status=$?
      [ "$status" -ne "$found" ] || status=0
      ;;
    *) "${govulncheck[@]}" -C "$module" -test ./... || status=$? ;;
  esac
  [ "$status" -eq 0 ] || failed+=("$module")
done
[ ${#failed[@]} -eq 0 ] || { echo "vulnerabilities.sh: fix what was reported for ${failed[*]}" >&2; exit 1; }
