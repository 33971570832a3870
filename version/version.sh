#!/bin/sh
# version.sh env | flags: what git knows of this clone, as lines VERSION=…, COMMIT=…, DATE=…, or as flags for go build -ldflags, which
# also leave out symbols. It is the same in every clone of a commit. KUBEFILE_VERSION in the environment replaces git's. Outside a clone
# nothing else is known.
set -eu
cd "$(dirname "$0")"
version=${KUBEFILE_VERSION:-} commit='' date=''

# It becomes part of flags and of what programs print. In the C locale, letters are those of ASCII.
LC_ALL=C
export LC_ALL
case $version in
'' | [0-9]* | v[0-9]*) valid=yes ;;
*) valid= ;;
esac
case $version in
*[!A-Za-z0-9.+_~-]*) valid= ;;
esac
if [ -z "$valid" ] || [ "${#version}" -gt 128 ]; then
	echo "version.sh: invalid VERSION: use a number such as v0.1.0, with up to 128 letters, digits and .+_~-" >&2
	exit 2
fi

# An unpacked source archive may be inside another repository.
if answer=$(git ls-files --error-unmatch version.sh 2>&1); then
	commit=$(git rev-parse HEAD)
	date=$(TZ=UTC0 git show --no-patch --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ HEAD)
	# The length of git's own abbreviations depends on how many objects a clone has.
	if [ -z "$version" ] && ! version=$(git describe --tags --match 'v[0-9]*' --abbrev=12 --dirty 2>/dev/null); then
		version=v0.0.0-g$(git describe --always --match '' --abbrev=12 --dirty)
	fi
else
	case $answer in
	*safe.directory*) printf 'version.sh: git does not tell the version of a clone of another user:\n%s\n' "$answer" >&2 ;;
	esac
fi

case ${1:-} in
env)
	printf 'VERSION=%s\nCOMMIT=%s\nDATE=%s\n' "$version" "$commit" "$date"
	;;
flags)
	package=github.com/kubefile/kubefile/version
	printf '%s\n' "-s -w -X $package.version=$version -X $package.commit=$commit -X $package.date=$date"
	;;
*)
	echo "usage: version.sh env|flags" >&2
	exit 2
	;;
esac
