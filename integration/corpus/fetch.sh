#!/bin/sh
# Fetches the repositories of the corpus into inputs/. GITHUB names another place that has them, such as a directory with OWNER/NAME.
set -eu
cd "$(dirname "$0")"
mkdir -p inputs
fetch() { # OWNER/NAME COMMIT
	[ -d "inputs/$1" ] || git clone --quiet --no-checkout "${GITHUB:-https://github.com}/$1" "inputs/$1"
	git -C "inputs/$1" checkout --quiet "$2" -- ':(glob)**/*file' # the rest is large
}
fetch labring-actions/cluster-image 22dd29421913b11bf35227a914a970c57a7aa1a6
fetch sealerio/applications 12394f6757379862b2a4c4c52700bc11757d5096
