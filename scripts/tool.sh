# shellcheck shell=bash
# Sourced by the scripts that need a tool written in Go, from the root of the tree.
# shellcheck source=scripts/as-is.sh
source scripts/as-is.sh

# tool PACKAGE@VERSION prints the path of the built tool. It is moved into place
# whole: another run may be building, or using, the same one. With AS_IS=1 nothing is built, and the status is 77.
tool() {
	local name version dir scratch
	name=$(basename "${1%@*}")
	version=${1#*@}
	dir=.local/tools/$name-$version-$(go env GOVERSION)
	if [ ! -x "$dir/$name" ]; then
		getting "$name $version" 'a minute or two, once' || return
		mkdir -p "$dir"
		scratch=$(mktemp -d "$PWD/.local/tools/build.XXXXXX")
		CGO_ENABLED=0 GOBIN=$scratch go install "$1" || true
		[ ! -e "$scratch/$name" ] || mv "$scratch/$name" "$dir/$name"
		rm -rf "$scratch"
	fi
	[ -x "$dir/$name" ] && echo "$dir/$name"
}
